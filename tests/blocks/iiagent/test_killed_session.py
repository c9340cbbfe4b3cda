"""A process that is killed in a turn, wherever it is: another goes on, and the task is done once."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from collections import Counter

import pytest

from tests.blocks.iiagent.killed_session import TASK, TOLD
from tests.fakes.iiagent import iiagent_server


async def killed_at_points(step: int, scenario: str = "happy") -> None:
    async with iiagent_server(scenario) as fake:
        program = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.blocks.iiagent.killed_session", fake.url, str(step), stdout=PIPE
        )
        said, _ = await program.communicate()
        assert program.returncode == 0, said
        told = [json.loads(line) for line in TOLD.read_text().splitlines()]
        assert len(told) > 20 / step
        assert any(line["unfinished"] for line in told) and not all(line["unfinished"] for line in told)
        done = Counter(run.session.id for run in fake.runs if run.outcome == "done")
        for line in told:
            assert line["turn"]["ended"] == "response", line
            assert len(line["turn"]["files"]) == 1, line
            assert done[line["session"]] == 1, line
        assert all(run.text.endswith(TASK) for run in fake.runs)
        assert fake.peak_agents == 1


async def test_killed_at_some_points_the_task_is_done_once() -> None:
    await killed_at_points(4)


@pytest.mark.soak
@pytest.mark.parametrize("scenario", ["happy", "error_401", "error_429", "error_400", "drop_mid_run", "busy"])
async def test_killed_at_any_point_the_task_is_done_once(scenario: str) -> None:
    await killed_at_points(1, scenario)
