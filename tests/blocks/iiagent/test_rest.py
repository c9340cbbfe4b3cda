"""REST of a server: stored events, files, uploads, and which generation it is."""

import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from blocks.errors import (
    BadInput,
    C500Error,
    EngineFailed,
    EngineUnavailable,
    LimitReached,
    NotAllowed,
    NotFound,
    TooLarge,
    Unsupported,
)
from blocks.iiagent.events import AgentResponse, UserMessage
from blocks.iiagent.rest import AgentRest
from blocks.iiagent.workspace import ServerWorkspace, read_small
from tests.blocks.iiagent.opened import server_at, session_at
from tests.fakes.iiagent import iiagent_server

SESSION = str(uuid.UUID(int=7))
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def answering(handler: Handler) -> AsyncGenerator[str]:
    """A server that answers everything in one way."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_stored_events_are_read() -> None:
    async with iiagent_server("happy") as fake, session_at(fake.url) as session:
        await session.turn("Write output.csv.")
        events = await session.rest.events(session.session_id)
        assert isinstance(events[0].event, UserMessage) and events[0].event.text == "Write output.csv."
        assert isinstance(events[-1].event, AgentResponse) and events[-1].workspace_dir == session.workspace
        assert await session.rest.events(SESSION) == []


async def test_files_are_sent_and_read() -> None:
    async with iiagent_server("happy") as fake, session_at(fake.url) as session:
        rest, known = session.rest, session.session_id
        sent = await rest.upload(known, "số liệu.csv", b"data:not,a url", "text/csv")
        assert sent.for_query == f".{sent.path}" and fake.uploads[0][2] == b"data:not,a url"
        path = sent.path.lstrip("/")
        head = await rest.head(known, path)
        assert head is not None and (head.size_bytes, bool(head.etag)) == (14, True)
        files = ServerWorkspace(rest, known)
        assert await read_small(files, path, most_bytes=14) == b"data:not,a url"
        with pytest.raises(TooLarge):
            await read_small(files, path, most_bytes=13)
        assert await rest.head(known, "none.csv") is None
        with pytest.raises(NotFound):
            await read_small(files, "none.csv", most_bytes=9)
        with pytest.raises(NotFound):
            await rest.upload(SESSION, "a", b"")


async def test_an_unchanged_file_is_not_sent_again() -> None:
    async with iiagent_server("happy") as fake, session_at(fake.url) as session:
        rest, known = session.rest, session.session_id
        path = (await rest.upload(known, "a.txt", b"0123456789")).path.lstrip("/")
        async with rest.stream(known, path) as body:
            assert b"".join([piece async for piece in body.chunks()]) == b"0123456789"
            assert (body.file.size_bytes, body.unchanged) == (10, False)
            etag = body.file.etag
        async with rest.stream(known, path, etag=etag) as body:
            assert body.unchanged and body.file.size_bytes is None
        async with rest.stream(known, path, etag='"other"') as body:
            assert not body.unchanged


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a/../../x", "a\\b", "", ".", "a\x00", "a/%2e%2e\n"])
async def test_no_path_leads_out_of_the_workspace(path: str) -> None:
    async with AgentRest(server_at("http://127.0.0.1:9", flavor="ws")) as rest:
        with pytest.raises(BadInput):
            await rest.head(SESSION, path)


async def test_names_are_quoted_on_the_wire() -> None:
    asked: list[str] = []

    async def note(request: web.Request) -> web.Response:
        asked.append(request.raw_path)
        return web.Response(text="x")

    async with answering(note) as url, AgentRest(server_at(url)) as rest:
        await rest.head(SESSION, "a b/%2e%2e/c#?d.csv")
    assert asked == [f"/workspace/{SESSION}/a%20b/%252e%252e/c%23%3Fd.csv"]


@pytest.mark.parametrize("session", ["", "../sessions", "x", f"{SESSION}/..", f"{SESSION}\n"])
async def test_a_session_id_is_a_uuid(session: str) -> None:
    async with AgentRest(server_at("http://127.0.0.1:9", flavor="ws")) as rest:
        for asked in (rest.events(session), rest.head(session, "a"), rest.upload(session, "a", b"")):
            with pytest.raises(BadInput):
                await asked


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, NotAllowed),
        (403, NotAllowed),
        (404, NotFound),
        (413, TooLarge),
        (429, LimitReached),
        (400, EngineFailed),
        (302, EngineFailed),
        (500, EngineUnavailable),
        (503, EngineUnavailable),
    ],
)
async def test_each_refusal_is_an_error_of_its_kind(status: int, error: type[C500Error]) -> None:
    async def refuse(_request: web.Request) -> web.Response:
        return web.Response(status=status, text="so it is\x1b[2J", headers={"Location": "http://127.0.0.1:9/"})

    async with answering(refuse) as url, AgentRest(server_at(url)) as rest:
        with pytest.raises(error, match=f"answers {status}: so it is") as caught:
            await rest.events(SESSION)
        assert type(caught.value) is error and "\x1b" not in caught.value.message


@pytest.mark.parametrize("text", ["", "no JSON", "[]", '{"events": 3}', '{"events": [3]}', "[" * 100_000])
async def test_an_answer_of_another_form_is_told(text: str) -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(text=text)

    async with answering(answer) as url, AgentRest(server_at(url)) as rest:
        with pytest.raises(EngineFailed):
            await rest.events(SESSION)


@pytest.mark.parametrize("text", ['{"paths": [1]}', '{"paths": [[]]}', "[" * 100_000, "\xff"])
async def test_an_odd_description_is_that_of_no_agent_server(text: str) -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(body=text.encode("latin-1"))

    async with answering(answer) as url, AgentRest(server_at(url)) as rest:
        with pytest.raises(Unsupported):
            await rest.flavor()


async def test_a_description_that_breaks_off_is_told_as_away() -> None:
    async def break_off(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b"{")
        assert request.transport is not None
        request.transport.close()
        return response

    async with answering(break_off) as url, AgentRest(server_at(url)) as rest:
        with pytest.raises(EngineUnavailable, match="broke off"):
            await rest.flavor()


@pytest.mark.parametrize("charset", ["zip", "utf-7", "nonsense"])
async def test_a_refusal_in_an_odd_charset_is_read_all_the_same(charset: str) -> None:
    async def refuse(_request: web.Request) -> web.Response:
        return web.Response(status=500, body=b"so it is", headers={"Content-Type": f"text/plain; charset={charset}"})

    async with answering(refuse) as url, AgentRest(server_at(url)) as rest:
        with pytest.raises(EngineUnavailable, match="so it is"):
            await rest.events(SESSION)


async def test_no_answer_is_read_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("blocks.iiagent.rest.MOST_BYTES", 1000)

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(body=b" " * 1001)

    async with answering(answer) as url, AgentRest(server_at(url)) as rest:
        with pytest.raises(TooLarge, match="more than 1000 bytes"):
            await rest.events(SESSION)


async def test_a_header_that_cannot_be_sent_is_told_without_its_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENT_TOKEN", "pässword")
    with pytest.raises(BadInput, match="ASCII") as caught:
        async with AgentRest(server_at("http://127.0.0.1:9", headers={"Authorization": "env:AGENT_TOKEN"})):
            pass
    assert "ssword" not in str(caught.value) and caught.value.details["field"] == "servers.fake.headers.Authorization"


async def test_nobody_there_is_told_as_away() -> None:
    async with AgentRest(server_at("http://127.0.0.1:9")) as rest:
        with pytest.raises(EngineUnavailable):
            await rest.events(SESSION)


async def test_secrets_of_headers_go_with_each_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENT_TOKEN", "Bearer abc")
    seen: list[str] = []

    async def note(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Authorization", ""))
        return web.json_response({"events": []})

    server = server_at("http://x", headers={"Authorization": "env:AGENT_TOKEN"})
    async with answering(note) as url, AgentRest(server.model_copy(update={"base_url": url})) as rest:
        await rest.events(SESSION)
    assert seen == ["Bearer abc"]


@pytest.mark.parametrize(
    ("paths", "found"),
    [
        (["/auth/login", "/api/settings"], "Socket.IO"),
        (["/api/upload", "/api/sessions/{device_id}", "/api/sessions/{session_id}/events"], "v0.2"),
        (["/items"], "none of the paths"),
        (None, "none"),
    ],
)
async def test_other_servers_are_told_for_what_they_are(paths: list[str] | None, found: str) -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.json_response([] if paths is None else {"paths": dict.fromkeys(paths)})

    async with answering(answer) as url, AgentRest(server_at(url)) as rest:
        with pytest.raises(Unsupported, match=found):
            await rest.flavor()
    async with AgentRest(server_at("http://127.0.0.1:9", flavor="ws")) as rest:
        assert await rest.flavor() == "ws"  # it is not asked
