"""The usage ledger: what calls of LLM accounts took, as it is read."""

from typing import TYPE_CHECKING, get_args

import numpy as np
import pandas as pd
import pandera.pandas as pa

from blocks.accounts.books import Outcome
from blocks.contracts.rules import Table, rule, told

if TYPE_CHECKING:
    from blocks.contracts.table import Column, Columns


class Calls(Table):
    """A call in the books, in order of time."""

    id: int = pa.Field(ge=1, unique=True, description="number of the row")
    at: float = pa.Field(gt=0, lt=float("inf"), description="when it ended, in seconds since 1970")
    account: object = pa.Field(description="which account; empty for an answer from a cache")
    model: object = pa.Field(description="its name in `accounts.yaml`")
    user: object = pa.Field(description="who pays")
    session: object = pa.Field(description="which conversation; empty for none")
    job: object = pa.Field(description="which job; empty for none")
    outcome: object = pa.Field(isin=list(get_args(Outcome)), description="how it ended")
    prompt_tokens: int = pa.Field(ge=0, description="sent")
    completion_tokens: int = pa.Field(ge=0, description="answered")
    cached_tokens: int = pa.Field(ge=0, description="of those sent, what the provider had cached")
    cost_units: int = pa.Field(ge=0, description="in 10^-9 dollars")
    priced: int = pa.Field(ge=0, le=1, description="whether the price is known")
    is_estimate: int = pa.Field(ge=0, le=1, description="whether the tokens are estimated")
    latency_ms: float = pa.Field(ge=0, lt=float("inf"), description="from sending to the end of the answer")

    class Config(Table.Config):
        metadata = told(
            stands="what a job cost, and audits of the books: `blocks/accounts/checked.py`",
            fix="take the second row out of c500_calls, and its figures out of c500_totals; see docs/contracts.md",
        )

    @rule("at", "be at or after that of the row before")
    def in_order(cls, table: "Columns") -> "Column":
        return np.diff(table["at"], prepend=table["at"][:1]) >= 0

    @rule("account", "have a value but for an answer from a cache")
    def answered_by(cls, table: "Columns") -> "Column":
        return (table["account"] != "") | (table["outcome"] == "cached")

    @rule("id", "be the only row of its call: one before has the same moment, figures and owner")
    def booked_once(cls, table: "Columns") -> "Column":
        # Two calls never end in the same quarter of a microsecond with the same latency. Answers from a cache, which
        # cost nothing, may: they have no latency worth the name.
        at = table["at"]
        once = np.ones(len(at), np.bool_)
        near = np.flatnonzero(np.diff(at) == 0)
        places = np.unique(np.concatenate([near, near + 1]))
        if len(places):
            same = pd.DataFrame({name: values[places] for name, values in table.items() if name != "id"})
            once[places] = ~same.duplicated(keep="first").to_numpy() | (table["outcome"][places] == "cached")
        return once


class CallTotals(Table):
    """A day of one account, model, user and outcome: its sums in the books beside the same of its calls."""

    day: object = pa.Field(description="of UTC")
    account: object = pa.Field(description="which account")
    model: object = pa.Field(description="which model")
    user: object = pa.Field(description="who pays")
    outcome: object = pa.Field(isin=list(get_args(Outcome)), description="how the calls ended")
    calls: int = pa.Field(ge=0, description="how many, by the sums")
    calls_counted: int = pa.Field(ge=0, description="how many there are")
    prompt_tokens: int = pa.Field(ge=0, description="sent, by the sums")
    prompt_tokens_counted: int = pa.Field(ge=0, description="sent")
    completion_tokens: int = pa.Field(ge=0, description="answered, by the sums")
    completion_tokens_counted: int = pa.Field(ge=0, description="answered")
    cost_units: int = pa.Field(ge=0, description="in 10^-9 dollars, by the sums")
    cost_units_counted: int = pa.Field(ge=0, description="in 10^-9 dollars")

    class Config(Table.Config):
        metadata = told(
            stands="audits of the books: `blocks/accounts/checked.py`",
            fix="set the sums of c500_totals to those of c500_calls; see docs/contracts.md",
        )

    @rule("calls", "be calls_counted")
    def as_many(cls, table: "Columns") -> "Column":
        return table["calls"] == table["calls_counted"]

    @rule("prompt_tokens", "be prompt_tokens_counted")
    def as_many_sent(cls, table: "Columns") -> "Column":
        return table["prompt_tokens"] == table["prompt_tokens_counted"]

    @rule("completion_tokens", "be completion_tokens_counted")
    def as_many_answered(cls, table: "Columns") -> "Column":
        return table["completion_tokens"] == table["completion_tokens_counted"]

    @rule("cost_units", "be cost_units_counted")
    def as_dear(cls, table: "Columns") -> "Column":
        return table["cost_units"] == table["cost_units_counted"]
