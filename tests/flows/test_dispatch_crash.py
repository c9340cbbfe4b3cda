"""A request whose process is killed goes on where it stopped: no finished sub-task is asked twice."""

import asyncio
import random
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from pathlib import Path

import pytest

from tasks.dispatch.result import DispatchResult
from tests.fakes.llm.team import Held, Team, team
from tests.flows.dispatching import SIX
from tests.processes import eventually

STEPS = 9
"""Calls of the whole request: plan, six sub-tasks, merge, evaluation."""


@pytest.fixture
def accounts_file(prefect_server: str, tmp_path: Path) -> Path:
    """Where the settings of child processes look for accounts."""
    return tmp_path / "accounts.yaml"


async def start() -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.flows.run_dispatch", stdout=PIPE, stderr=PIPE
    )


async def finish() -> DispatchResult:
    process = await start()
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return DispatchResult.model_validate_json(output.splitlines()[-1])


async def kill(process: Process) -> None:
    process.kill()
    assert await process.wait() == -signal.SIGKILL


def kept(store: Path) -> set[str]:
    """Sub-tasks whose results are stored."""
    return {path.stem for path in store.glob("dispatches/*/tasks/*.md")}


async def test_a_killed_request_repeats_no_finished_sub_task(accounts_file: Path, tmp_path: Path) -> None:
    held = Held("costs")
    async with team(accounts_file, {"plan": SIX}, gate=held) as models:
        process = await start()
        await models.until("costs")
        await eventually(lambda: kept(tmp_path / "store") == {"rent", "demand", "staff", "rivals"})
        # A step is stored a moment after its file is written; the next one of the same process begins after that.
        await eventually(lambda: len(list((tmp_path / "store/results").glob("sub-task-*"))) == 4)
        await kill(process)
        held.opened.set()
        result = await finish()
    assert result.status == "complete"
    assert Counter(models.arrived) == Counter(
        ["plan", "rent", "demand", "staff", "rivals", "costs", "costs", "proposal", "merge", "evaluate"]
    )
    assert result.calls == STEPS


@pytest.mark.soak
async def test_a_request_killed_at_10_random_moments_completes(accounts_file: Path, tmp_path: Path) -> None:
    chance = random.Random(20261121)
    async with team(accounts_file, {"plan": SIX}, latency={"mean_ms": 200}) as models:
        for _ in range(10):
            process = await start()
            before = len(models.arrived)
            wanted = before + chance.randint(1, 3)
            await eventually(lambda: len(models.arrived) >= wanted or process.returncode is not None, 60)  # noqa: B023
            if process.returncode is None:
                await kill(process)
        result = await finish()
    assert result.status == "complete"
    assert_little_was_repeated(models)


def assert_little_was_repeated(models: Team) -> None:
    """Only calls in hand when a process was killed come again: at most four at a time."""
    assert len(models.arrived) <= STEPS + 10 * 4
