"""Whatever a server does, a task ends in the right outcome, and its files here."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from blocks.errors import C500Error
from tasks.sessions import converse, watch
from tasks.sessions import perform as perform_module
from tasks.sessions.perform import perform
from tasks.sessions.report import result_markdown
from tasks.sessions.result import AgentResult
from tasks.sessions.task import agent_task_of
from tests.blocks.iiagent.opened import server_at
from tests.fakes.iiagent import FakeServer, iiagent_server
from tests.fakes.iiagent.hostile import HOSTILE_NAMES
from tests.flows.sessioning import GOAL, ROWS
from tests.tasks.sessions.scenarios import OUTCOMES


async def performed(
    url: str, *, sandbox: str = "local", limits: dict[str, Any] | None = None, **asked: Any
) -> AgentResult:
    task = agent_task_of(**{"prompt": GOAL, "checks": ROWS, "server": "fake", "into": "files", **asked})
    return await perform(task, server_at(url, sandbox=sandbox, limits=limits))


@pytest.mark.parametrize("scenario", OUTCOMES)
async def test_every_scenario_ends_in_its_outcome(scenario: str, tmp_path: Path) -> None:
    comes, given = OUTCOMES[scenario], tmp_path / "given.csv"
    given.write_text("a,b\n1,2\n")
    sandbox = "docker" if scenario == "docker_mode" else "local"
    async with iiagent_server(scenario) as fake:
        result = await performed(
            fake.url, sandbox=sandbox, checks=comes.checks, files=[str(given)], answer="In English."
        )
        assert (result.outcome.kind, result.stopped_by) == (comes.outcome, comes.stopped_by), result
        told = result.counters.model_dump()
        assert {name: told[name] for name in comes.counters} == comes.counters
        assert fake.peak_agents == 1
    assert result.files is not None
    assert result.done == (tmp_path / "files" / "files" / "output.csv").is_file()


async def test_names_that_lead_out_of_the_workspace_are_told_and_never_written(tmp_path: Path) -> None:
    before = set(tmp_path.iterdir())
    async with iiagent_server("hostile_paths") as fake:
        result = await performed(fake.url)
    assert result.done
    assert result.files is not None
    assert len(result.files.refused) >= len(HOSTILE_NAMES) // 2
    assert {path.name for path in set(tmp_path.iterdir()) - before} <= {"files", "agents", "logs", "store"}
    assert not list(tmp_path.parent.glob("escape.txt"))


async def test_a_server_that_restarts_costs_nothing_but_time() -> None:
    async with iiagent_server("close_1012") as fake:
        doing = asyncio.create_task(performed(fake.url))
        await fake.reached("restart")
        await fake.restart()
        result = await doing
        assert result.done
        assert result.counters.turns == 1
        assert fake.peak_agents == 1


async def test_a_server_that_stands_still_is_waited_for() -> None:
    async with iiagent_server("frozen") as fake:
        doing = asyncio.create_task(performed(fake.url, limits={"ping_every_s": 0.05, "dead_after_s": 30}))
        await fake.reached("thaw")
        await fake.until(lambda: fake.held)
        fake.open("thaw")
        assert (await doing).done
        assert fake.peak_agents == 1


SLOW = {"request_s": 3600, "cancel_s": 3600, "dead_after_s": 3600, "idle_window_s": 3600}
"""With these nobody notices that a server stands still, but by the task's own time."""


async def test_a_server_that_stands_still_is_left_when_the_tasks_time_is_used_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in (watch, converse, perform_module):
        monkeypatch.setattr(module, "HURRY_S", 0.1)
    async with iiagent_server("frozen") as fake:
        async with asyncio.timeout(60):
            result = await performed(fake.url, limits=SLOW, allowance={"wall_s": 2})
        assert (result.outcome.kind, result.stopped_by, result.files) == ("interrupted", "wall_clock", None)
        assert "No files were collected" in result_markdown(result)
        fake.open("thaw")
        assert not (await performed(fake.url, allowance={"wall_s": 2})).done
        assert len(fake.runs) == 1
        again = await performed(fake.url, again=True)
        assert again.done
        assert again.session_id == result.session_id
        assert fake.peak_agents == 1


async def test_a_turn_that_had_ended_is_looked_at_no_longer_than_the_tasks_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in (watch, converse, perform_module):
        monkeypatch.setattr(module, "HURRY_S", 0.1)
    async with iiagent_server("happy") as fake:
        freezing: list[asyncio.Task[None]] = []

        def freeze_at_the_end(kinds: list[str]) -> bool:
            return "agent_response" in kinds

        async def freeze() -> None:
            await fake.until(lambda: any(map(freeze_at_the_end, fake.sent.values())))
            freezing.append(asyncio.create_task(fake.freeze("thaw")))

        watching = asyncio.create_task(freeze())
        async with asyncio.timeout(60):
            result = await performed(fake.url, limits=SLOW | {"retries": 1000}, allowance={"wall_s": 2})
        assert (result.outcome.kind, result.stopped_by) == ("interrupted", "wall_clock")
        await watching
        fake.open("thaw")
        assert (await performed(fake.url, again=True)).done
        assert len(fake.runs) == 1


async def test_a_server_that_hears_no_more_is_left_and_met_again() -> None:
    async with iiagent_server("zombie_after_bad_json") as fake:
        result = await performed(fake.url, limits={"ping_every_s": 0.05, "dead_after_s": 0.3, "idle_window_s": 0.2})
        assert result.done
        assert result.counters.reconnects == 1
        assert fake.peak_agents == 1


async def test_a_server_that_refuses_sessions_is_an_error_and_no_outcome() -> None:
    async with iiagent_server("bad_uuid") as fake:
        with pytest.raises(C500Error):
            await performed(fake.url, limits={"reconnects": 1})
        assert not fake.runs


async def drop_at(fake: FakeServer, frame: int) -> AgentResult:
    fake.cut_after(frame)
    return await performed(fake.url, name=f"frame-{frame}", into=f"files-{frame}")


async def test_cut_at_every_frame_the_task_is_done_once() -> None:
    async with iiagent_server("happy", late_polls=2) as fake:
        for frame in range(1, 14):
            result = await drop_at(fake, frame)
            assert result.done, (frame, result)
            assert result.counters.turns == 1
        assert fake.peak_agents == 1
