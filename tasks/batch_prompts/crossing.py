"""Rows into a batch and out of it, held against their contracts: none dropped, none doubled, every cell as planned."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from blocks.contracts.check import check
from blocks.contracts.registry import Contract, contract
from blocks.contracts.table import CHUNK, flags, numbers, texts, wholes
from tasks.batch_prompts.columns import (
    AnyColumn,
    BooleanColumn,
    ChoiceColumn,
    DateColumn,
    IntegerColumn,
    NumberColumn,
    TextColumn,
    tidy,
)
from tasks.batch_prompts.plan import Plan
from tasks.batch_prompts.source import Item

if TYPE_CHECKING:
    from blocks.contracts.table import Column
    from tasks.batch_prompts.report import GroupCoverage

COUNTS = (
    *("rows", "answered", "partial", "review", "rejected", "new"),
    *("written", "missing", "duplicates", "blanks"),
)
DAY = r"\d{4}-\d{2}-\d{2}"

OutputRow = tuple[int, int, str, Sequence[Any]]
"""Number of the row, which of its output rows, its group, and the cells in the order of the plan's columns."""


def counted_in(items: Iterable[Item]) -> Iterator[Item]:
    """The same items, held against the contract of rows into a batch as they pass; the last ones at the end.

    Raises:
        ContractBroken: reading the table lost or doubled a row.
    """
    passed: list[tuple[int, str, str]] = []
    first = 1
    for item in items:
        passed.append((item.number, item.key, item.group))
        if len(passed) == CHUNK or item.number != first + len(passed) - 1:
            _check_in(passed, first)
            first += len(passed)
            passed = []
        yield item
    if passed:
        _check_in(passed, first)


def _check_in(passed: list[tuple[int, str, str]], first: int) -> None:
    import numpy as np

    rows, keys, groups = zip(*passed, strict=True)
    counted = np.arange(first, first + len(rows), dtype=np.int64)
    columns = {"row": wholes(rows), "counted": counted, "key": texts(keys), "group": texts(groups)}
    check("batch rows", columns, what="the table", rows=lambda: rows)


class Outgoing:
    """Output rows on their way into the file.

    Args:
        plan: What they must be.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._units = len(plan.per_row.units)
        self._rows_at_once = max(1, CHUNK // self._units)
        self._held: Contract | None = None
        self._passed: list[OutputRow] = []
        self._before = 0

    def add(self, *rows: OutputRow) -> None:
        """All output rows of a row; looked at with others, a chunk at a time.

        Raises:
            ContractBroken: naming row and column of the first that are not as the plan says.
        """
        self._passed += rows
        if len(self._passed) >= self._rows_at_once * self._units:
            self.end()

    def end(self) -> None:
        """Look at those that were not yet looked at. Raises as `add`."""
        import numpy as np

        if not self._passed:
            return
        rows, units, groups, cells = zip(*self._passed, strict=True)
        size = len(rows)
        columns = {
            "row": wholes(rows),
            "row_before": np.full(size, self._before, np.int64),
            "unit": wholes(units),
            "units": np.full(size, self._units, np.int64),
            "group": texts(groups),
        }
        for (name, column), values in zip(self._plan.file.columns.items(), zip(*cells, strict=True), strict=True):
            columns[f"value.{name}"] = _column(column, values)
        self._held = self._held or answers_contract(self._plan)
        check(self._held, columns, what=str(self._plan.place(".csv")), rows=lambda: rows)
        self._before, self._passed = rows[-1], []


def answers_contract(plan: Plan) -> Contract:
    """The contract of rows out of a batch, with a column for each of the plan's."""
    held = contract("batch answers")
    cells = {f"value.{name}": _pandera_column(column) for name, column in plan.file.columns.items()}
    return replace(held, schema=held.schema.add_columns(cells))


def check_coverage(groups: Sequence["GroupCoverage"], plan: Plan) -> None:
    """Hold what a reader finds in the written file against what the ledger says.

    Raises:
        ContractBroken: naming the groups of which output rows are missing, doubled or blank.
    """
    columns = {"group": texts([one.group for one in groups])}
    columns |= {name: wholes([getattr(one, name) for one in groups]) for name in COUNTS}
    check("batch coverage", columns, what=str(plan.place(".csv")), rows=lambda: [one.group for one in groups])


def _column(column: AnyColumn, values: Sequence[Any]) -> "Column":
    if isinstance(column, BooleanColumn):
        return flags(values)
    return numbers(values) if isinstance(column, IntegerColumn | NumberColumn) else texts(values)


def _pandera_column(column: AnyColumn) -> Any:
    import pandera.pandas as pa

    kind = object if isinstance(column, TextColumn | ChoiceColumn | DateColumn) else "float64"
    return pa.Column(kind, _cell_checks(column), nullable=column.optional, description=column.about or None)


def _cell_checks(column: AnyColumn) -> list[Any]:
    import re

    import numpy as np
    import pandera.pandas as pa

    from blocks.contracts.rules import blank, matches, of_cell

    if isinstance(column, BooleanColumn):
        return [pa.Check.isin([0.0, 1.0])]
    if isinstance(column, ChoiceColumn):
        return [pa.Check.isin([tidy(choice) for choice in column.choices])]
    if isinstance(column, DateColumn):
        day = re.compile(DAY)
        return [of_cell("be a day as YYYY-MM-DD", lambda values: matches(day, values))]
    if isinstance(column, TextColumn):
        most = column.max_chars
        short = of_cell(
            f"have at most {most} characters", lambda values: np.array([len(value) <= most for value in values], bool)
        )
        return [short, of_cell("not be blank", lambda values: ~blank(values))]
    bounds = [pa.Check.ge(column.min)] if column.min is not None else []
    bounds += [pa.Check.le(column.max)] if column.max is not None else []
    if isinstance(column, IntegerColumn):
        bounds.append(of_cell("be a whole number", lambda values: values == np.floor(values)))
    return [*bounds, of_cell("be finite", np.isfinite)]
