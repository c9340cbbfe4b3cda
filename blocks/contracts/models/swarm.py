"""What a swarm reads and writes."""

import re
from typing import TYPE_CHECKING

import pandera.pandas as pa

from blocks.contracts.rules import Table, blank, given, matches, rule, told

if TYPE_CHECKING:
    from blocks.contracts.table import Column, Columns

KEY = re.compile(r"[0-9a-f]{8}\.[0-9a-f]{24}(-\d+)?")
KEY_WORDS = "be a swarm's key: 8 hex digits, a dot, 24 hex digits, and -1 and so on for equal rows"

DAMAGED_LINE = "take the line out of the file and run it again: its row is asked again"


class SwarmRows(Table):
    """A row of the source, as a swarm looks at it before anything is asked."""

    row: int = pa.Field(ge=1, description="its number, from 1")
    counted: int = pa.Field(ge=1, description="which it is of those that were read")
    key: object = pa.Field(unique=True, description="hash of the row and of what is asked, the same for no two rows")

    class Config(Table.Config):
        metadata = told(
            stands="rows into a swarm: `tasks/swarm/counted.py`",
            fix="report it with the source: reading lost or doubled a row",
        )

    @rule("row", "be the number of the row before and one more")
    def none_skipped(cls, table: "Columns") -> "Column":
        return table["row"] == table["counted"]

    @rule("key", KEY_WORDS)
    def well_formed(cls, table: "Columns") -> "Column":
        return matches(KEY, table["key"])


class SwarmAnswers(Table):
    """A line of a swarm's output."""

    key: object = pa.Field(unique=True, description="of the row")
    row: int = pa.Field(ge=1, description="number of the row in the source")
    source: object = pa.Field(isin=["model", "fallback"], description="who gave the answer")
    said: int = pa.Field(description="how many of `text` and `value` it has")
    account: object = pa.Field(nullable=True, description="that answered")
    model: object = pa.Field(nullable=True, description="that answered")
    prompt_tokens: int = pa.Field(ge=0, description="sent, over all tries")
    completion_tokens: int = pa.Field(ge=0, description="answered, over all tries")
    cached_tokens: int = pa.Field(ge=0, description="of those sent, what the provider had cached")
    cost_usd: float = pa.Field(ge=0, lt=float("inf"), nullable=True, description="of all tries; none where unknown")
    attempts: int = pa.Field(ge=0, description="calls that it took")
    latency_s: float = pa.Field(ge=0, lt=float("inf"), description="of all tries")
    finish_reason: object = pa.Field(nullable=True, description="why the answer ended")

    class Config(Table.Config):
        metadata = told(stands="rows out of a swarm: `tasks/swarm/crossing.py`", fix=DAMAGED_LINE)

    @rule("key", KEY_WORDS)
    def well_formed(cls, table: "Columns") -> "Column":
        return matches(KEY, table["key"])

    @rule("said", "be 1: an answer is a text or a value")
    def says_one_thing(cls, table: "Columns") -> "Column":
        return table["said"] == 1

    @rule("account", "have a value where a model answered")
    def answered_by(cls, table: "Columns") -> "Column":
        return (table["source"] != "model") | given(table["account"])


class SwarmFailures(Table):
    """A line of the rows that a swarm could not answer."""

    key: object = pa.Field(description="of the row")
    row: int = pa.Field(ge=1, description="number of the row in the source")
    code: object = pa.Field(description="kind of the failure")
    reason: object = pa.Field(description="what it was")
    prompt_tokens: int = pa.Field(ge=0, description="sent, over all tries")
    completion_tokens: int = pa.Field(ge=0, description="answered, over all tries")
    cached_tokens: int = pa.Field(ge=0, description="of those sent, what the provider had cached")
    cost_usd: float = pa.Field(ge=0, lt=float("inf"), nullable=True, description="of all tries; none where unknown")
    attempts: int = pa.Field(ge=0, description="calls that it took")
    latency_s: float = pa.Field(ge=0, lt=float("inf"), description="of all tries")

    class Config(Table.Config):
        metadata = told(stands="rows out of a swarm: `tasks/swarm/crossing.py`", fix=DAMAGED_LINE)

    @rule("key", KEY_WORDS)
    def well_formed(cls, table: "Columns") -> "Column":
        return matches(KEY, table["key"])

    @rule("code", "not be blank")
    def is_of_a_kind(cls, table: "Columns") -> "Column":
        return ~blank(table["code"])
