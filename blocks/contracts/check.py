"""Holding a table against its contract: quickly whether it keeps it, and where it does not, what is wrong in which row.

The pandera model is the contract. Its own `validate` takes 8 ms however short the table is, so a table is first held
against the model's types, gaps and rules with numpy; only where that finds fault, or meets something that it does not
know, pandera decides, and names what is wrong.
"""

import operator
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from blocks.contracts.broken import broken
from blocks.contracts.registry import Contract, contract

if TYPE_CHECKING:
    from blocks.contracts.faults import Fault
    from blocks.contracts.table import Column, Columns

Labels = Callable[[], Sequence[object]]
"""Names of the rows, made only where one must be named."""

KNOWN: dict[str, Callable[[Any, Any], Any]] = {
    "greater_than_or_equal_to": operator.ge,
    "greater_than": operator.gt,
    "less_than_or_equal_to": operator.le,
    "less_than": operator.lt,
    "isin": lambda values, allowed: set(allowed).issuperset(values),
}
"""Checks of pandera's own that the quick look knows, by name; they take the values and the check's only figure."""


def check(
    held: Contract | str, columns: "Columns", *, what: str = "", rows: Labels | None = None, fix: str = ""
) -> None:
    """Hold a table against a contract.

    Args:
        held: The contract, or its name, as `segments`.
        columns: The table; as many values in each.
        what: Which table it is, for people; the contract's name by default.
        rows: Names of the rows; 0 and so on by default.
        fix: How to put it right, where the contract's own words do not fit.

    Raises:
        ContractBroken: naming row, column, rule and value of the first faults.
    """
    held = contract(held) if isinstance(held, str) else held
    if faults := faults_in(held, columns, rows):
        raise broken(held.name, [str(fault) for fault in faults], fix=fix or held.fix, what=what)


def faults_in(held: Contract, columns: "Columns", rows: Labels | None = None) -> "list[Fault]":
    """What is wrong with a table, in order of its rows; arguments as those of `check`."""
    if keeps(held, columns):
        return []
    from blocks.contracts.faults import faults_of

    return faults_of(held, columns, None if rows is None else list(rows()))


def keeps(held: Contract, columns: "Columns") -> bool:
    """Whether a table surely keeps a contract; False where pandera must decide."""
    schema = held.schema
    if not _is_known(held) or columns.keys() != schema.columns.keys():
        return False
    if len({len(values) for values in columns.values()}) != 1:
        return False
    return all(_column_keeps(schema.columns[name], values) for name, values in columns.items()) and all(
        _passes(one, columns) for one in schema.checks
    )


@lru_cache(maxsize=64)
def _is_known(held: Contract) -> bool:
    """Whether a contract asks for nothing but what the quick look knows."""
    schema = held.schema
    unknown = bool(schema.unique or schema.ordered or schema.coerce or schema.index is not None or schema.parsers)
    for column in schema.columns.values():
        unknown |= bool(column.coerce or column.regex or not column.required or column.parsers)
        unknown |= any(one.name not in KNOWN and one.title is None for one in column.checks)
    return not unknown and all(one.title is not None for one in schema.checks)


def _column_keeps(column: Any, values: "Column") -> bool:
    if str(values.dtype) != str(column.dtype):
        return False
    values, has_gaps = _given(values)
    if (has_gaps and not column.nullable) or (column.unique and len(set(values.tolist())) != len(values)):
        return False
    return all(_passes(one, values) for one in column.checks)


def _given(values: "Column") -> "tuple[Column, bool]":
    """The values that are there, and whether any are not."""
    import pandas as pd

    gaps = pd.isna(values)
    return (values[~gaps], True) if gaps.any() else (values, False)


def _passes(one: Any, values: "Column | Columns") -> bool:
    """Whether a check holds for all of a column, or of a table."""
    import numpy as np

    known = KNOWN.get(one.name) if one.title is None else None
    try:
        # As a check is meant to be called it would load all that pandera has for other kinds of tables.
        found: Any = known(values, *one.statistics.values()) if known else one._check_fn(values)
    except (TypeError, ValueError, AttributeError):  # texts among numbers, or numbers among texts
        return False
    return bool(np.all(found))
