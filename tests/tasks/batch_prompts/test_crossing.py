"""Rows that a batch dropped or doubled, and cells that the plan does not allow, are named before a file has them."""

import csv
import random
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from blocks.contracts.broken import ContractBroken
from tasks.batch_prompts.crossing import Outgoing, check_coverage, counted_in
from tasks.batch_prompts.ledger import Ledger, Spent, open_ledger
from tasks.batch_prompts.output import write_output
from tasks.batch_prompts.plan import Plan, read_plan
from tasks.batch_prompts.report import coverage_of
from tasks.batch_prompts.source import read_items
from tasks.batch_prompts.survey import survey
from tests.flows.batch_prompting import GROUPS, plan_file, table, texts

COLUMNS: dict[str, dict[str, Any]] = {
    "finding": {"type": "text", "max_chars": 40},
    "mood": {"type": "choice", "choices": ["tốt", "xấu"]},
    "score": {"type": "integer", "min": 0, "max": 10, "optional": True},
    "share": {"type": "number", "min": 0, "max": 1},
    "is_new": {"type": "boolean", "optional": True},
    "day": {"type": "date", "optional": True},
}


def made(tmp_path: Path, rows: int, **more: Any) -> Plan:
    tmp_path.mkdir(exist_ok=True)
    table(tmp_path, texts(rows), GROUPS[:1])
    return read_plan(plan_file(tmp_path, columns=COLUMNS, **more))


def cells(chance: random.Random) -> dict[str, Any]:
    return {
        "finding": chance.choice(("đau vai", "x" * 40, "=1+1")),
        "mood": chance.choice(("tốt", "xấu")),
        "score": chance.choice((None, 0, 10)),
        "share": chance.choice((0, 1, 0.5)),
        "is_new": chance.choice((None, True, False)),
        "day": chance.choice((None, "2026-11-22")),
    }


def answered(plan: Plan, ledger: Ledger, seed: int = 0) -> None:
    """Answers to all rows but every seventh."""
    chance = random.Random(seed)
    for item in ledger.every():
        if item.number % 7:
            found = {item.number: {unit: cells(chance) for unit in plan.per_row.units}}
            ledger.save([item], found, Spent(cost_usd=0.1))


def test_clean_batches_are_not_flagged(tmp_path: Path) -> None:
    for seed in range(20):
        plan = made(tmp_path / str(seed), 3 + seed)
        with open_ledger(plan) as ledger:
            survey(plan, ledger)
            answered(plan, ledger, seed)
            written = write_output(plan, ledger)
            groups = coverage_of(plan, ledger)
            check_coverage(groups, plan)
        assert written == sum(one.written for one in groups)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("json_set(content, '$.mood', 'so so')", "column value.mood: must be one of 'tốt', 'xấu', found 'so so'"),
        ("json_set(content, '$.score', 11)", "column value.score: must be at most 10, found 11"),
        ("json_set(content, '$.score', 1.5)", "column value.score: must be a whole number, found 1.5"),
        ("json_set(content, '$.score', 'ten')", "column value.score: must be a number, found 'ten'"),
        ("json_set(content, '$.share', -0.5)", "column value.share: must be at least 0"),
        ("json_set(content, '$.finding', ' ')", "column value.finding: must not be blank"),
        ("json_set(content, '$.finding', printf('%050d', 1))", "column value.finding: must have at most 40 characters"),
        ("json_remove(content, '$.finding')", "column value.finding: must have a value"),
        ("json_set(content, '$.is_new', 'yes')", "column value.is_new: must be a number, found 'yes'"),
        ("json_set(content, '$.day', '22.11.2026')", "column value.day: must be a day as YYYY-MM-DD"),
    ],
)
def test_a_cell_that_the_plan_does_not_allow_is_named_and_no_file_has_it(
    tmp_path: Path, change: str, told: str
) -> None:
    plan = made(tmp_path, 5)
    with open_ledger(plan) as ledger:
        survey(plan, ledger)
        answered(plan, ledger)
        write_output(plan, ledger)
        before = plan.place(".csv").read_bytes()
        key = ledger.items([3])[0].key
        with sqlite3.connect(ledger.path) as database:
            database.execute(f"UPDATE answers SET content = {change} WHERE key = ? AND place = 1", (key,))
        with pytest.raises(ContractBroken) as caught:
            write_output(plan, ledger)
    assert told in caught.value.message
    assert "row 3, column value." in caught.value.message
    assert plan.place(".csv").read_bytes() == before
    assert not list(tmp_path.glob(".*.new"))


def outgoing(plan: Plan, change: Callable[[list[Any]], list[Any]]) -> None:
    """What a batch of six rows writes, changed."""
    units = plan.per_row.units
    chance = random.Random(1)
    rows = [(row, at, "spa", [*cells(chance).values()]) for row in range(1, 7) for at in range(len(units))]
    going = Outgoing(plan)
    going.add(*change(rows))
    going.end()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda rows: rows[:5] + rows[6:], "column unit: must be the next one of its row"),
        (lambda rows: [*rows[:6], rows[5], *rows[6:]], "column unit: must be the next one of its row"),
        (
            lambda rows: [*rows[:8], *rows[4:8], *rows[8:]],
            "row 2, column row: must be that of the line before, or above",
        ),
        (lambda rows: rows[4:] + rows[:4], "row 1, column row: must be that of the line before, or above"),
        (lambda rows: [*rows[:5], (4, *rows[5][1:]), *rows[6:]], "row 4, column row: must be that of the line before"),
    ],
)
def test_lines_that_were_dropped_doubled_or_moved_are_named(
    tmp_path: Path, change: Callable[[list[Any]], list[Any]], told: str
) -> None:
    plan = made(tmp_path, 6)
    assert len(plan.per_row.units) == 4
    outgoing(plan, list)
    with pytest.raises(ContractBroken) as caught:
        outgoing(plan, change)
    assert told in str(caught.value.details["faults"])


def test_order_holds_from_one_chunk_to_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.batch_prompts.crossing.CHUNK", 8)
    plan = made(tmp_path, 6)
    going, chance = Outgoing(plan), random.Random(1)
    for row in (1, 2, 3, 4):
        going.add(*((row, at, "spa", [*cells(chance).values()]) for at in range(4)))
    going.add(*((4, at, "spa", [*cells(chance).values()]) for at in range(4)))
    with pytest.raises(ContractBroken, match="row 4, column row: must be that of the line before, or above it"):
        going.end()


def test_rows_that_the_written_file_lacks_or_doubles_are_told_by_group(tmp_path: Path) -> None:
    plan = made(tmp_path, 6)
    with open_ledger(plan) as ledger:
        survey(plan, ledger)
        answered(plan, ledger)
        write_output(plan, ledger)
        path = plan.place(".csv")
        with path.open(encoding="utf-8-sig", newline="") as file:
            head, *lines = csv.reader(file)
        for changed, told in ((lines[1:], "column missing"), ([*lines, lines[0]], "column duplicates")):
            with path.open("w", encoding="utf-8-sig", newline="") as file:
                csv.writer(file).writerows([head, *changed])
            with pytest.raises(ContractBroken, match=told):
                check_coverage(coverage_of(plan, ledger), plan)


def test_a_row_that_reading_loses_or_doubles_is_named_and_the_ledger_stays(tmp_path: Path) -> None:
    plan = made(tmp_path, 6)
    found = list(read_items(plan))
    assert list(counted_in(found)) == found
    with open_ledger(plan) as ledger:
        ledger.load(counted_in(found), plan.templates)
        for wrong in (found[:2] + found[3:], [*found, found[-1]]):
            with pytest.raises(ContractBroken, match="column row: must be the number of the row before and one more"):
                ledger.load(counted_in(wrong), plan.templates)
        assert list(ledger.every()) == found
