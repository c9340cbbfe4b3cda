"""Whether all rows that went in came out."""

from typing import TYPE_CHECKING

import pandera.pandas as pa

from blocks.contracts.rules import Table, rule, told

if TYPE_CHECKING:
    from blocks.contracts.table import Column, Columns


class Crossing(Table):
    """A row that went in, or came out, of a swarm."""

    row: int = pa.Field(ge=1, unique=True, description="its number in the source, from 1")
    times_in: int = pa.Field(ge=0, le=1, description="1 where it was to be done in this run")
    times_out: int = pa.Field(ge=0, description="how many lines the run wrote for it")

    class Config(Table.Config):
        metadata = told(
            stands="at the end of a swarm, over what it wrote: `tasks/swarm/crossing.py`",
            fix="run it again: rows without a line are asked again; of two lines of a row take one out",
        )

    @rule("times_out", "be times_in: a row with fewer is dropped, one with more doubled")
    def none_lost(cls, table: "Columns") -> "Column":
        return table["times_out"] == table["times_in"]
