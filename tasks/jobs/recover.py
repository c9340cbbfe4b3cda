"""What becomes of runs whose process is gone: run again from the steps they finished, or given up."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Literal
from uuid import UUID

import structlog
from prefect import task
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.client.schemas.responses import SetStateStatus
from prefect.exceptions import ObjectNotFound
from prefect.states import AwaitingRetry, Crashed

from blocks.runs.calls import recovering
from blocks.runs.lost import is_job, is_lost, last_heartbeat, lost_runs
from blocks.settings import settings
from tasks.jobs.dead_letter import give_up

log = structlog.stdlib.get_logger("c500")

STOPPED = "aborted by a termination signal"
"""In the message of a run whose process ended on SIGTERM (Prefect 3.8); the kernel, short of memory, sends SIGKILL."""

NOT_STARTED = "It was not started in time."

Recovery = Literal["retried", "given up", "left alone"]


def crashes(states: Iterable[State]) -> int:
    """How often a run crashed since it was last given up, by its states in the order of time.

    One whose worker was stopped politely, as for a new version, did nothing wrong.
    """
    count = 0
    for state in states:
        if state.type == StateType.FAILED:
            count = 0
        elif state.type == StateType.CRASHED and STOPPED not in (state.message or ""):
            count += 1
    return count


def false_starts(states: Iterable[State]) -> int:
    """How often a run was put back unstarted since it last ran, by its states in the order of time."""
    count = 0
    for state in states:
        if state.type in (StateType.RUNNING, StateType.FAILED):
            count = 0
        elif state.message == NOT_STARTED:
            count += 1
    return count


def delay_s(crashed: int, first_s: float) -> float:
    """Seconds to wait before the next attempt: none after the first crash, then doubling from `first_s`."""
    return 0.0 if crashed <= 1 else first_s * 2 ** (crashed - 2)


@task(name="find-lost-runs")
async def find_lost_runs() -> list[UUID]:
    """Job runs that crashed, were not started or went silent."""
    async with get_client() as client:
        return [run.id for run in await lost_runs(client)]


@task(name="recover-run")
async def recover_run(run_id: UUID) -> Recovery:
    """Run a lost run again, or give it up when it was lost too often. Whoever comes second does nothing.

    The run itself is scheduled again, so its id stays and the steps it finished are found in the store.
    """
    async with get_client() as client, recovering(run_id):
        try:
            run = await client.read_flow_run(run_id)
        except ObjectNotFound:  # somebody deleted it
            return "left alone"
        if not await is_job(client, run) or not is_lost(run, await last_heartbeat(client, run)):
            return "left alone"
        if run.state_type == StateType.RUNNING:
            await client.set_flow_run_state(run_id, Crashed(message="It gave no sign of life."))
            run = await client.read_flow_run(run_id)
        return await _recover(client, run)


async def _recover(client: PrefectClient, run: FlowRun) -> Recovery:
    states = sorted(await client.read_flow_run_states(run.id), key=lambda state: state.timestamp)
    pending = run.state_type == StateType.PENDING
    times = false_starts(states) + 1 if pending else crashes(states)
    if times > settings().max_crash_retries:
        why = "workers took the job and did not start it" if pending else "the process of the job died"
        await give_up(client, run, f"{why} {times} times", times)
        return "given up"
    wait_s = 0.0 if pending else delay_s(times, settings().crash_retry_delay_s)
    why = NOT_STARTED if pending else f"Its process died; attempt {run.run_count + 1}."
    state = AwaitingRetry(scheduled_time=datetime.now(UTC) + timedelta(seconds=wait_s), message=why)
    result = await client.set_flow_run_state(run.id, state)
    log.warning(
        "run recovered", flow_run_id=str(run.id), why=why, times=times, wait_s=wait_s, answer=result.status.value
    )
    return "retried" if result.status == SetStateStatus.ACCEPT else "left alone"
