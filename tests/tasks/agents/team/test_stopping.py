"""A stop of the team stops its agents, and leaves no switch behind."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from blocks.errors import Stopped
from blocks.switches import FileSwitches, Switch, watch
from tasks.agents.team.execute import do_tasks
from tasks.agents.team.stopping import stoppable, unless_stopped
from tests.processes import eventually
from tests.tasks.agents.team.making import Specialists, plan_of, task, work_of

PLAN = plan_of(task("a"), task("b"), task("c", "a"))


def guarded(switches: FileSwitches) -> Any:
    """An agent that works until its own run is stopped, as a guard stops it."""

    async def until_stopped(agents: Specialists, run_id: str) -> Any:
        raise Stopped(str(await watch(switches, "worker", run_id)), fix="clear it")

    return until_stopped


@pytest.mark.parametrize(
    "switch", [Switch(scope="run", name="t1", by="ann", reason="too loud"), Switch(scope="agent", name="coordinator")]
)
async def test_a_stop_of_the_team_reaches_the_runs_of_its_agents(tmp_path: Path, switch: Switch) -> None:
    switches = FileSwitches(tmp_path / "switches")
    agents = Specialists(dict.fromkeys("ab", guarded(switches)))
    work = work_of(tmp_path / "store", PLAN, agents)

    async def run() -> None:
        async with stoppable(work, switches):
            await do_tasks(work)

    going = asyncio.create_task(run())
    await eventually(lambda: agents.now == 2)
    switches.set(switch)
    await going
    assert {name: one.state for name, one in work.outcomes.items()} == dict.fromkeys("abc", "stopped")
    assert sorted(agents.began) == ["a", "b"]
    assert [(one.scope, one.name) for one in switches.list()] == [(switch.scope, switch.name)]
    clear = f"c500 stop --clear --{switch.scope} {switch.name}"
    assert all(one.trouble is not None and clear in one.trouble.fix for one in work.outcomes.values())


async def test_a_team_that_is_stopped_already_begins_nothing(tmp_path: Path) -> None:
    switches, agents = FileSwitches(tmp_path / "switches"), Specialists()
    switches.set(Switch(scope="all"))
    work = work_of(tmp_path / "store", PLAN, agents)
    async with stoppable(work, switches):
        await do_tasks(work)
    assert not agents.began
    assert work.stopped is not None


async def test_switches_that_a_killed_team_left_are_cleared_when_it_goes_on(tmp_path: Path) -> None:
    switches, agents = FileSwitches(tmp_path / "switches"), Specialists()
    work = work_of(tmp_path / "store", PLAN, agents)
    switches.set(Switch(scope="run", name=work.run_of(PLAN.tasks[0]), by="team t1"))
    switches.set(Switch(scope="run", name="other", by="bob"))
    async with stoppable(work, switches):
        await do_tasks(work)
    assert [one.name for one in switches.list()] == ["other"]
    assert len(agents.began) == 3


async def test_what_the_coordinator_does_is_cut_off_by_a_stop(tmp_path: Path) -> None:
    switches, cut = FileSwitches(tmp_path), asyncio.Event()
    begun = asyncio.Event()

    async def plans() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cut.set()

    going = asyncio.create_task(unless_stopped(switches, "coordinator", "t1", plans))
    await begun.wait()
    switches.set(Switch(scope="run", name="t1", by="ann"))
    with pytest.raises(Stopped, match="run t1 stopped by ann"):
        await going
    assert cut.is_set()


async def test_what_is_stopped_before_does_not_begin(tmp_path: Path) -> None:
    switches = FileSwitches(tmp_path)
    switches.set(Switch(scope="all"))
    began: list[int] = []

    async def plans() -> None:
        began.append(1)

    with pytest.raises(Stopped):
        await unless_stopped(switches, "coordinator", "t1", plans)
    assert not began


async def test_what_nobody_stops_comes_to_its_end_and_its_error_is_its_own(tmp_path: Path) -> None:
    async def plans() -> int:
        return 5

    async def fails() -> int:
        raise KeyError("x")

    assert await unless_stopped(FileSwitches(tmp_path), "coordinator", "t1", plans) == 5
    with pytest.raises(KeyError):
        await unless_stopped(FileSwitches(tmp_path), "coordinator", "t1", fails)
