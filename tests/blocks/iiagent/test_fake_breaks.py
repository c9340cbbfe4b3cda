"""The scripted server breaks, stops and freezes as the real one was measured to."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from websockets.exceptions import ConnectionClosed

from tests.fakes.iiagent import FakeServer, iiagent_server
from tests.fakes.iiagent.raw_client import Start, raw_client, starting, stored
from tests.fakes.iiagent.steps import Call, Drop, Wait

LOOK = Call("shell_exec", {"command": "ls"}, "")
LATE = "a call that lasts"


@pytest.fixture
async def happy() -> AsyncIterator[FakeServer]:
    """A server whose runs go well."""
    async with iiagent_server("happy") as fake:
        yield fake


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Makes a client whose query is being worked on, and that stays until the test ends."""
    async with starting() as started:
        yield started


async def test_reconnecting_before_the_old_run_has_ended_makes_a_second_agent_without_history(start: Start) -> None:
    async with iiagent_server([[LOOK, Drop(), Wait("late"), LOOK], []]) as fake:
        client = await start(fake)
        assert await client.closed() == 1006
        await fake.reached("late")
        again = await start(fake, client.session_id)
        await again.until("agent_response")
        fake.open("late")
        await fake.idle()

        assert fake.peak_agents == 2
        assert [run.outcome for run in fake.runs] == ["interrupted", "done"]
        assert fake.runs[1].history == []


async def test_late_end_shows_in_the_events_and_then_nothing_is_lost(start: Start) -> None:
    async with iiagent_server("slow_quiesce") as fake:
        client = await start(fake)
        await client.closed()
        looks = 0
        while (await stored(fake, client.session_id))[-1] != "agent_response_interrupted":
            looks += 1
        await fake.idle()
        again = await start(fake, client.session_id)
        await again.until("agent_response")

        assert looks == 3
        assert fake.peak_agents == 1
        assert (fake.workspace(client.session_id) / "output.csv").exists()


async def test_coming_back_too_early_to_a_slow_run_is_seen_as_a_second_agent(start: Start) -> None:
    async with iiagent_server("slow_quiesce") as fake:
        client = await start(fake)
        await client.closed()
        again = await start(fake, client.session_id)
        await again.until("agent_response")
        await fake.idle()

        assert fake.peak_agents == 2
        assert not (fake.workspace(client.session_id) / "output.csv").exists()


async def test_cut_run_ends_only_after_so_many_looks() -> None:
    async with iiagent_server("happy", late_polls=2) as fake, raw_client(fake.url) as client:
        fake.cut_after(4)
        await client.init()
        await client.query()
        await client.closed()
        ends = [(await stored(fake, client.session_id))[-1] for _ in range(2)]
        await fake.idle()

        assert "agent_response_interrupted" not in ends
        assert (await stored(fake, client.session_id))[-1] == "agent_response_interrupted"


async def test_cancellation_is_told_at_once_and_takes_effect_when_the_model_answers() -> None:
    async with iiagent_server([Call("shell_exec", gate=LATE)]) as fake, raw_client(fake.url) as client:
        await client.init()
        await client.query()
        await fake.reached(LATE)
        await client.send("cancel")
        await client.until("system")
        assert fake.runs[0].outcome == ""
        fake.open(LATE)
        await client.until("agent_response_interrupted")

        assert fake.runs[0].outcome == "interrupted"
        assert client.types[-2:] == ["tool_result", "agent_response_interrupted"]


async def test_dropped_socket_cancels_the_run_and_only_rest_tells_so(start: Start) -> None:
    async with iiagent_server("drop_mid_run") as fake:
        client = await start(fake)
        await client.closed()
        await fake.idle()

        assert "agent_response_interrupted" not in client.types
        assert (await stored(fake, client.session_id))[-1] == "agent_response_interrupted"
        assert fake.sessions.open(client.session_id).history


async def test_query_during_a_run_is_refused_and_an_edited_one_is_lost() -> None:
    async with iiagent_server([[LOOK, Wait("go"), LOOK], []]) as fake, raw_client(fake.url) as client:
        await client.init()
        await client.query("one")
        await fake.reached("go")
        await client.query("two")
        refused = await client.until("error")
        await client.send("edit_query", text="three", resume=True, files=[])
        edits = [await client.receive() for _ in range(3)]
        fake.open("go")
        await client.until("agent_response_interrupted")

        assert refused["content"]["message"] == "A query is already being processed"
        assert [event["type"] for event in edits] == ["system", "system", "error"]
        assert [run.text for run in fake.runs] == ["one"]


async def test_bad_json_leaves_a_socket_that_answers_only_protocol_pings(happy: FakeServer) -> None:
    async with raw_client(happy.url) as client:
        await client.init()
        await client.socket.send("{")
        told = await client.receive()
        await client.send("ping")
        await (await client.socket.ping())

        assert told == {"type": "error", "content": {"message": "Invalid JSON format"}}
        assert client.types[-1] == "error"
        assert happy.received[client.session_id][-1]["type"] == "init_agent"


async def test_frozen_server_answers_nothing_until_it_thaws() -> None:
    async with iiagent_server("frozen") as fake, raw_client(fake.url) as client, raw_client(fake.url) as other:
        await client.init()
        await client.query()
        await fake.reached("thaw")
        await other.send("ping")
        pong = asyncio.ensure_future(await other.socket.ping())
        await fake.until(lambda: fake.held == 2)
        before = pong.done()
        fake.open("thaw")
        await pong

        assert not before
        assert (await other.until("pong"))["content"] == {}
        await client.until("agent_response")


async def test_restart_says_1012_interrupts_and_keeps_the_history(start: Start) -> None:
    async with iiagent_server("close_1012") as fake:
        client = await start(fake, text="one")
        await fake.reached("restart")
        await fake.restart()
        code = await client.closed()
        again = await start(fake, client.session_id)
        await again.until("agent_response")

        assert code == 1012
        assert [run.outcome for run in fake.runs] == ["interrupted", "done"]
        assert fake.runs[1].history[0]["text"] == "one"
        assert fake.peak_agents == 1


async def test_killed_server_has_the_events_and_not_the_history(start: Start) -> None:
    async with iiagent_server("close_1012") as fake:
        client = await start(fake)
        await fake.reached("restart")
        await fake.kill()
        await fake.start()
        code = await client.closed()
        again = await start(fake, client.session_id)
        await again.until("agent_response")

        assert code == 1006
        assert fake.runs[0].outcome == "lost"
        assert fake.runs[1].history == []
        assert (await stored(fake, client.session_id))[:3] == ["user_message", "tool_call", "tool_result"]


@pytest.mark.parametrize("frames", range(1, 15))
async def test_connection_breaks_at_the_frame_that_was_named(happy: FakeServer, frames: int) -> None:
    happy.cut_after(frames)
    async with raw_client(happy.url) as client:
        with suppress(ConnectionClosed):
            await client.init()
            await client.query()
        assert await client.closed() == 1006
    await happy.idle()

    assert client.types == happy.sent[client.session_id]
    assert len(client.types) == frames
    assert all(run.outcome == ("done" if frames > 11 else "interrupted") for run in happy.runs)


async def test_frame_at_which_the_connection_breaks_is_not_answered(happy: FakeServer) -> None:
    happy.cut_after(2, side="received")
    async with raw_client(happy.url) as client:
        await client.init()
        await client.query()

        assert await client.closed() == 1006
        assert [frame["type"] for frame in happy.received[client.session_id]] == ["init_agent", "query"]
        assert happy.runs == []


async def test_malformed_session_is_dropped_without_a_close_frame(happy: FakeServer) -> None:
    async with raw_client(happy.url, "no-uuid") as client:
        assert await client.closed() == 1006


async def test_busy_session_wants_a_cancellation_first() -> None:
    async with iiagent_server("busy") as fake, raw_client(fake.url) as client:
        await client.init()
        refused = await client.run()
        await client.send("cancel")
        await client.until("agent_response_interrupted")
        last = await client.run()

        assert refused["content"]["message"] == "A query is already being processed"
        assert last["type"] == "agent_response"
        assert fake.peak_agents == 1
