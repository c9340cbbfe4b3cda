"""Turns of a session against the scripted server: each scenario ends in what it is."""

import asyncio
import json
from pathlib import Path

import pytest

from blocks.errors import BadInput, Conflict, EngineFailed, EngineUnavailable, NotAllowed, TooLarge, Unsupported
from blocks.iiagent.archive import read_archive
from blocks.iiagent.events import Event, FileEdit, UnknownEvent
from blocks.iiagent.session import open_session
from blocks.iiagent.state import RunningTurn, Upload, read_state, write_state
from tests.blocks.iiagent.opened import server_at, session_at
from tests.fakes.iiagent import FakeServer, iiagent_server
from tests.fakes.iiagent.steps import Call, Done, Fail, Raw, Say, Wait

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


async def test_a_turn_of_a_key_runs_once() -> None:
    async with iiagent_server("happy") as fake:
        async with session_at(fake.url) as session:
            first = await session.turn(TASK, key="goal")
        async with session_at(fake.url) as session:
            assert await session.turn(TASK, key="goal") == first
            assert len(fake.runs) == 1
            await session.turn(TASK, key="again")
        assert len(fake.runs) == 2


async def test_the_same_folder_is_the_same_session() -> None:
    async with iiagent_server("happy") as fake:
        async with session_at(fake.url) as session:
            await session.turn(TASK)
            first = session.session_id
        async with session_at(fake.url) as session:
            assert session.session_id == first
            turn = await session.turn("And now?")
        assert turn.ended == "response" and fake.runs[1].resume and fake.runs[1].history


async def test_a_session_of_the_server_is_taken_over() -> None:
    async with iiagent_server("happy") as fake:
        async with session_at(fake.url, Path("first")) as session:
            await session.turn(TASK)
            known = session.session_id
        async with session_at(fake.url, Path("second"), session_id=known.upper()) as session:
            await session.turn("And now?")
            assert session.session_id == known
        assert fake.runs[1].resume and fake.runs[1].history
        with pytest.raises(BadInput, match="holds the session"):
            async with session_at(fake.url, Path("second"), session_id="01234567-89ab-cdef-0123-456789abcdef"):
                pass


async def test_a_session_has_one_driver() -> None:
    async with iiagent_server("happy") as fake, session_at(fake.url) as session:
        with pytest.raises(Conflict):
            async with session_at(fake.url):
                pass
        with pytest.raises(Conflict):
            async with session_at(fake.url, Path("other"), session_id=session.session_id):
                pass
        assert fake.peak_sockets == 1


async def test_a_sandbox_is_made_by_the_first_connection() -> None:
    async with iiagent_server("docker_mode") as fake:
        async with session_at(fake.url, sandbox="docker") as session:
            assert (await session.turn(TASK)).files == ("/workspace/output.csv",)
            first = session.session_id
        async with session_at(fake.url, sandbox="docker") as session:
            assert session.session_id == first
            assert (await session.turn("And now?")).ended == "response"


async def test_an_unknown_model_is_passed_over() -> None:
    async with iiagent_server("happy", models=("claude@b",)) as fake:
        async with session_at(fake.url) as session:
            assert session.state.model_key == "claude@b"
        with pytest.raises(NotAllowed, match="LLM config not found") as caught:
            async with session_at(fake.url, Path("other"), model_keys=("x", "y")):
                pass
        assert caught.value.details["kind"] == "key"


@pytest.mark.parametrize("flavor", ["old", "socketio"])
async def test_another_generation_is_named(flavor: str) -> None:
    async with iiagent_server("happy", flavor=flavor) as fake:
        with pytest.raises(Unsupported, match=r"Socket\.IO|v0\.2"):
            async with session_at(fake.url):
                pass
        assert fake.peak_sockets == 0
    with pytest.raises(Unsupported, match="socketio"):
        async with session_at("http://127.0.0.1:9", flavor="socketio"):
            pass


async def test_a_server_that_is_away_is_told_at_once() -> None:
    with pytest.raises(EngineUnavailable):
        async with session_at("http://127.0.0.1:9", flavor="ws"):
            pass


async def test_a_server_that_drops_every_session_is_told() -> None:
    async with iiagent_server("bad_uuid") as fake:
        with pytest.raises(EngineUnavailable, match="broke"):
            async with session_at(fake.url):
                pass


async def test_what_was_said_is_archived_without_secrets() -> None:
    script = [[Say("The key is sk-proj-abcdefghijklmnopqrstuvwxyz0123456789ABCD."), Call("x", {}, "y"), Done()]]
    async with iiagent_server(script) as fake, session_at(fake.url) as session:
        await session.turn(TASK)
    kept = list(read_archive(Path("session")))
    types = [(line["from"], line["frame"]["type"]) for line in kept]
    assert types[:2] == [("socket", "connection_established"), ("sent", "init_agent")]
    assert ("sent", "query") in types and types[-1] == ("socket", "agent_response")
    assert "sk-proj" not in str(kept) and "REDACTED" in str(kept)


async def test_the_state_tells_where_the_session_stands() -> None:
    async with iiagent_server([[Wait("go"), Done()]]) as fake, session_at(fake.url) as session:
        assert (state := read_state(Path("session"))) is not None and state.status == "READY"
        going = asyncio.create_task(session.turn(TASK))
        await fake.reached("go")
        assert (state := read_state(Path("session"))) is not None and state.status == "RUNNING"
        with pytest.raises(Conflict):
            await session.turn("another")
        fake.open("go")
        await going
        assert (state := read_state(Path("session"))) is not None and state.status == "IDLE"
        assert state.running is None and state.tool_calls == 1


async def test_uploads_are_kept_also_while_a_turn_goes_on() -> None:
    names = ["self", "số liệu.csv", *map(str, range(9))]
    async with iiagent_server([[Wait("go"), Done()]]) as fake, session_at(fake.url) as session:
        going = asyncio.create_task(session.turn(TASK, key="goal"))
        await fake.reached("go")
        fake.open("go")
        sent = {name: Upload(path=f"./uploaded_files/{name}", sha256="0" * 64, size_bytes=1) for name in names}
        await asyncio.gather(*(session.note(**{name: one}) for name, one in sent.items()), going)
    state = read_state(Path("session"))
    assert state is not None and state.uploads == sent and "goal" in state.turns and state.running is None


async def test_a_session_whose_taking_over_failed_is_no_new_one() -> None:
    async with iiagent_server("happy") as fake, session_at(fake.url, Path("first")) as session:
        await session.turn(TASK)
        with pytest.raises(Conflict):
            async with session_at(fake.url, Path("second"), session_id=session.session_id):
                pass
    assert read_state(Path("second")) is None


async def test_a_folder_of_another_server_is_refused() -> None:
    async with iiagent_server("happy") as fake:
        async with session_at(fake.url):
            pass
        other = server_at(fake.url).model_copy(update={"name": "other"})
        with pytest.raises(BadInput, match="server fake"):
            async with open_session(other, Path("session")):
                pass


async def test_an_agent_that_is_refused_for_good_is_told_with_its_kind() -> None:
    async with iiagent_server("happy") as fake:
        with pytest.raises(EngineFailed) as caught:
            async with session_at(fake.url, tool_args={"browser": "yes"}):
                pass
        assert caught.value.details["kind"] == "protocol"


async def test_half_an_emoji_in_an_answer_is_kept_as_what_can_be_written() -> None:
    said = {"tool_call_id": "x", "tool_name": "message_user", "tool_input": {"text": "done \ud83d"}}
    script = [[Raw(json.dumps({"type": "tool_call", "content": said})), Done()]]
    async with iiagent_server(script) as fake, session_at(fake.url) as session:
        turn = await session.turn(TASK, key="goal")
    assert turn.answer == "done \ufffd"
    state = read_state(Path("session"))
    assert state is not None and state.turns["goal"] == turn


async def test_what_is_nested_deep_is_archived_and_fails_nothing() -> None:
    deep = "[" * 700 + "]" * 700
    result = f'{{"type": "tool_result", "content": {{"tool_name": "x", "result": {deep}}}}}'
    call = f'{{"type": "tool_call", "content": {{"tool_name": "x", "tool_input": {{"a": {deep}}}}}}}'
    async with iiagent_server([[Raw(result), Raw(call), Done()]]) as fake, session_at(fake.url) as session:
        assert (await session.turn(TASK)).tool_calls["x"] == 1
    kept = [line["frame"]["type"] for line in read_archive(Path("session"))]
    assert "tool_result" in kept and kept[-1] == "agent_response"


async def test_an_error_that_quotes_a_key_is_kept_without_it() -> None:
    told = "Incorrect API key provided: sk-proj-abcdefghijklmnopqrstuvwxyz0123456789ABCD" + "x" * 9000
    async with iiagent_server([[Fail(401, told)]] * 2) as fake, session_at(fake.url) as session:
        turn = await session.turn(TASK)
    assert turn.error is not None and turn.error.kind == "key"
    assert "sk-proj" not in turn.error.message and len(turn.error.message) < 3000


async def test_pictures_that_a_tool_makes_are_files_of_the_turn() -> None:
    script = [[Call("generate_image", {"output_filename": "a.png"}), Done()]]
    async with iiagent_server(script) as fake, session_at(fake.url) as session:
        assert (await session.turn(TASK)).files == ("a.png",)


async def test_who_waited_for_the_lease_sees_what_its_holder_did() -> None:
    async with iiagent_server("happy") as fake:
        async with session_at(fake.url):
            pass
        state = read_state(Path("session"))
        assert state is not None
        new = write_state(Path("session"), state.model_copy(update={"status": "NEW"}))
        freezing = asyncio.create_task(fake.freeze("thaw"))
        await fake.reached("thaw")

        async def late() -> tuple[str | None, int]:
            async with session_at(fake.url) as session:
                return session.unfinished, len(fake.sent[session.session_id])

        going = asyncio.create_task(late())
        await fake.until(lambda: fake.held)  # it has read the state, and asks what the server is
        left = RunningTurn(text=TASK, resume=False, query=TASK, begin=0, baseline=0)
        sent = len(fake.sent[new.session_id or ""])
        write_state(Path("session"), new.model_copy(update={"status": "RUNNING", "running": left, "sent": 1}))
        fake.open("thaw")
        await freezing
        assert await going == (TASK, sent)  # no second connection while that turn may go on
