"""A fault that nobody foresaw fails its row and no other, and begins nothing more where it cannot be a row's."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from blocks.accounts.chat import Answer, Caller, ChatReply, ChatRequest, TokenUsage
from blocks.errors import BadInput, C500Error
from tasks.swarm.job import SwarmJob
from tasks.swarm.ledger import Ledger, open_ledger, places_of, read_ledger
from tasks.swarm.run import SwarmRun
from tasks.swarm.shards import work_in_shards
from tasks.swarm.survey import Survey
from tests.flows.swarming import lines


class Engine:
    """Answers with the prompt; what is asked about a broken row breaks, as a library would that we use.

    Args:
        break_down: Raises what it breaks with.
    """

    def __init__(self, break_down: Callable[[], Any]) -> None:
        self._break_down = break_down
        self.asked = 0

    async def complete(self, request: ChatRequest, caller: Caller | None = None) -> Answer:
        self.asked += 1
        said = str(request.messages[0]["content"])
        if "broken" in said:
            self._break_down()
        reply = ChatReply(text=said, finish_reason="stop", usage=TokenUsage(prompt_tokens=1, completion_tokens=1))
        return Answer(reply=reply, account="a", model="m", cost_usd=0.5, attempts=1, latency_s=0.0)


def job_of(folder: Path, rows: list[str], **fields: Any) -> SwarmJob:
    return SwarmJob(source=rows, prompt="{{ text }}", output=str(folder / "out.jsonl"), concurrency=1, **fields)


def run_of(job: SwarmJob, engine: Engine, ledger: Ledger) -> SwarmRun:
    return SwarmRun(job, engine, ledger, Survey(rows=len(job.source), due=len(job.source)))


async def worked(job: SwarmJob, engine: Engine) -> C500Error | None:
    """Do a job; gives what halted it."""
    with open_ledger(job) as ledger:
        run = run_of(job, engine, ledger)
        await work_in_shards(run, 100)
    return run.halted


@pytest.mark.parametrize("rows", [["broken", "b", "c"], ["a", "broken", "c"], ["a", "b", "broken"]])
async def test_a_row_that_breaks_its_work_fails_and_the_others_are_answered(
    prefect_api: str, rows: list[str], tmp_path: Path
) -> None:
    job = job_of(tmp_path, rows)
    assert await worked(job, Engine(lambda: 1 // 0)) is None
    assert len(lines(job.output)) == 2
    [failed] = lines(places_of(job).failures)
    assert (failed["code"], failed["input"]) == ("INTERNAL_ERROR", {"text": "broken"})
    assert failed["reason"].startswith("ZeroDivisionError")


async def test_where_every_row_breaks_none_has_failed(prefect_api: str, tmp_path: Path) -> None:
    engine, job = Engine(lambda: 1 // 0), job_of(tmp_path, ["broken"] * 50)
    halted = await worked(job, engine)
    assert halted
    assert isinstance(halted.__cause__, ZeroDivisionError)
    assert engine.asked == 10
    assert lines(places_of(job).failures) == []


async def test_rows_that_nobody_understands_have_not_failed_where_nobody_was_answered(
    prefect_api: str, tmp_path: Path
) -> None:
    def refuse() -> None:
        raise BadInput("not found", fix="correct the base_url")

    job = job_of(tmp_path, ["broken 1", "broken 2"])
    halted = await worked(job, Engine(refuse))
    assert halted
    assert halted.message == "not found"
    assert lines(places_of(job).failures) == []
    again = job_of(tmp_path, ["broken 1", "broken 2", "fine"])
    assert await worked(again, Engine(refuse)) is None
    assert [failed["row"] for failed in lines(places_of(job).failures)] == [1, 2]


async def test_after_a_fault_of_ours_no_further_shard_begins(prefect_api: str, tmp_path: Path) -> None:
    job = job_of(tmp_path, ["a", "b", "c"])
    run = run_of(job, Engine(lambda: None), read_ledger(job))  # it cannot be written to
    with pytest.raises(RuntimeError, match="reading only"):
        await run.work(1, asyncio.Event())
    async with asyncio.timeout(20):
        await work_in_shards(run, 1)
    assert run.is_halted
