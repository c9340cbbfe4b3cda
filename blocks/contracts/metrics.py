"""The history of metrics, held against its contracts when it is written and when it is read.

Rows may have more fields than the contracts, which only audits look at; those are theirs to check.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from blocks.contracts.check import Labels, check, faults_in
from blocks.contracts.registry import Contract, contract
from blocks.contracts.table import numbers, texts, wholes

if TYPE_CHECKING:
    from blocks.contracts.table import Columns

Kind = Literal["job metrics", "period metrics"]
Row = TypeVar("Row")


def check_metrics(kind: Kind, rows: Sequence[object], what: str = "") -> None:
    """Hold rows that are about to be written against their contract.

    Args:
        kind: Which contract.
        rows: Objects with an attribute for each of its columns.
        what: Which table it is, for people.

    Raises:
        ContractBroken: naming job or period, column and rule.
    """
    held = contract(kind)
    check(held, _columns(held, rows), what=what, rows=_names(held, rows))


def sound(kind: Kind, rows: Sequence[Row]) -> tuple[list[Row], list[str]]:
    """Of rows that were read, those that keep their contract, and what is wrong with the others, a line for each fault.

    Args:
        kind: Which contract.
        rows: Objects with an attribute for each of its columns.
    """
    held = contract(kind)
    faults = faults_in(held, _columns(held, rows), _names(held, rows))
    if any(fault.place < 0 for fault in faults):
        return [], [str(fault) for fault in faults]
    wrong = {fault.place for fault in faults}
    return [row for place, row in enumerate(rows) if place not in wrong], [str(fault) for fault in faults]


def _columns(held: Contract, rows: Sequence[object]) -> "Columns":
    made: dict[str, Any] = {}
    for name, column in held.schema.columns.items():
        values = [_plain(getattr(row, name)) for row in rows]
        kinds = {"float64": numbers, "int64": wholes, "object": texts}
        made[name] = kinds[str(column.dtype)](values)
    return made


def _plain(value: Any) -> Any:
    return value.timestamp() if isinstance(value, datetime) else value


def _names(held: Contract, rows: Sequence[object]) -> Labels:
    [first, *_] = held.schema.columns
    return lambda: [getattr(row, first) for row in rows]
