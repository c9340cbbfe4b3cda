"""Sessions against the scripted server: opened, gone on with, taken over, and what is kept of them."""

import asyncio
import json
from pathlib import Path

import pytest

from blocks.errors import BadInput, Conflict, EngineFailed, EngineUnavailable, NotAllowed, Unsupported
from blocks.iiagent.archive import read_archive
from blocks.iiagent.session import open_session
from blocks.iiagent.state import RunningTurn, Upload, read_state, write_state
from tests.blocks.iiagent.opened import server_at, session_at
from tests.fakes.iiagent import iiagent_server
from tests.fakes.iiagent.steps import Call, Done, Fail, Raw, Say, Wait

TASK = "Write output.csv."


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
