"""The rows of the table: normalised, each with its key and its group."""

import json
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, cast

from blocks.errors import BadInput
from blocks.rows.read import read_rows
from blocks.rows.row import Row
from tasks.batch_prompts.columns import tidy

if TYPE_CHECKING:
    from tasks.batch_prompts.plan import Plan


@dataclass(frozen=True, slots=True)
class Item:
    """A row on its way.

    Attributes:
        number: Its place in the table, from 1.
        key: Hash of the row, of what is asked of its group, and of which of several equal rows it is.
        group: Its group; not in the plan's groups for a dead letter.
        row: Its values, in NFC.
    """

    number: int
    key: str
    group: str
    row: Row


def read_items(plan: "Plan") -> Iterator[Item]:
    """All rows of the table, in order.

    Raises:
        BadInput: the table cannot be read, or a row has a column that the plan needs for itself.
    """
    seen: dict[str, int] = {}
    for number, raw in enumerate(read_rows(plan.source), start=1):
        row = _normalised(raw, number)
        if (name := plan.file.row_column) in row:
            raise BadInput(
                f"the table has a column {name!r}, which is the name of the row's number in templates and answers",
                fix="give row_column another name in the plan",
                field="row_column",
            )
        group = _group(row.get(plan.file.group_column))
        key = _key(row, plan.versions.get(group, ""))
        before = seen[key] = seen.get(key, -1) + 1
        yield Item(number, f"{key}-{before}" if before else key, group, row)


def columns_of(source: str) -> list[str]:
    """The columns of the table's first row; none where it has no rows. Raises as `read_items`."""
    return next((list(_normalised(row, 1)) for row in read_rows(source)), list[str]())


def _group(value: Any) -> str:
    return "" if value is None else tidy(str(value))


def _key(row: Row, version: str) -> str:
    text = json.dumps([row, version], sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return sha256(text.encode()).hexdigest()


def _normalised(raw: Row, number: int) -> Row:
    row: Row = {tidy(name): in_nfc(value) for name, value in raw.items()}
    if len(row) < len(raw):
        raise BadInput(
            f"row {number}: two of its columns have the same name, but for the way their letters are encoded",
            fix="rename one of them",
            field="source",
            row=number,
        )
    return row


def in_nfc(value: Any) -> Any:
    """A JSON value with all its texts in NFC, so that one text has one form."""
    if isinstance(value, str):
        return unicodedata.normalize("NFC", value)
    if isinstance(value, list):
        return [in_nfc(item) for item in cast(list[Any], value)]
    if isinstance(value, dict):
        return {in_nfc(name): in_nfc(item) for name, item in cast(dict[str, Any], value).items()}
    return value
