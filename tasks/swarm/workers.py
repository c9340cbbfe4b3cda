"""A swarm spread over the workers of a pool: a run of the deployment `swarm-shard` for each part of the rows."""

import asyncio
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.deployments.flow_runs import arun_deployment
from prefect.exceptions import ObjectNotFound

from blocks.errors import (
    BudgetExceeded,
    C500Error,
    Conflict,
    EngineFailed,
    EngineUnavailable,
    LimitReached,
    Stopped,
    TimedOut,
)
from blocks.runs import cancel_run, read_run
from blocks.settings import settings
from tasks.swarm.job import SwarmJob
from tasks.swarm.journal import Record
from tasks.swarm.ledger import Ledger, merge, parts_of, places_of
from tasks.swarm.run import SwarmRun
from tasks.swarm.tally import Tally

SHARD = "swarm-shard/swarm-shard"
POLL_S = 1.0
READ_BYTES = 2**20

ERRORS: dict[str, type[C500Error]] = {
    kind.code: kind for kind in (BudgetExceeded, Conflict, LimitReached, EngineUnavailable, TimedOut)
}
"""Ends of a shard that are told as what they are; the others are failures of it."""


async def work_in_workers(run: SwarmRun) -> None:
    """Have all rows done by workers, which must see the same files as this process, and take over what they did.

    A shard whose process dies is run again, up to MAX_CRASH_RETRIES times. When this is cancelled, so are the shards,
    and the next run takes over what they did.

    Raises:
        EngineUnavailable: there is no deployment `swarm-shard`.
    """
    job, spans = run.job, spans_of(run.survey.rows, run.job.workers)
    counting = asyncio.create_task(_count(job, len(spans), run.tally))
    try:
        async with get_client() as client, asyncio.TaskGroup() as parts:
            for part, span in enumerate(spans):
                parts.create_task(_work_part(client, run, job.model_copy(update={"part": part}), span))
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None
    finally:
        counting.cancel()
        with suppress(asyncio.CancelledError):
            await counting
    collect_parts(job, run.ledger)


def collect_parts(job: SwarmJob, ledger: Ledger) -> None:
    """Take over what lies in parts, those that a killed run left too. Raises `Conflict`: a shard still writes."""
    for part in parts_of(job):
        merge(ledger, part)


def spans_of(rows: int, parts: int) -> list[tuple[int, int]]:
    """The rows 1 to `rows` in so many spans of nearly the same length: first and last row of each."""
    edges = [rows * part // parts for part in range(parts + 1)]
    return [(before + 1, last) for before, last in pairwise(edges) if last > before]


async def _work_part(client: PrefectClient, run: SwarmRun, part: SwarmJob, span: tuple[int, int]) -> None:
    """Have one part done; what ends it early ends the swarm, once the other parts have seen it too."""
    parameters = {"job": part.model_dump(mode="json"), "first": span[0], "last": span[1]}
    ended = await _run_shard(client, parameters)
    for _ in range(settings().max_crash_retries):
        if ended.state_type == StateType.CRASHED:
            ended = await _run_shard(client, parameters)
    if ended.state_type == StateType.CANCELLED:
        run.halt(Stopped("a shard was cancelled", fix="run it again to go on"))
    elif ended.state_type != StateType.COMPLETED:
        told = (await read_run(client, ended.id)).error
        kind = ERRORS.get(told.code, EngineFailed) if told else EngineFailed
        message = told.message if told else "the process of a shard died too often"
        run.halt(kind(message, fix=told.fix if told else "see the log of its flow run"))


async def _run_shard(client: PrefectClient, parameters: dict[str, Any]) -> FlowRun:
    """A run of the deployment, as it ended; one that nobody waits for any more is cancelled."""
    name = f"rows {parameters['first']} to {parameters['last']}"
    try:
        run: Any = await arun_deployment(SHARD, client, parameters, timeout=0, flow_run_name=name)
    except ObjectNotFound as error:
        raise EngineUnavailable(f"there is no deployment {SHARD}", fix="run `c500 up`") from error
    is_final = False
    try:
        while not is_final:
            await asyncio.sleep(POLL_S)
            run = await client.read_flow_run(run.id)
            is_final = run.state is not None and run.state.is_final()
    finally:
        if not is_final:
            with suppress(C500Error):
                await asyncio.shield(cancel_run(client, run.id))
    return run


async def _count(job: SwarmJob, parts: int, tally: Tally) -> None:
    """Count the lines of all parts as they are written."""
    places = [places_of(job.model_copy(update={"part": part})) for part in range(parts)]
    files = [(one.answers, True) for one in places] + [(one.failures, False) for one in places]
    read = dict.fromkeys((path for path, _ in files), 0)
    ended = False
    while not ended:
        try:
            await asyncio.sleep(POLL_S)
        except asyncio.CancelledError:
            ended = True  # once more, for what was written since
        for path, is_answer in files:
            records, read[path] = added(path, read[path])
            while records:
                for record in records:
                    tally.add(record, is_answer=is_answer)
                records, read[path] = added(path, read[path])


def added(path: Path, offset: int) -> tuple[list[Record], int]:
    """Whole lines of a growing file from an offset on, about a megabyte of them, and the offset behind them."""
    if not path.exists():
        return [], offset
    with path.open("rb") as file:
        file.seek(offset)
        chunk = file.read(READ_BYTES)
        whole = chunk[: chunk.rfind(b"\n") + 1] or (chunk + file.readline() if chunk else b"")
    if not whole.endswith(b"\n"):
        return [], offset
    return [orjson.loads(line) for line in whole.splitlines()], offset + len(whole)
