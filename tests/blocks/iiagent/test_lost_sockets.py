"""Connections that are lost at any point: the task is done once, and no two agents are ever in one session."""

import asyncio
import json
import time
from pathlib import Path

import pytest

from blocks.errors import EngineUnavailable
from blocks.iiagent.archive import read_archive
from blocks.iiagent.events import AgentResponse, Event, ToolResult
from blocks.iiagent.session import Pace
from blocks.iiagent.turn import Turn
from tests.blocks.iiagent.opened import session_at
from tests.fakes.iiagent import FakeServer, iiagent_server
from tests.fakes.iiagent.steps import Call, Done, Drop, Fail, Say, Step, Wait, Write

TASK = "Write output.csv."
WORK: list[Step] = [Call("shell_exec", {"command": "ls"}), Write("output.csv", "id\n1\n"), Say("done"), Done()]
FRAMES_OF_WORK = 11
"""From `processing` to the response."""

FRAMES = 14
"""Of a session with one turn of `happy`, from the greeting to the response."""


async def one_turn(fake: FakeServer, limits: dict[str, float] | None = None) -> Turn:
    async with session_at(fake.url, limits=limits) as session:
        return await session.turn(TASK)


def done_once(fake: FakeServer) -> None:
    """All is written, by one agent at a time, and only one run came to its end."""
    (session_id,) = {run.session.id for run in fake.runs}
    assert (fake.workspace(session_id) / "output.csv").read_text().startswith("id")
    assert [run.outcome for run in fake.runs].count("done") == 1
    assert fake.runs[-1].outcome == "done"
    assert (fake.peak_agents, fake.peak_sockets) == (1, 1)


@pytest.mark.parametrize("frames", range(1, FRAMES + 1))
async def test_cut_after_any_frame_that_came_the_task_is_done_once(frames: int) -> None:
    async with iiagent_server("happy") as fake:
        fake.cut_after(frames)
        turn = await one_turn(fake)
        assert turn.check().ended == "response"
        assert turn.answer and len(turn.files) == 1
        done_once(fake)


@pytest.mark.parametrize("frames", [1, 2])
async def test_cut_at_any_frame_that_went_the_task_is_done_once(frames: int) -> None:
    async with iiagent_server("happy") as fake:
        fake.cut_after(frames, side="received")
        turn = await one_turn(fake)
        assert turn.check().ended == "response"
        done_once(fake)
        # What was never taken is asked as it was, and what was begun is gone on with.
        assert [run.text for run in fake.runs] == [TASK]


async def test_cut_again_and_again_it_goes_on() -> None:
    async with iiagent_server([[Drop(), *WORK], [Drop(), *WORK], [Drop(), *WORK], WORK]) as fake:
        turn = await one_turn(fake)
        assert (turn.check().ended, turn.reconnects) == ("response", 3)
        done_once(fake)
        assert [run.resume for run in fake.runs] == [False, True, True, True]
        assert all(run.text.endswith(TASK) for run in fake.runs)


async def test_a_socket_lost_while_the_conversation_is_compacted_has_that_over_before_anybody_comes_back() -> None:
    script = [[Call("a"), Fail(400, "maximum context length is 128000 tokens")], WORK]
    async with iiagent_server(script, lost_compactions=3) as fake:
        turn = await one_turn(fake, {"idle_window_s": 30})
        assert (turn.check().ended, turn.reconnects, turn.compactions) == ("response", 1, 1)
        assert (turn.tool_calls["a"], turn.recovered) == (1, False)
        done_once(fake)
        assert fake.runs[1].resume and fake.runs[1].text != TASK


async def test_sockets_lost_too_often_are_the_end() -> None:
    async with iiagent_server([[Drop(), *WORK]] * 4) as fake:
        turn = await one_turn(fake, {"reconnects": 2})
        assert turn.error is not None and (turn.error.kind, turn.reconnects) == ("lost", 2)
        with pytest.raises(EngineUnavailable):
            turn.check()
        assert fake.peak_agents == 1


@pytest.mark.parametrize("scenario", ["drop_mid_run", "slow_quiesce"])
async def test_nobody_comes_back_before_the_run_is_over(scenario: str) -> None:
    async with iiagent_server(scenario) as fake:
        turn = await one_turn(fake, {"idle_window_s": 30})
        assert (turn.check().ended, turn.reconnects) == ("response", 1)
        done_once(fake)
        assert fake.runs[1].history and fake.runs[0].outcome == "interrupted"


async def test_a_response_that_was_lost_is_found_among_the_stored_events() -> None:
    async with iiagent_server([WORK]) as fake, session_at(fake.url) as session:
        fake.cut_after(FRAMES_OF_WORK - 1)
        turn = await session.turn(TASK)
        assert turn.recovered and turn.reconnects == 1 and len(fake.runs) == 1
        assert (turn.answer, turn.response) == ("done", "Task completed")
        assert turn.tool_calls["str_replace_editor"] == 1
        await session.turn("And now?")
        assert len(fake.runs) == 2 and fake.runs[1].resume


async def test_an_earlier_turn_of_the_same_words_is_not_taken_for_this_one() -> None:
    async with iiagent_server([WORK, [Say("second"), Done()]]) as fake, session_at(fake.url) as session:
        assert (await session.turn(TASK)).answer == "done"
        fake.cut_after(2, side="received")  # the ping before the query, and the query itself
        turn = await session.turn(TASK)
        assert (turn.answer, turn.reconnects, turn.recovered) == ("second", 1, False)
        assert [run.text for run in fake.runs] == [TASK, TASK] and fake.runs[1].resume


async def test_a_socket_lost_between_turns_costs_no_wait() -> None:
    async with (
        iiagent_server("happy") as fake,
        session_at(fake.url, limits={"start_window_s": 3600, "idle_window_s": 3600}) as session,
    ):
        await session.turn(TASK)
        await fake.restart()
        turn = await session.turn("And now?")
        assert (turn.check().ended, turn.reconnects) == ("response", 1)
        assert fake.runs[1].history


@pytest.mark.parametrize("frames", [1, 2])
async def test_a_sandbox_that_was_not_made_is_asked_for_again(frames: int) -> None:
    async with iiagent_server("docker_mode") as fake:
        fake.cut_after(frames)
        async with session_at(fake.url, sandbox="docker") as session:
            assert (await session.turn(TASK)).files == ("/workspace/output.csv",)


async def test_what_came_while_nobody_listened_is_counted_and_archived() -> None:
    script = [[Call("a"), Drop(), Call("b"), Say("x")], [Say("y"), Done()]]
    async with iiagent_server(script) as fake:
        turn = await one_turn(fake)
        assert turn.tool_calls["a"] == 1 and turn.messages[-1] == "y"
        assert turn.tool_calls["return_control_to_user"] == 1
    kept = [(line["from"], line["frame"]["type"]) for line in read_archive(Path("session"))]
    assert ("rest", "agent_response_interrupted") in kept
    assert kept.count(("rest", "tool_call")) + kept.count(("socket", "tool_call")) == sum(turn.tool_calls.values())


async def test_a_server_that_hears_nothing_any_more_is_left() -> None:
    async with iiagent_server("zombie_after_bad_json") as fake:
        turn = await one_turn(fake, {"ping_every_s": 0.05, "dead_after_s": 1})
        assert (turn.check().ended, turn.reconnects) == ("response", 1)
        assert fake.peak_agents == 1 and fake.runs[-1].outcome == "done"


async def test_a_server_that_stands_still_is_waited_for() -> None:
    async with iiagent_server("frozen") as fake:
        going = asyncio.create_task(one_turn(fake, {"ping_every_s": 0.02, "dead_after_s": 30}))
        await fake.until(lambda: fake.held)  # the client's ping
        fake.open("thaw")
        turn = await going
        assert (turn.check().ended, turn.reconnects, len(fake.runs)) == ("response", 0, 1)


async def test_a_server_that_restarts_is_waited_for() -> None:
    async with iiagent_server("close_1012") as fake:
        going = asyncio.create_task(one_turn(fake))
        await fake.reached("restart")
        await fake.restart()
        turn = await going
        assert (turn.check().ended, turn.reconnects) == ("response", 1)
        done_once(fake)
        assert fake.runs[-1].history  # saved as the server went down


async def test_a_server_that_was_killed_is_waited_for() -> None:
    async with iiagent_server([[Call("a"), Wait("kill")], WORK]) as fake:
        going = asyncio.create_task(one_turn(fake))
        await fake.reached("kill")
        await fake.kill()
        await fake.start()
        turn = await going
        assert turn.check().ended == "response"
        assert fake.runs[-1].outcome == "done" and fake.peak_agents == 1
        assert fake.runs[-1].text.endswith(TASK)


async def test_a_server_that_stays_away_is_the_end_of_the_turn() -> None:
    async with iiagent_server("close_1012") as fake:
        limits = {"away_s": 0.3}
        going = asyncio.create_task(one_turn(fake, limits))
        await fake.reached("restart")
        await fake.stop()
        turn = await going
        assert turn.error is not None and turn.error.kind in ("lost", "time")


async def test_a_turn_that_nobody_waits_for_any_more_is_over_before_the_next() -> None:
    script = [[Call("a"), Wait("go"), Call("b")], [Say("next"), Done()]]
    async with iiagent_server(script) as fake, session_at(fake.url, limits={"idle_s": 0.3, "cancel_s": 0.2}) as session:
        turn = await session.turn(TASK)
        assert turn.error is not None and turn.error.kind == "idle"
        going = asyncio.create_task(session.turn("Something else."))
        fake.open("go")
        assert (await going).answer == "next"
        assert fake.peak_agents == 1


@pytest.mark.parametrize(
    ("limits", "passed_s", "kind"),
    [({}, 1000, "idle"), ({"idle_s": 9000}, 4000, "time"), ({"total_s": 500, "idle_s": 9000}, 600, "time")],
)
async def test_a_run_that_takes_too_long_is_cancelled(limits: dict[str, float], passed_s: float, kind: str) -> None:
    ahead_s, heard = 0.0, asyncio.Event()
    pace = Pace(now=lambda: time.monotonic() + ahead_s)
    limits = {"turn_s": 3600, "ping_every_s": 0.05, **limits}

    def listen(event: Event) -> None:
        if isinstance(event, ToolResult):
            heard.set()

    async with (
        iiagent_server([[Call("a"), Wait("go"), Call("b")], [Done()]]) as fake,
        session_at(fake.url, limits=limits, pace=pace, on_event=listen) as session,
    ):
        going = asyncio.create_task(session.turn(TASK))
        await fake.reached("go")
        await heard.wait()
        ahead_s = passed_s
        await fake.until(lambda: _has(fake, "cancel"))
        fake.open("go")
        turn = await going
        assert turn.error is not None and turn.error.kind == kind
        await fake.idle()
        assert fake.runs[0].outcome == "interrupted" and turn.tool_calls == {"a": 1}


def _has(fake: FakeServer, kind: str) -> bool:
    return any(frame["type"] == kind for frames in fake.received.values() for frame in frames)


async def test_a_turn_is_called_off_by_another_task() -> None:
    async with iiagent_server([[Call("a"), Wait("go"), Call("b")], WORK]) as fake, session_at(fake.url) as session:
        going = asyncio.create_task(session.turn(TASK))
        await fake.reached("go")
        calling_off = asyncio.create_task(session.cancel())
        await fake.until(lambda: _has(fake, "cancel"))
        fake.open("go")
        turn = await going
        await calling_off
        assert (turn.ended, turn.tool_calls, session.unfinished) == ("interrupted", {"a": 1}, None)
        assert (await session.turn("Go on.")).ended == "response"
        assert (fake.peak_sockets, fake.peak_agents) == (1, 1)
        await session.cancel()  # nothing goes on: nothing happens


async def test_a_turn_whose_run_does_not_stop_is_called_off_all_the_same() -> None:
    limits = {"cancel_s": 0.1}
    async with (
        iiagent_server([[Call("a"), Wait("go"), Call("b")], WORK]) as fake,
        session_at(fake.url, limits=limits) as session,
    ):
        going = asyncio.create_task(session.turn(TASK))
        await fake.reached("go")
        await session.cancel()
        assert (await going).ended == "interrupted"
        fake.open("go")
        assert (await session.turn("Go on.")).ended == "response"
        assert fake.peak_agents == 1


async def test_a_turn_is_called_off_while_a_server_that_stands_still_is_asked_what_it_has_stored() -> None:
    slow = {"request_s": 3600, "cancel_s": 3600}
    async with iiagent_server("drop_mid_run") as fake, session_at(fake.url, limits=slow) as session:
        going = asyncio.create_task(session.turn(TASK))
        await fake.until(lambda: "tool_call" in fake.sent[session.session_id])
        freezing = asyncio.create_task(fake.freeze("thaw"))
        await fake.until(lambda: fake.held and session.state.running is not None)
        async with asyncio.timeout(60):
            await session.cancel()
            assert (await going).ended == "interrupted"
        fake.open("thaw")
        await freezing
        assert (await session.turn("Go on.")).ended == "response"
        assert fake.peak_agents == 1


async def test_a_turn_is_called_off_within_the_time_that_its_caller_has() -> None:
    limits = {"cancel_s": 3600}
    async with (
        iiagent_server([[Call("a"), Wait("go"), Call("b")], WORK]) as fake,
        session_at(fake.url, limits=limits) as session,
    ):
        going = asyncio.create_task(session.turn(TASK))
        await fake.reached("go")
        async with asyncio.timeout(60):
            await session.cancel(0.1)
            assert (await going).ended == "interrupted"
        fake.open("go")
        assert (await session.turn("Go on.")).ended == "response"
        assert fake.peak_agents == 1


async def test_a_cancelled_task_stops_its_run_and_can_be_gone_on_with() -> None:
    async with iiagent_server([[Call("a"), Wait("go"), Call("b")], WORK]) as fake:
        going = asyncio.create_task(one_turn(fake, {"cancel_s": 30}))
        await fake.reached("go")
        going.cancel()
        await fake.until(lambda: _has(fake, "cancel"))
        fake.open("go")
        with pytest.raises(asyncio.CancelledError):
            await going
        assert fake.runs[0].outcome == "interrupted"
        state = json.loads(Path("session/session.json").read_text())
        assert state["status"] == "INTERRUPTED" and state["running"]["over"]
        async with session_at(fake.url) as session:
            assert session.unfinished == TASK
            turn = await session.turn(TASK)
        assert turn.check().ended == "response"
        done_once(fake)
        assert fake.runs[1].resume and fake.runs[1].text.endswith(TASK) and fake.runs[1].text != TASK


async def test_a_task_cancelled_at_a_response_that_was_found_again_runs_once() -> None:
    async with iiagent_server([WORK, WORK]) as fake:

        def cancel(event: Event) -> None:
            if isinstance(event, AgentResponse):
                going.cancel()

        async def first() -> None:
            async with session_at(fake.url, on_event=cancel) as session:
                fake.cut_after(FRAMES_OF_WORK - 1)
                await session.turn(TASK, key="goal")

        going = asyncio.create_task(first())
        with pytest.raises(asyncio.CancelledError):
            await going
        async with session_at(fake.url) as session:
            turn = await session.turn(TASK, key="goal")
        assert (turn.ended, turn.answer) == ("response", "done")
        done_once(fake)
