"""Stops of an agent that really runs: pydantic-ai with a scripted model."""

import asyncio
import pickle
from pathlib import Path
from typing import Any

import pytest
from pydantic_ai.capabilities import AbstractCapability

from blocks.errors import Stopped, StoreFailed
from blocks.switches import Switch
from tasks.agents.guard import AgentStopped, GuardedRun, GuardEvent, GuardTripped
from tasks.agents.stoppable import stoppable
from tests.tasks.agents.guard_lab import STOP, Lab, steps


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """An agent whose model calls a tool three times and then says a last word."""
    return Lab(tmp_path / "switches", steps("alpha", "bravo", "charlie"))


async def test_a_run_that_nothing_speaks_against_comes_to_its_end(lab: Lab) -> None:
    result = await lab.agent().run("go")
    assert (result.output, lab.done, lab.events) == ("that is all", ["alpha", "bravo", "charlie"], [])
    assert (lab.run.steps, lab.run.actions) == (4, 3)


@pytest.mark.parametrize(("scope", "name"), [("all", ""), ("agent", "ops"), ("run", "r1"), ("run", "parent")])
async def test_a_stop_that_is_set_lets_the_model_not_even_be_asked(lab: Lab, scope: Any, name: str) -> None:
    switch = STOP.model_copy(update={"scope": scope, "name": name})
    lab.switches.set(switch)
    lab.run.parents = ("parent",)
    with pytest.raises(AgentStopped) as stopped:
        await lab.agent().run("go")
    assert type(stopped.value) is AgentStopped
    assert isinstance(stopped.value, Stopped)
    assert stopped.value.switch == switch
    assert "enough" in stopped.value.message
    assert lab.asked == 0
    assert [(event.kind, event.rule, event.call_id) for event in lab.events] == [("stopped", scope, None)]


async def test_a_stop_of_another_run_stops_nothing(lab: Lab) -> None:
    lab.switches.set(Switch(scope="run", name="r2"))
    lab.switches.set(Switch(scope="agent", name="other"))
    assert (await lab.agent().run("go")).output == "that is all"


async def test_a_stop_between_the_model_and_the_tool_keeps_the_tool_from_being_called(lab: Lab) -> None:
    lab.before_answer = lambda: lab.switches.set(STOP)
    with pytest.raises(AgentStopped):
        await lab.agent().run("go")
    assert (lab.asked, lab.done) == (1, [])
    assert lab.events[0].tool == "act"


async def test_a_stop_while_a_person_is_asked_keeps_the_call_from_being_made(lab: Lab) -> None:
    class Asks(AbstractCapability[Any]):
        async def wrap_tool_execute(self, ctx: Any, *, handler: Any, args: Any, **_: Any) -> Any:
            lab.switches.set(STOP)  # set and looked at within one step of the loop: no watch could see it
            return await handler(args)

    with pytest.raises(AgentStopped):
        await lab.agent(Asks()).run("go")
    assert lab.done == []


async def test_a_stop_while_the_model_is_waited_for_keeps_it_from_being_asked(lab: Lab) -> None:
    class Waits(AbstractCapability[Any]):
        async def wrap_model_request(self, ctx: Any, *, request_context: Any, handler: Any) -> Any:
            lab.switches.set(STOP)
            return await handler(request_context)

    with pytest.raises(AgentStopped):
        await lab.agent(Waits()).run("go")
    assert lab.asked == 0


async def test_a_stop_cancels_the_call_of_a_tool_and_those_beside_it(lab: Lab) -> None:
    agent, begun, ends = lab.agent(), list[str](), list[str]()
    lab.turns = [[("wait", {"name": "one"}), ("wait", {"name": "two"})]]

    @agent.tool_plain
    async def wait(name: str) -> None:
        begun.append(name)
        try:
            if len(begun) == 2:
                lab.switches.set(STOP)
            await asyncio.Event().wait()
        finally:
            ends.append(name)

    with pytest.raises(AgentStopped) as stopped:
        await agent.run("go")
    assert stopped.value.switch == STOP
    assert sorted(ends) == ["one", "two"]
    assert (task := asyncio.current_task())
    assert task.cancelling() == 0


async def test_a_stop_cancels_the_call_of_the_model(lab: Lab) -> None:
    lab.answer_s, lab.before_answer = 3600, lambda: lab.switches.set(STOP)
    with pytest.raises(AgentStopped):
        await lab.agent().run("go")
    assert lab.events[0].call_id is None


async def test_a_cancellation_by_somebody_else_stays_one(lab: Lab) -> None:
    lab.answer_s = 3600
    running = asyncio.create_task(lab.agent().run("go"))
    while lab.asked == 0:  # noqa: ASYNC110
        await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_a_call_that_ends_in_the_moment_of_a_stop_is_done(lab: Lab) -> None:
    loop, ended, faults = asyncio.get_running_loop(), asyncio.Event(), list[Any]()
    loop.set_exception_handler(lambda _, context: faults.append(context))

    class InThatMoment:
        async def look(self, runs: Any) -> Any:
            loop.call_soon(ended.set)  # so that the call ends after the watch, and before what the watch calls then
            return dict.fromkeys(runs, STOP)

    async def error_of(switch: Switch) -> Exception:
        raise AssertionError(f"nothing was left to stop: {switch}")

    async with stoppable(InThatMoment(), lab.run, error_of):  # type: ignore[arg-type]
        await ended.wait()
    await asyncio.sleep(0)
    assert faults == []


async def test_switches_that_cannot_be_read_stop_the_run_and_say_so(lab: Lab) -> None:
    lab.before_answer = lambda: lab.folder.rename(lab.folder.with_name("elsewhere"))
    with pytest.raises(AgentStopped) as stopped:
        await lab.agent().run("go")
    assert stopped.value.switch.away
    assert "store of the switches" in stopped.value.fix
    assert lab.done == []


async def test_a_stop_that_cannot_be_written_down_stops_all_the_same(lab: Lab) -> None:
    async def fails(_: GuardEvent) -> None:
        raise StoreFailed("the disk is full", fix="make room")

    lab.switches.set(STOP)
    with pytest.raises(AgentStopped):
        await lab.agent(tell=fails).run("go")


async def test_a_stopped_run_goes_on_when_the_stop_is_cleared(lab: Lab) -> None:
    lab.before_answer = lambda: lab.switches.set(STOP) if lab.asked == 2 else None
    agent = lab.agent()
    with pytest.raises(AgentStopped):
        await agent.run("go")
    lab.switches.clear("all")
    lab.run = GuardedRun(agent="ops", run_id="r1")
    assert (await agent.run("go")).output == "that is all"


def test_the_error_of_a_stop_survives_a_process() -> None:
    error = pickle.loads(pickle.dumps(AgentStopped.by(STOP)))
    assert (type(error), error.switch, error.exit_code) == (AgentStopped, STOP, 3)
    assert "c500 stop --clear --all" in error.fix


async def test_the_guard_is_outermost_wherever_it_stands(lab: Lab) -> None:
    order: list[str] = []

    class Inner(AbstractCapability[Any]):
        async def wrap_tool_execute(self, ctx: Any, *, handler: Any, args: Any, **_: Any) -> Any:
            order.append("inner")
            return await handler(args)

    lab.turns, lab.for_ever = steps("alpha"), True
    with pytest.raises(GuardTripped):
        await lab.agent(Inner()).run("go")
    assert order == ["inner"] * 3
