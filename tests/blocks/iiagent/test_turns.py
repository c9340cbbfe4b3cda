"""Turns of a session against the scripted server: each scenario ends in what it is."""

import pytest

from blocks.errors import BadInput, NotAllowed, TooLarge
from blocks.iiagent.events import Event, FileEdit, UnknownEvent
from tests.blocks.iiagent.opened import session_at
from tests.fakes.iiagent import FakeServer, iiagent_server
from tests.fakes.iiagent.steps import Done, Fail, Raw, Say

TASK = "Write output.csv."


def queries(fake: FakeServer, session_id: str) -> list[dict[str, object]]:
    return [frame["content"] for frame in fake.received[session_id] if frame["type"] == "query"]


async def test_a_turn_tells_what_the_agent_did() -> None:
    async with iiagent_server("happy") as fake, session_at(fake.url) as session:
        turn = await session.turn(TASK, files=["/uploaded_files/a.csv"])
        asked = queries(fake, session.session_id)
    assert (turn.ended, turn.error, turn.silent) == ("response", None, False)
    assert turn.answer == "I wrote output.csv with 3 rows."
    assert turn.files == (f"{session.workspace}/output.csv",)
    assert turn.tool_calls["message_user"] == turn.tool_calls["str_replace_editor"] == 1
    assert (turn.reconnects, turn.rotations, turn.retries, turn.recovered) == (0, 0, 0, False)
    assert turn.frames > 5 and turn.bytes > 500
    assert asked == [{"text": TASK, "resume": False, "files": ["./uploaded_files/a.csv"]}]


async def test_the_next_turn_goes_on_with_the_conversation() -> None:
    async with iiagent_server("happy") as fake, session_at(fake.url) as session:
        await session.turn(TASK)
        await session.turn("And now?")
        assert [run.resume for run in fake.runs] == [False, True]
        assert fake.runs[1].history and fake.peak_sockets == 1


@pytest.mark.parametrize("scenario", ["text_only", "silent_stop"])
async def test_a_run_without_any_call_is_told_as_silent(scenario: str) -> None:
    async with iiagent_server(scenario) as fake, session_at(fake.url) as session:
        turn = await session.turn(TASK)
    assert (turn.ended, turn.silent, turn.answer) == ("response", True, "")


async def test_used_up_turns_are_no_response() -> None:
    async with iiagent_server("max_turns") as fake, session_at(fake.url) as session:
        turn = await session.turn(TASK)
        assert (turn.ended, turn.answer) == ("max_turns", "")
        assert (await session.turn("continue")).ended == "response"


@pytest.mark.parametrize(
    ("scenario", "effort"),
    [
        ("error_401", {"rotations": 1}),
        ("error_limit", {"rotations": 1}),
        ("error_429", {"retries": 2}),
        ("error_500", {"retries": 1}),
        ("error_400", {"compactions": 1}),
        ("error_context", {"compactions": 1}),
        ("busy", {"retries": 1}),
    ],
)
async def test_errors_of_the_server_are_gone_on_with_on_the_same_socket(scenario: str, effort: dict[str, int]) -> None:
    async with iiagent_server(scenario) as fake, session_at(fake.url) as session:
        turn = await session.turn(TASK)
    assert turn.check().ended == "response"
    assert {name: getattr(turn, name) for name in ("rotations", "retries", "compactions")} == {
        "rotations": 0,
        "retries": 0,
        "compactions": 0,
    } | effort
    assert (turn.reconnects, fake.peak_sockets, fake.peak_agents) == (0, 1, 1)
    assert fake.runs[-1].outcome == "done"


async def test_after_a_rotation_the_prompt_is_restated_and_the_key_stays() -> None:
    async with iiagent_server("error_401") as fake, session_at(fake.url) as session:
        await session.turn(TASK)
        asked = queries(fake, session.session_id)
        await session.turn("And now?")
    assert [run.model for run in fake.runs] == ["claude@a", "claude@b", "claude@b"]
    assert str(asked[1]["text"]).endswith(TASK) and asked[1]["resume"] is False
    assert (session.state.model_key, session.state.rotations) == ("claude@b", 1)


async def test_no_key_left_is_the_end_and_says_so() -> None:
    script = [[Fail(401, "Invalid API key")]] * 3
    async with iiagent_server(script) as fake, session_at(fake.url) as session:
        turn = await session.turn(TASK)
        assert turn.error is not None and turn.error.kind == "key"
        assert len(fake.runs) == 2
        with pytest.raises(NotAllowed, match="Invalid API key"):
            turn.check()
        assert session.state.status == "FAILED" and session.unfinished is None
        assert (await session.turn(TASK)).ended == "response"  # asked again, with the keys that there are


async def test_an_error_in_a_run_keeps_its_memory_on_the_same_socket() -> None:
    script = [[Say("half"), Fail(500, "down")], [Say("all"), Done()]]
    async with iiagent_server(script) as fake, session_at(fake.url) as session:
        turn = await session.turn(TASK)
    assert turn.messages == ("half", "all")
    assert any(message["text"] == TASK for message in fake.runs[1].history)


async def test_a_limit_that_stays_ends_the_turn() -> None:
    script = [[Fail(429, "Rate limit reached")]] * 9
    async with iiagent_server(script) as fake, session_at(fake.url, limits={"retries": 3}) as session:
        turn = await session.turn(TASK)
    assert turn.error is not None and (turn.error.kind, turn.retries, len(fake.runs)) == ("rate", 3, 4)


async def test_a_refused_request_is_tried_once_more() -> None:
    script = [[Fail(422, "Unprocessable")], [Fail(422, "Unprocessable")], [Done()]]
    async with iiagent_server(script) as fake, session_at(fake.url) as session:
        turn = await session.turn(TASK)
    assert turn.error is not None and (turn.error.kind, len(fake.runs)) == ("request", 2)


async def test_a_context_that_stays_too_long_is_compacted_once() -> None:
    script = [[Fail(400, "maximum context length is 128000 tokens")]] * 5
    async with iiagent_server(script) as fake, session_at(fake.url) as session:
        turn = await session.turn(TASK)
    assert turn.error is not None and (turn.error.kind, turn.compactions, len(fake.runs)) == ("context", 1, 2)


@pytest.mark.parametrize("scenario", ["big_frame", "unknown_event", "broken_frames"])
async def test_large_and_unknown_frames_pass(scenario: str) -> None:
    heard: list[Event] = []
    async with iiagent_server(scenario) as fake, session_at(fake.url, on_event=heard.append) as session:
        turn = await session.turn(TASK)
        assert (turn.ended, turn.reconnects, turn.answer) == ("response", 0, "I wrote output.csv with 3 rows.")
    kinds = {"big_frame": FileEdit, "unknown_event": UnknownEvent, "broken_frames": UnknownEvent}
    assert any(isinstance(event, kinds[scenario]) for event in heard)


async def test_the_end_of_a_command_is_not_that_of_a_run() -> None:
    late = Raw('{"type": "agent_response", "content": {}}')
    async with iiagent_server([[late, Say("done"), Done()]]) as fake, session_at(fake.url) as session:
        assert (await session.turn(TASK)).answer == "done"


async def test_a_frame_over_the_limit_is_fatal_and_says_why() -> None:
    async with (
        iiagent_server("big_frame") as fake,
        session_at(fake.url, limits={"frame_bytes": 1_000_000}) as session,
    ):
        turn = await session.turn(TASK)
        assert turn.error is not None and turn.error.kind == "size"
        assert "more than 1000000 bytes" in turn.error.message
        with pytest.raises(TooLarge):
            turn.check()
        assert len(fake.runs) == 1


@pytest.mark.parametrize("limits", [{"frames": 3}, {"turn_bytes": 300}])
async def test_too_much_of_it_ends_the_turn(limits: dict[str, int]) -> None:
    async with iiagent_server("happy") as fake, session_at(fake.url, limits=limits) as session:
        turn = await session.turn(TASK)
        assert turn.error is not None and turn.error.kind == "size"
        await fake.idle()


async def test_a_prompt_is_never_a_command() -> None:
    async with iiagent_server("happy") as fake, session_at(fake.url) as session:
        await session.turn("/help me to write output.csv")
        await session.turn("\n /compact")
        assert len(fake.runs) == 2
        assert not any(str(query["text"]).lstrip().startswith("/") for query in queries(fake, session.session_id))


async def test_prompts_that_cannot_be_sent_are_refused_here() -> None:
    async with iiagent_server("happy") as fake, session_at(fake.url, limits={"query_bytes": 100}) as session:
        for text in ("", " \n", "\ud800"):
            with pytest.raises(BadInput):
                await session.turn(text)
        with pytest.raises(TooLarge):
            await session.turn("ă" * 51)
        assert not fake.runs
