"""Rows that a swarm dropped, doubled or wrote wrongly are named at its end; its clean runs are not flagged."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from blocks.contracts.broken import ContractBroken
from tasks.swarm.counted import counted_in
from tasks.swarm.crossing import check_out, look_over
from tasks.swarm.index import Item, items
from tasks.swarm.job import SwarmJob
from tasks.swarm.journal import line_of
from tasks.swarm.ledger import open_ledger
from tasks.swarm.run import SwarmRun
from tasks.swarm.survey import survey
from tests.tasks.swarm.test_run import Engine, job_of

Change = Callable[[list[dict[str, Any]]], list[dict[str, Any]]]


def breaks() -> None:
    raise LookupError("a library of ours broke")


async def all_rows(run: SwarmRun) -> None:
    """Work as a shard does it, without the Prefect task around it, which costs more than all the rest."""
    await run.work(100, asyncio.Event())
    run.settle()


async def run_with(job: SwarmJob, change: Change = list, failed: Change = list) -> SwarmRun:
    """Do a job; its lines are changed before they are looked over."""
    with open_ledger(job) as ledger:
        seen = survey(job, ledger)
        run, before = SwarmRun(job, Engine(breaks), ledger, seen), ledger.sizes
        await all_rows(run)
        for path, altered in ((ledger.places.answers, change), (ledger.places.failures, failed)):
            lines = [json.loads(line) for line in path.read_text().splitlines()]
            path.write_bytes(b"".join(map(line_of, altered(lines))))
        await look_over(run, before)
    return run


ROWS = [f"row {at}" for at in range(12)]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda lines: lines[1:], "row 1, column times_out: must be times_in: a row with fewer is dropped"),
        (lambda lines: [*lines, lines[4]], "row 5, column key: must be there once only"),
        (lambda lines: [*lines, {**lines[4], "key": lines[4]["key"] + "-7"}], "row 5, column times_out"),
        (lambda lines: [*lines[:-1], {**lines[-1], "row": 1}], "row 1, column times_out"),
        (lambda lines: [*lines, {**lines[4], "key": lines[4]["key"] + "-7", "row": 99}], "row 99, column times_out"),
        (lambda lines: [{**line, "cost_usd": -1} for line in lines], "row 1, column cost_usd: must be at least 0"),
        (lambda lines: [{k: v for k, v in line.items() if k != "text"} for line in lines], "row 1, column said"),
        (lambda lines: [{k: v for k, v in line.items() if k != "tokens"} for line in lines], "column prompt_tokens"),
        (lambda lines: [{**lines[0], "account": None}, *lines[1:]], "row 1, column account: must have a value"),
    ],
)  # fmt: skip
async def test_a_defect_in_the_output_halts_the_swarm(tmp_path: Path, change: Change, told: str) -> None:
    run = await run_with(job_of(tmp_path, ROWS), change)
    assert isinstance(run.halted, ContractBroken)
    assert told in run.halted.message
    assert str(tmp_path / "out.jsonl") in run.halted.message or "source" in run.halted.message


async def test_clean_runs_are_not_flagged_nor_their_failures(tmp_path: Path) -> None:
    for seed in range(20):
        folder = tmp_path / str(seed)
        folder.mkdir()
        rows = [f"row {at}" if at % (seed + 2) else "broken" for at in range(seed + 1)] + ["good", "good"]
        job = job_of(folder, rows)
        assert (await run_with(job)).halted is None
        if seed % 7 == 0:
            again = await run_with(job.model_copy(update={"retry_failed": True}))
            assert not isinstance(again.halted, ContractBroken)  # though it may be, as none is answered
            more = job_of(folder, ["new at the top", *rows])
            assert (await run_with(more)).halted is None


async def test_a_failure_that_was_not_written_is_a_dropped_row(tmp_path: Path) -> None:
    run = await run_with(job_of(tmp_path, ["good", "broken"]), failed=lambda lines: lines[:0])
    assert isinstance(run.halted, ContractBroken)
    assert "row 2, column times_out" in run.halted.message


async def test_what_a_halted_run_leaves_is_not_called_dropped_and_what_it_doubles_is(tmp_path: Path) -> None:
    job = job_of(tmp_path, ["broken"] * 12)
    with open_ledger(job) as ledger:
        run, before = SwarmRun(job, Engine(breaks), ledger, survey(job, ledger)), ledger.sizes
        await all_rows(run)
        assert run.halted is not None
        check_out(run, before)
        for suffix in ("", "-20"):
            key = next(items(job)).key + suffix
            ledger.answer({**_line(key), "row": 1})
        with pytest.raises(ContractBroken, match=r"row 1, column times_out: must be times_in.*found 2"):
            check_out(run, before)


def _line(key: str) -> dict[str, Any]:
    tokens = {"prompt": 1, "completion": 1, "cached": 0}
    taken = {"tokens": tokens, "cost_usd": 0.5, "attempts": 1, "latency_s": 0.1, "finish_reason": "stop"}
    return {"key": key, "source": "model", "text": "x", "account": "a", "model": "m", **taken}


def test_an_output_that_answers_a_row_twice_is_refused_before_anything_is_spent(tmp_path: Path) -> None:
    job = job_of(tmp_path, ROWS)
    with open_ledger(job) as ledger:
        ledger.answer({**_line(next(items(job)).key), "row": 1})
    output = Path(job.output)
    output.write_text(output.read_text() * 2)
    with pytest.raises(ContractBroken, match="row 1, column key: must be there once only"), open_ledger(job):
        pass


def test_a_row_that_reading_loses_or_doubles_is_named(tmp_path: Path) -> None:
    found = list(items(job_of(tmp_path, [f"row {at}" for at in range(6_000)])))
    assert list(counted_in(found)) == found
    for wrong in (found[:3] + found[4:], found[:5_500] + found[5_501:]):
        with pytest.raises(ContractBroken, match="column row: must be the number of the row before"):
            list(counted_in(wrong))
    with pytest.raises(ContractBroken, match="column key: must be there once only"):
        list(counted_in([found[0], Item(2, found[0].key, {})]))
