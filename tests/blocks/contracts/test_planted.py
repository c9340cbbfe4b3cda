"""Each rule of each contract catches the defect that breaks it, by row and column, and none flags clean tables."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from blocks.contracts.broken import ContractBroken
from blocks.contracts.check import check, faults_in, keeps
from blocks.contracts.faults import must
from blocks.contracts.registry import MODELS, contract
from blocks.contracts.rules import ANY_TEXT
from tests.blocks.contracts.clean import MAKERS, changed, clean

CLEAN_RUNS = 20

Plant = Callable[[dict[str, Any]], dict[str, Any]]


def put(column: str, value: object, row: int = 1) -> Plant:
    """A cell with another value."""
    return lambda table: changed(table, column, row, value)


def shifted(by_s: float, *columns: str, since: int = 0) -> Plant:
    """Times moved from a row on."""

    def plant(table: dict[str, Any]) -> dict[str, Any]:
        moved = {name: np.concatenate([table[name][:since], table[name][since:] + by_s]) for name in columns}
        return {**table, **moved}

    return plant


def doubled(row: int = 1, **other: object) -> Plant:
    """A row that is there twice, the second one right below, with other values where they are given."""

    def plant(table: dict[str, Any]) -> dict[str, Any]:
        rows = np.sort(np.append(np.arange(len(next(iter(table.values())))), row))
        twice = {name: values[rows] for name, values in table.items()}
        for name, value in other.items():
            twice[name][row + 1] = value
        return twice

    return plant


def dropped(row: int = 1, *, keep: str = "") -> Plant:
    """A row that is not there; the column that counts goes on counting."""

    def plant(table: dict[str, Any]) -> dict[str, Any]:
        return {name: values[:-1] if name == keep else np.delete(values, row) for name, values in table.items()}

    return plant


PLANTED: list[tuple[str, str, Plant]] = [
    ("segments", "end_s", put("end_s", 0.0, row=5)),
    ("segments", "end_s", shifted(90.0, "start_s", "end_s")),
    ("segments", "start_s", shifted(-7.0, "start_s", "end_s", since=20)),
    ("segments", "end_s", shifted(-30.0, "recording_s")),  # the audio was cut, and the transcript was not
    ("segments", "start_s", doubled(row=3)),
    ("segments", "start_s", put("start_s", -0.5)),
    ("segments", "end_s", put("end_s", -0.5)),
    ("segments", "recording_s", put("recording_s", -1.0)),
    ("segments", "text", put("text", " \u00a0\t")),
    ("segments", "text", put("text", None)),
    ("segments", "speaker", put("speaker", 3)),
    ("segments", "avg_logprob", put("avg_logprob", 0.5)),
    ("segments", "no_speech_prob", put("no_speech_prob", 1.2)),
    ("segments", "no_speech_prob", put("no_speech_prob", -0.2)),
    ("words", "start_s", shifted(-1.0, "start_s", "end_s", since=3)),
    ("words", "end_s", shifted(30.0, "start_s", "end_s", since=3)),
    ("words", "end_s", put("end_s", 0.0, row=7)),
    ("words", "start_s", put("start_s", -0.5)),
    ("words", "end_s", put("end_s", -0.5)),
    ("words", "segment", put("segment", -1, row=0)),
    ("words", "segment_start_s", put("segment_start_s", -1.0)),
    ("words", "segment_end_s", put("segment_end_s", -1.0)),
    ("words", "probability", put("probability", 1.5)),
    ("words", "probability", put("probability", -0.5)),
    ("words", "text", put("text", 5)),
    ("swarm rows", "row", dropped(keep="counted")),
    ("swarm rows", "row", put("row", 0)),
    ("swarm rows", "counted", put("counted", 0)),
    ("swarm rows", "key", doubled()),
    ("swarm rows", "key", put("key", "0123")),
    ("swarm rows", "key", put("key", 7)),
    ("swarm answers", "key", doubled()),
    ("swarm answers", "key", put("key", "0123")),
    ("swarm answers", "key", put("key", None)),
    ("swarm answers", "row", put("row", 0)),
    ("swarm answers", "row", put("row", None)),
    ("swarm answers", "source", put("source", "guess")),
    ("swarm answers", "said", put("said", 0)),
    ("swarm answers", "account", lambda table: changed(changed(table, "source", 1, "model"), "account", 1, None)),
    ("swarm answers", "model", put("model", 5)),
    *(
        (name, column, put(column, -1))
        for name in ("swarm answers", "swarm failures")
        for column in ("prompt_tokens", "completion_tokens", "cached_tokens", "cost_usd", "attempts", "latency_s")
    ),
    *(
        (name, column, put(column, float("inf")))
        for name in ("swarm answers", "swarm failures")
        for column in ("cost_usd", "latency_s")
    ),
    ("swarm failures", "key", put("key", "0123")),
    ("swarm failures", "row", put("row", 0)),
    ("swarm failures", "code", put("code", " ")),
    ("swarm failures", "reason", put("reason", 5)),
    ("batch rows", "row", dropped(keep="counted")),
    ("batch rows", "row", put("row", 0)),
    ("batch rows", "counted", put("counted", 0)),
    ("batch rows", "key", doubled()),
    ("batch rows", "key", put("key", "0123")),
    ("batch rows", "group", put("group", None)),
    ("batch rows", "group", put("group", 5)),
    ("batch answers", "unit", put("unit", 1, row=0)),
    ("batch answers", "row", doubled(row=0)),
    ("batch answers", "row", put("row", 0)),
    ("batch answers", "row_before", put("row_before", -1)),
    ("batch answers", "unit", put("unit", -1)),
    ("batch answers", "units", put("units", 0)),
    ("batch answers", "group", put("group", " ")),
    ("batch answers", "group", put("group", 5)),
    ("batch coverage", "rows", put("rows", 4_000)),
    ("batch coverage", "missing", put("missing", 3)),
    ("batch coverage", "duplicates", put("duplicates", 1)),
    ("batch coverage", "blanks", put("blanks", 1)),
    ("batch coverage", "group", put("group", "spa")),
    ("batch coverage", "group", put("group", 5)),
    *(
        ("batch coverage", name, put(name, -1))
        for name in ("rows", "answered", "partial", "review", "rejected", "new", "written")
    ),
    (
        "crossing",
        "times_out",
        lambda table: changed(changed(table, "times_in", 1, 1), "times_out", 1, 0),
    ),
    ("crossing", "times_out", put("times_out", 2)),
    ("crossing", "times_out", put("times_out", -1)),
    ("crossing", "times_in", put("times_in", 2)),
    ("crossing", "times_in", put("times_in", -1)),
    ("crossing", "row", put("row", 1)),
    ("crossing", "row", put("row", 0)),
    ("calls", "id", lambda table: doubled(id=10**7)(changed(table, "outcome", 1, "ok"))),
    ("calls", "id", doubled()),
    ("calls", "id", put("id", 0)),
    ("calls", "at", put("at", 1.0, row=2)),
    ("calls", "at", put("at", 0.0, row=0)),
    ("calls", "at", put("at", float("inf"), row=2)),
    ("calls", "account", lambda table: changed(changed(table, "account", 1, ""), "outcome", 1, "ok")),
    ("calls", "outcome", put("outcome", "fine")),
    ("calls", "user", put("user", 5)),
    *(
        ("calls", name, put(name, -1))
        for name in (
            *("prompt_tokens", "completion_tokens", "cached_tokens"),
            *("cost_units", "priced", "is_estimate", "latency_ms"),
        )
    ),
    *(("calls", name, put(name, 2)) for name in ("priced", "is_estimate")),
    ("calls", "latency_ms", put("latency_ms", float("inf"))),
    *(
        ("call totals", name, put(name, value))
        for name in ("calls", "prompt_tokens", "completion_tokens", "cost_units")
        for value in (-1, 10**15)
    ),
    *(
        ("call totals", f"{name}_counted", put(f"{name}_counted", -1))
        for name in ("calls", "prompt_tokens", "completion_tokens", "cost_units")
    ),
    ("call totals", "outcome", put("outcome", "fine")),
    ("call totals", "day", put("day", 5)),
    ("job metrics", "job_id", lambda table: doubled()(table)),
    ("job metrics", "job_id", put("job_id", "")),
    ("job metrics", "engine", put("engine", 5)),
    ("job metrics", "kind", put("kind", "video")),
    ("job metrics", "status", put("status", "fine")),
    ("job metrics", "audio_s", lambda table: changed(changed(table, "kind", 1, "audio"), "audio_s", 1, float("nan"))),
    *(
        ("job metrics", name, put(name, value))
        for name in ("audio_s", "processing_s", "rtf", "edit_rate", "cost_usd")
        for value in (-1, float("inf"))
    ),
    *(("job metrics", "finished_at", put("finished_at", value)) for value in (0.0, float("inf"))),
    *(("job metrics", name, put(name, value)) for name in ("coverage", "confidence") for value in (-0.1, 1.1)),
    ("job metrics", "tokens", put("tokens", -1)),
    ("period metrics", "name", doubled()),
    ("period metrics", "name", put("name", 5)),
    ("period metrics", "until", put("until", 5.0)),
    *(("period metrics", name, put(name, value)) for name in ("since", "until") for value in (0.0, float("inf"))),
    ("period metrics", "recordings", put("recordings", 10_000)),
    *(("period metrics", name, put(name, -1)) for name in ("jobs", "recordings")),
    *(
        ("period metrics", name, put(name, value))
        for name in ("audio_min", "rtf", "edit_rate", "cost_usd", "cost_per_min")
        for value in (-1, float("inf"))
    ),
    *(
        ("period metrics", name, put(name, value))
        for name in ("coverage", "confidence", "partial_share")
        for value in (-0.1, 1.1)
    ),
    ("period metrics", "verdict", put("verdict", "fine")),
]


def rules_of(name: str) -> set[tuple[str, str]]:
    """Column and rule of all that a contract asks for, its types and gaps aside."""
    schema = contract(name).schema
    own = {(column, must(one)) for column, what in schema.columns.items() for one in what.checks}
    unique = {(column, "be there once only") for column, what in schema.columns.items() if what.unique}
    return own | unique | {(str(one.title), must(one)) for one in schema.checks if one.title != ANY_TEXT}


def test_a_line_that_is_missing_among_those_of_its_row_is_named() -> None:
    tables = [table for seed in range(20) if (table := clean("batch answers", seed))["units"][0] > 1]
    for table in tables:
        with pytest.raises(ContractBroken, match="row 1, column unit: must be the next one of its row"):
            check("batch answers", dropped()(table))


@pytest.mark.parametrize("name", MODELS)
def test_nothing_is_flagged_in_clean_tables(name: str) -> None:
    for seed in range(CLEAN_RUNS):
        table = clean(name, seed)
        check(name, table)
        assert keeps(contract(name), table), "a clean table needs no second look"


def test_there_are_clean_tables_of_every_contract() -> None:
    assert set(MAKERS) == set(MODELS)


@pytest.mark.parametrize("name", MODELS)
def test_each_planted_defect_is_named_and_every_rule_has_one_that_it_catches(name: str) -> None:
    found: set[tuple[str, str]] = set()
    for column, plant in [(column, plant) for planted, column, plant in PLANTED if planted == name]:
        faults = faults_in(contract(name), plant(clean(name, 0)))
        assert column in {one.column for one in faults}, faults
        found |= {(one.column, one.must) for one in faults}
    assert rules_of(name) <= found
    objects = [column for column, what in contract(name).schema.columns.items() if str(what.dtype) == "object"]
    assert not objects or any(rule == "be a text" for _, rule in found)
