"""What a query gives, cut to what a model can read."""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from blocks.action import canonical
from blocks.errors import BadInput

CELL_CHARS = 2000
TABLE_CHARS = 14_000
"""Characters of all rows together."""

COMMENTS = re.compile(r"(?:\s|--[^\n]*(?:\n|\Z)|/\*(?:[^*]|\*(?!/))*\*/|\()*")
READING = {"select", "with", "values", "table", "explain", "show", "pragma"}


@dataclass(kw_only=True)
class Table:
    """Rows that were read.

    Attributes:
        columns: Their names.
        rows: The values, as JSON.
        more: Whether there were more.
    """

    columns: Sequence[str]
    rows: list[list[Any]] = field(default_factory=list[list[Any]])
    more: bool = False


def filled(columns: Sequence[str], rows: Iterable[Sequence[Any]], most_rows: int) -> Table:
    """A table of the first rows, as many as fit."""
    table, chars = Table(columns=columns), 0
    for row in rows:
        cells = [cell(value) for value in row]
        chars += len(canonical(cells))
        if len(table.rows) == most_rows or (chars > TABLE_CHARS and table.rows):
            table.more = True
            break
        table.rows.append(cells)
    return table


def cell(value: Any) -> Any:
    """A value as JSON, long ones cut."""
    if isinstance(value, bytes):
        more = "…" if len(value) > CELL_CHARS // 2 else ""
        return f"0x{value[: CELL_CHARS // 2].hex()}{more} ({len(value)} bytes)"
    if isinstance(value, str):
        return value if len(value) <= CELL_CHARS else f"{value[:CELL_CHARS]}… ({len(value)} characters)"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict | list):
        text = canonical(value)
        return value if len(text) <= CELL_CHARS else f"{text[:CELL_CHARS]}… ({len(text)} characters)"
    return value


def first_word(sql: str) -> str:
    """The statement's first word, in lower case.

    Raises:
        BadInput: it is none that reads.
    """
    found = COMMENTS.match(sql)
    word = re.match(r"\w*", sql[found.end() if found else 0 :])
    first = word.group().lower() if word else ""
    if first not in READING:
        raise BadInput(
            f"{first.upper() or 'an empty statement'} is not allowed: the database can only be read",
            fix="give one SELECT, WITH, VALUES or EXPLAIN statement",
            field="sql",
        )
    return first
