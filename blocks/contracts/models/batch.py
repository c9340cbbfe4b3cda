"""What a batch of prompts reads and writes."""

import re
from typing import TYPE_CHECKING

import numpy as np
import pandera.pandas as pa

from blocks.contracts.rules import Table, blank, matches, rule, told

if TYPE_CHECKING:
    from blocks.contracts.table import Column, Columns

KEY = re.compile(r"[0-9a-f]{64}(-\d+)?")

OURS = "run it again: the files are made anew from the ledger; should it stay, report it with the ledger"


class BatchRows(Table):
    """A row of the table, as it goes into the ledger of a batch."""

    row: int = pa.Field(ge=1, description="its number, from 1")
    counted: int = pa.Field(ge=1, description="which it is of those that were read")
    key: object = pa.Field(unique=True, description="hash of the row and of what is asked, the same for no two rows")
    group: object = pa.Field(description="value of the group column; empty for none")

    class Config(Table.Config):
        metadata = told(
            stands="rows into a batch: `tasks/batch_prompts/crossing.py`",
            fix="report it with the source: reading lost or doubled a row",
        )

    @rule("row", "be the number of the row before and one more")
    def none_skipped(cls, table: "Columns") -> "Column":
        return table["row"] == table["counted"]

    @rule("key", "be a batch's key: 64 hex digits, and -1 and so on for equal rows")
    def well_formed(cls, table: "Columns") -> "Column":
        return matches(KEY, table["key"])


class BatchAnswers(Table):
    """A line of a batch's output, in order of the rows and of the keys; and a column `value.NAME` for each of the plan.

    What those hold is said by the plan: type, bounds, choices, length, whether they may be empty.
    """

    row: int = pa.Field(ge=1, description="number of the row in the table")
    row_before: int = pa.Field(ge=0, description="that of the lines before this chunk; 0 for none")
    unit: int = pa.Field(ge=0, description="which of the output rows of its row, from 0")
    units: int = pa.Field(ge=1, description="output rows of each row, the same in all lines")
    group: object = pa.Field(description="of the row")

    class Config(Table.Config):
        metadata = told(stands="rows out of a batch: `tasks/batch_prompts/crossing.py`", fix=OURS)

    @rule("unit", "be the next one of its row")
    def units_complete(cls, table: "Columns") -> "Column":
        return table["unit"] == np.arange(len(table["unit"])) % np.maximum(table["units"], 1)

    @rule("row", "be that of the line before, or above it where a row begins")
    def rows_in_order(cls, table: "Columns") -> "Column":
        rows = table["row"]
        before = np.concatenate([table["row_before"][:1], rows[:-1]])
        return np.where(table["unit"] == 0, rows > before, rows == before)

    @rule("group", "not be blank")
    def is_of_a_group(cls, table: "Columns") -> "Column":
        return ~blank(table["group"])


class BatchCoverage(Table):
    """A group of a batch: what the ledger says beside what a reader finds in the written file."""

    group: object = pa.Field(unique=True, description="which")
    rows: int = pa.Field(ge=0, description="input rows")
    answered: int = pa.Field(ge=0, description="of these, with all their output rows")
    partial: int = pa.Field(ge=0, description="with some of them")
    review: int = pa.Field(ge=0, description="for people to look at")
    rejected: int = pa.Field(ge=0, description="that people rejected")
    new: int = pa.Field(ge=0, description="never asked")
    written: int = pa.Field(ge=0, description="lines in the file")
    missing: int = pa.Field(description="output rows of answered rows that the file lacks")
    duplicates: int = pa.Field(description="lines for an output row that has one, or that there is not")
    blanks: int = pa.Field(description="empty cells in columns that may not be empty")

    class Config(Table.Config):
        metadata = told(stands="the file that a batch wrote, read back: `tasks/batch_prompts/crossing.py`", fix=OURS)

    @rule("rows", "be answered + partial + review + rejected + new")
    def all_accounted_for(cls, table: "Columns") -> "Column":
        return table["rows"] == sum(table[name] for name in ("answered", "partial", "review", "rejected", "new"))

    @rule("missing", "be 0: the file has every output row of the answered rows, and no more")
    def none_dropped(cls, table: "Columns") -> "Column":
        return table["missing"] == 0

    @rule("duplicates", "be 0: no output row is in the file twice")
    def none_doubled(cls, table: "Columns") -> "Column":
        return table["duplicates"] == 0

    @rule("blanks", "be 0: no cell is empty that may not be")
    def none_blank(cls, table: "Columns") -> "Column":
        return table["blanks"] == 0
