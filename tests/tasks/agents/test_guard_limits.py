"""Limits, loops and breakers of an agent that really runs."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from pydantic_ai import Agent, ApprovalRequired, DeferredToolRequests, DeferredToolResults, RunContext
from pydantic_ai.exceptions import ModelHTTPError, ModelRetry, ToolFailed

from blocks.errors import EngineFailed
from tasks.agents.breaker import BreakerOpen, FileBreakers
from tasks.agents.guard import GuardedRun, GuardTripped, Limits
from tests.tasks.agents.guard_lab import RELAXED, Lab, steps


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """An agent whose model calls a tool three times and then says a last word."""
    return Lab(tmp_path / "switches", steps("alpha", "bravo", "charlie"))


@pytest.mark.parametrize(
    ("limit", "value", "done"),
    [("steps", 2, ["alpha", "bravo"]), ("actions", 1, ["alpha"]), ("tokens", 1, ["alpha"])],
)
async def test_a_run_ends_at_its_limit_which_the_error_names(lab: Lab, limit: str, value: int, done: list[str]) -> None:
    with pytest.raises(GuardTripped) as ended:
        await lab.agent(limits=Limits.model_validate(RELAXED | {limit: value})).run("go")
    assert type(ended.value) is GuardTripped
    assert (ended.value.code, ended.value.details["limit"], ended.value.details["most"]) == (
        "GUARD_TRIPPED",
        limit,
        value,
    )
    assert ended.value.details["value"] > value
    assert lab.done == done
    assert [(event.kind, event.rule) for event in lab.events] == [("tripped", limit)]


async def test_a_limit_lets_calls_that_are_made_come_to_their_end(lab: Lab) -> None:
    agent = lab.agent(limits=Limits.model_validate(RELAXED | {"actions": 1}))
    lab.turns = [[("slow", {}), ("act", {"what": "alpha"}), ("act", {"what": "bravo"})]]

    @agent.tool_plain
    async def slow() -> None:
        for _ in range(20):
            await asyncio.sleep(0)
        lab.done.append("slow")

    with pytest.raises(GuardTripped):
        await agent.run("go")
    assert (lab.done, lab.asked) == (["slow"], 1)
    assert [event.kind for event in lab.events] == ["tripped"]


async def test_the_same_action_is_limited_over_the_whole_run(lab: Lab) -> None:
    others = [[("act", {"what": name * 12})] for name in "abcdefghijkl"]
    lab.turns = [*steps("alpha"), *others, *steps("alpha"), *others]
    with pytest.raises(GuardTripped) as ended:
        await lab.agent(limits=Limits.model_validate(RELAXED | {"same_action": 1})).run("go")
    assert (ended.value.details["limit"], ended.value.details["tool"]) == ("same_action", "act")
    assert lab.done.count("alpha") == 1


async def test_polls_have_a_limit_of_their_own(lab: Lab) -> None:
    lab.turns, lab.for_ever = steps("state"), True
    with pytest.raises(GuardTripped) as ended:
        await lab.agent(limits=Limits.model_validate(RELAXED | {"polls": 20}), polls=frozenset({"act"})).run("go")
    assert ended.value.details["limit"] == "polls"
    assert len(lab.done) == 20


class Clock:
    """A clock that goes on when it is told to."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


async def test_time_at_work_counts_over_attempts(lab: Lab) -> None:
    clock = Clock()
    lab.run = GuardedRun(agent="ops", run_id="r1", used_s=50, clock=clock)

    def work() -> None:
        clock.now += 6

    lab.before_answer = work
    with pytest.raises(GuardTripped) as ended:
        await lab.agent(limits=Limits.model_validate(RELAXED | {"duration_s": 60})).run("go")
    assert ended.value.details["limit"] == "duration_s"
    assert ended.value.details["value"] == 62
    assert lab.done == ["alpha"]


def test_waiting_for_people_takes_no_time_however_many_wait_at_once() -> None:
    clock = Clock()
    run = GuardedRun(agent="ops", run_id="r1", clock=clock)
    clock.now += 10
    with run.waiting():
        clock.now += 1000
        with run.waiting():
            clock.now += 1000
            assert run.active_s == 10
        clock.now += 1000
    clock.now += 5
    assert run.active_s == 15


async def test_a_loop_is_told_to_the_model_once_and_then_ends_the_run(lab: Lab) -> None:
    lab.turns, lab.for_ever = steps("alpha"), True
    with pytest.raises(GuardTripped) as ended:
        await lab.agent().run("go")
    assert ended.value.details == {"limit": "loop", "value": 5, "most": 4, "tool": "act"}
    assert lab.done == ["alpha"] * 3
    assert "4 times with the same arguments" in lab.refused[0]
    assert [(event.kind, event.rule, event.call_id) for event in lab.events] == [
        ("warned", "exact", "call-3-0"),
        ("tripped", "loop", "call-4-0"),
    ]


async def test_a_model_that_heeds_the_warning_goes_on(lab: Lab) -> None:
    lab.turns = steps("alpha", "alpha", "alpha", "alpha", "bravo", "charlie")
    assert (await lab.agent().run("go")).output == "that is all"
    assert lab.done == ["alpha", "alpha", "alpha", "bravo", "charlie"]


async def test_a_replay_counts_and_tells_the_same(lab: Lab) -> None:
    lab.turns = steps("alpha", "alpha", "alpha", "alpha", "bravo", "bravo")
    told: list[Any] = []
    for _ in range(2):
        lab.run, lab.events = GuardedRun(agent="ops", run_id="r1"), []
        await lab.agent().run("go")
        told.append((lab.run.steps, lab.run.actions, lab.refused, lab.events))
    assert told[0] == told[1]


async def test_runs_at_once_do_not_count_for_each_other(tmp_path: Path) -> None:
    labs = [Lab(tmp_path, steps("alpha", "alpha", "alpha")) for _ in range(4)]
    results = await asyncio.gather(*(lab.agent(of=lambda _, lab=lab: lab.run).run("go") for lab in labs))
    assert [result.output for result in results] == ["that is all"] * 4
    assert [lab.events for lab in labs] == [[]] * 4


async def test_a_call_that_is_put_off_counts_when_it_is_made(lab: Lab) -> None:
    lab.turns = [[("ask", {})]]
    agent = lab.agent(limits=Limits.model_validate(RELAXED | {"same_action": 1, "actions": 1}))

    @agent.tool
    async def ask(ctx: RunContext[None]) -> str:
        if not ctx.tool_call_approved:
            raise ApprovalRequired
        lab.done.append("asked")
        return "done"

    put_off = await agent.run("go", output_type=[str, DeferredToolRequests])
    answers = DeferredToolResults(approvals={"call-0-0": True})
    result = await agent.run(message_history=put_off.all_messages(), deferred_tool_results=answers)
    assert (result.output, lab.done, lab.run.actions) == ("that is all", ["asked"], 1)


def failing(lab: Lab, error: Exception | dict[str, Any], **guard: Any) -> Agent[None, Any]:
    """An agent with a tool that never works."""
    agent = lab.agent(breakers=FileBreakers(lab.folder / "breakers", failures=3), **guard)
    lab.turns = [[("broken", {"number": name * 9})] for name in "abcdefg"]

    @agent.tool_plain(retries=10)
    async def broken(number: str) -> Any:
        lab.done.append(number)
        if isinstance(error, Exception):
            raise error
        return error

    return agent


@pytest.mark.parametrize(
    "error",
    [ToolFailed("no"), {"error": {"code": "ENGINE_FAILED", "message": "no", "fix": ""}}],
    ids=["raised", "told"],
)
async def test_a_tool_that_fails_again_and_again_is_left_alone_and_the_model_hears_of_it(lab: Lab, error: Any) -> None:
    result = await failing(lab, error).run("go")
    assert result.output == "that is all"
    assert len(lab.done) == 3
    assert [event.kind for event in lab.events] == ["refused"] * 4
    assert "broken failed again and again" in lab.events[0].message
    lab.done.clear()
    lab.run = GuardedRun(agent="ops", run_id="r2")
    await failing(lab, error).run("go")
    assert lab.done == [], "the next run does not try it either"


@pytest.mark.parametrize(
    "error",
    [ModelRetry("give a number"), {"error": {"code": "NOT_FOUND", "message": "", "fix": ""}}, {"refused": "no"}],
    ids=["retry", "not found", "refused"],
)
async def test_what_is_wrong_with_the_call_is_no_fault_of_the_tool(lab: Lab, error: Any) -> None:
    await failing(lab, error).run("go")
    assert lab.done == [name * 9 for name in "abcdefg"]


async def test_a_replay_finds_the_breaker_as_it_was(lab: Lab) -> None:
    await failing(lab, ToolFailed("no")).run("go")
    first = (lab.done, lab.events, lab.refused)
    lab.run, lab.done, lab.events = GuardedRun(agent="ops", run_id="r1"), [], []
    await failing(lab, ToolFailed("no")).run("go")
    assert (lab.done, lab.events, lab.refused) == first


@pytest.mark.parametrize("error", [ModelHTTPError(503, "m"), EngineFailed("no", fix="")], ids=["http", "ours"])
async def test_a_model_that_fails_again_and_again_is_left_alone(lab: Lab, error: Exception) -> None:
    def fails() -> None:
        raise error

    lab.before_answer = fails
    breakers = FileBreakers(lab.folder / "breakers", failures=2)
    for number in range(2):
        lab.run = GuardedRun(agent="ops", run_id=f"r{number}")
        with pytest.raises(type(error)):
            await lab.agent(breakers=breakers).run("go")
    lab.run = GuardedRun(agent="ops", run_id="r3")
    with pytest.raises(BreakerOpen) as refused:
        await lab.agent(breakers=breakers).run("go")
    assert type(refused.value) is BreakerOpen
    assert lab.asked == 2
    assert (lab.events[-1].kind, lab.events[-1].rule) == ("refused", "breaker")


async def test_a_run_that_found_its_model_left_alone_goes_on_when_it_works_again(lab: Lab) -> None:
    def fails() -> None:
        raise EngineFailed("no", fix="")

    clock = Clock()
    agent = lab.agent(breakers=FileBreakers(lab.folder / "breakers", failures=1, rest_s=60, clock=clock))
    lab.before_answer = fails
    for expected in (EngineFailed, BreakerOpen):
        lab.run = GuardedRun(agent="ops", run_id="r1")
        with pytest.raises(expected):
            await agent.run("go")
    clock.now += 60
    lab.before_answer = lambda: None
    lab.run = GuardedRun(agent="ops", run_id="r1")
    assert (await agent.run("go")).output == "that is all"
