"""What pandera says is wrong with a table, as lines that name row, column, rule and value."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from blocks.contracts.broken import shown
from blocks.contracts.registry import Contract

if TYPE_CHECKING:
    from blocks.contracts.table import Columns

MUST: dict[str, str] = {
    "greater_than_or_equal_to": "be at least {min_value}",
    "greater_than": "be above {min_value}",
    "less_than_or_equal_to": "be at most {max_value}",
    "less_than": "be below {max_value}",
    "isin": "be one of {allowed_values}",
}
"""Pandera's own checks in words, by name."""

KINDS: dict[str, tuple[str, tuple[type, ...]]] = {
    "float64": ("a number", (float, int)),
    "int64": ("a whole number", (int,)),
    "bool": ("true or false", (bool,)),
    "object": ("a text", (str,)),
}
"""What columns hold, in words and as types of Python."""


NOT_COMPARED = "what cannot be compared"
"""Told only where nothing else is: mostly it follows from something of the wrong type."""


class Fault(NamedTuple):
    """Something wrong; written as `row 2, column end_s: must …, found 1.5`.

    Attributes:
        place: Which row it is of the table, from 0; below 0 it is the whole column.
        row: What that row is called.
        column: Its column.
        must: The rule.
        found: The value, short.
    """

    place: int
    row: object
    column: str
    must: str
    found: str

    def __str__(self) -> str:
        where = f"column {self.column}" if self.place < 0 else f"row {self.row}, column {self.column}"
        return f"{where}: must {self.must}" + (f", found {self.found}" if self.found else "")


def faults_of(held: Contract, columns: "Columns", rows: Sequence[object] | None) -> list[Fault]:
    """What is wrong with a table, in order of its rows.

    Args:
        held: The contract.
        columns: The table.
        rows: Names of its rows; 0 and so on by default.
    """
    import pandas as pd
    from pandera.errors import SchemaErrors

    if len({len(values) for values in columns.values()}) > 1:
        lengths = ", ".join(f"{name} {len(values)}" for name, values in columns.items())
        return [Fault(-1, None, "*", "be as long as the others", lengths)]
    # With the types as they are: pandas would take a column of texts for one of its own kind.
    frame = pd.DataFrame({name: pd.Series(values, dtype=values.dtype) for name, values in columns.items()})
    try:
        held.schema.validate(frame, lazy=True)
    except SchemaErrors as error:
        found = [fault for one in error.schema_errors for fault in _faults(one, frame, rows)]
        surely = [fault for fault in found if fault.found != NOT_COMPARED] or found
        return list(dict.fromkeys(sorted(surely, key=lambda fault: fault.place)))
    return []


def must(one: Any) -> str:
    """What a check of pandera asks for, in words."""
    if one.title is not None:
        return str(one.name)
    told = MUST.get(one.name)
    if one.name == "less_than" and one.statistics["max_value"] == float("inf"):
        return "be finite"
    if told is None:
        return str(one.error or one.name)
    given: dict[str, Any] = dict(one.statistics)
    if one.name == "isin":
        given["allowed_values"] = ", ".join(map(repr, given["allowed_values"]))
    return told.format_map(given)


def _faults(error: Any, frame: Any, rows: Sequence[object] | None) -> Iterator[Fault]:
    return _BY_REASON.get(error.reason_code.name, _of_other)(error, frame, rows)


def _of_check(error: Any, frame: Any, rows: Sequence[object] | None) -> Iterator[Fault]:
    cases, asked = error.failure_cases, error.check
    if not hasattr(cases, "columns") or "index" not in cases:
        yield Fault(-1, None, str(error.column_name or asked.title), must(asked), "")
        return
    for place in dict.fromkeys(cases["index"].tolist()):
        if (column := _column_of(error, frame, place)) is not None:
            yield _at(place, column, must(asked), frame, rows)


def _column_of(error: Any, frame: Any, place: int) -> str | None:
    """The column that a check is about; None for a text in a column of numbers, which its type tells."""
    from blocks.contracts.rules import ANY_TEXT, TEXTS

    if error.column_name is not None and error.column_name in frame:
        return str(error.column_name)
    if error.check.title != ANY_TEXT:
        return str(error.check.title)
    meant = [name for name, column in error.schema.columns.items() if str(column.dtype) == "object" and name in frame]
    return next((name for name in meant if type(frame[name].iat[place]) not in TEXTS), None)


def _of_gap(error: Any, frame: Any, rows: Sequence[object] | None) -> Iterator[Fault]:
    for place in error.failure_cases["index"].tolist():
        yield _at(place, error.column_name, "have a value", frame, rows)._replace(found="none")


def _of_double(error: Any, frame: Any, rows: Sequence[object] | None) -> Iterator[Fault]:
    values = frame[error.column_name]
    for place in values.index[values.duplicated(keep="first")].tolist():
        yield _at(place, error.column_name, "be there once only", frame, rows)


def _of_type(error: Any, frame: Any, rows: Sequence[object] | None) -> Iterator[Fault]:
    name = error.column_name
    words, kinds = KINDS[str(error.schema.dtype)]
    wrong = [
        place
        for place, value in enumerate(frame[name].tolist())
        if value is not None and (not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds))
    ]
    for place in wrong:
        yield _at(place, name, f"be {words}", frame, rows)
    if not wrong:
        yield Fault(-1, None, name, f"be {words}", f"a column of {frame[name].dtype}")


def _of_missing(error: Any, _frame: Any, _rows: Sequence[object] | None) -> Iterator[Fault]:
    yield Fault(-1, None, str(error.failure_cases), "be there", "no such column")


def _of_unknown(error: Any, _frame: Any, _rows: Sequence[object] | None) -> Iterator[Fault]:
    yield Fault(-1, None, str(error.failure_cases), "not be there", "a column that the contract does not have")


def _of_other(error: Any, _frame: Any, _rows: Sequence[object] | None) -> Iterator[Fault]:
    """A rule that could not even be looked at, since its columns are not what they must be."""
    asked = error.check
    words = must(asked) if hasattr(asked, "statistics") else str(asked)
    yield Fault(-1, None, str(error.column_name or getattr(asked, "title", None)), words, NOT_COMPARED)


def _at(place: int, column: str, words: str, frame: Any, rows: Sequence[object] | None) -> Fault:
    return Fault(place, place if rows is None else rows[place], column, words, shown(frame[column].iat[place]))


_BY_REASON: dict[str, Callable[[Any, Any, Sequence[object] | None], Iterator[Fault]]] = {
    "DATAFRAME_CHECK": _of_check,
    "SCHEMA_COMPONENT_CHECK": _of_check,
    "SERIES_CONTAINS_NULLS": _of_gap,
    "SERIES_CONTAINS_DUPLICATES": _of_double,
    "WRONG_DATATYPE": _of_type,
    "COLUMN_NOT_IN_DATAFRAME": _of_missing,
    "COLUMN_NOT_IN_SCHEMA": _of_unknown,
}
