"""Servers that do not keep to the protocol: what the client makes of each, and that it ends."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.utils import accept_key

from blocks.errors import C500Error, EngineFailed, EngineUnavailable, NotAllowed, TimedOut, Unsupported
from blocks.iiagent.link import Link, Overdue, Watch
from blocks.iiagent.pace import Nap, Pace
from blocks.iiagent.server import Limits
from blocks.iiagent.transport import Lost, Received
from blocks.iiagent.ws import WebSocketTransport
from tests.blocks.iiagent.opened import server_at, session_at

Talk = Callable[[ServerConnection], Awaitable[None]]


@asynccontextmanager
async def talking(talk: Talk, refusal: Response | None = None) -> AsyncGenerator[str]:
    """A WebSocket server of a test's own."""

    async def begin(_socket: ServerConnection, _request: Request) -> Response | None:
        return refusal

    async with serve(talk, "127.0.0.1", 0, process_request=begin) as server:
        host, port = next(iter(server.sockets)).getsockname()[:2]
        yield f"http://{host}:{port}"


async def greet(socket: ServerConnection, session_id: str = "") -> None:
    request = socket.request
    assert request is not None
    asked = parse_qs(urlsplit(request.path).query)["session_uuid"][0]
    content = {"workspace_path": f"/w/{session_id or asked}"}
    await socket.send(json.dumps({"type": "connection_established", "content": content}))


async def hear(socket: ServerConnection) -> None:
    async for _ in socket:
        pass


async def only_greet(socket: ServerConnection) -> None:
    await greet(socket)
    await hear(socket)


async def greet_as_another(socket: ServerConnection) -> None:
    await greet(socket, "01234567-89ab-cdef-0123-456789abcdef")
    await hear(socket)


async def greet_without_an_id(socket: ServerConnection) -> None:
    await socket.send(json.dumps({"type": "connection_established", "content": {"workspace_path": "/w/.."}}))
    await hear(socket)


@pytest.mark.parametrize(
    ("talk", "error", "limits"),
    [
        (hear, EngineUnavailable, {"connect_s": 0.2, "reconnects": 1}),
        (only_greet, TimedOut, {"init_s": 0.2}),
        (greet_as_another, EngineFailed, {}),
        (greet_without_an_id, EngineFailed, {}),
    ],
)
async def test_a_session_that_does_not_begin_ends(talk: Talk, error: type[C500Error], limits: dict[str, float]) -> None:
    async with talking(talk) as url:
        with pytest.raises(error):
            async with session_at(url, flavor="ws", limits=limits):
                pass


async def test_a_sandbox_without_an_id_is_no_session() -> None:
    async with talking(greet_without_an_id) as url:
        with pytest.raises(EngineFailed):
            async with session_at(url, flavor="ws", sandbox="docker"):
                pass


@pytest.mark.parametrize(
    ("status", "error"),
    [(401, NotAllowed), (403, NotAllowed), (404, Unsupported), (302, Unsupported), (503, EngineUnavailable)],
)
async def test_a_refused_connection_is_told(status: int, error: type[C500Error]) -> None:
    # A redirection is not followed: the headers are for this server alone.
    refusal = Response(status, "No", Headers({"Location": "ws://127.0.0.1:9/ws", "Content-Length": "0"}))
    async with talking(hear, refusal) as url:
        with pytest.raises(error, match=str(status)):
            async with session_at(url, flavor="ws"):
                pass


async def test_secrets_of_headers_go_with_the_opening_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENT_TOKEN", "Bearer abc")
    seen: list[str] = []

    async def note(socket: ServerConnection) -> None:
        assert socket.request is not None
        seen.append(socket.request.headers["Authorization"])
        await greet_as_another(socket)

    async with talking(note) as url:
        with pytest.raises(EngineFailed):
            async with session_at(url, flavor="ws", headers={"Authorization": "env:AGENT_TOKEN"}):
                pass
    assert seen == ["Bearer abc"]


class Silent:
    """A transport on which nothing comes but what is given; with a clock that each wait moves on."""

    def __init__(self, *frames: object) -> None:
        self.frames = list(frames)
        self.sent: list[str] = []
        self.seconds = 0.0

    async def connect(self, *, device_id: str, session_id: str | None) -> None: ...

    async def send(self, frame: dict[str, object]) -> None:
        self.sent.append(str(frame["type"]))

    async def receive(self) -> Received:
        self.seconds += 10
        if not self.frames or self.frames[0] is None:
            del self.frames[:1]
            raise TimeoutError
        return Received(self.frames.pop(0), 1)

    async def close(self) -> None: ...


def link_on(silent: Silent, **limits: float) -> Link:
    async def note(*_: object) -> None: ...

    return Link(silent, Limits.model_validate(limits), Pace(now=lambda: silent.seconds), note)


async def test_a_silent_server_is_pinged_and_then_given_up() -> None:
    silent = Silent()
    with pytest.raises(Lost, match="180 s"):
        await link_on(silent).event(Watch(until=10_000))
    assert silent.sent == ["ping"] and 30 + 180 <= silent.seconds <= 30 + 180 + 20


async def test_pongs_keep_the_connection_and_not_the_run() -> None:
    pong = {"type": "pong", "content": {}}
    silent = Silent(*[None, None, None, pong] * 100)
    with pytest.raises(Overdue) as caught:
        await link_on(silent).event(Watch(until=100_000, idle_s=900))
    assert caught.value.kind == "idle" and silent.sent.count("ping") > 10
    assert 900 <= silent.seconds <= 920


async def test_backoff_is_a_random_time_up_to_twice_the_last() -> None:
    asked: list[tuple[float, float]] = []
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    def jitter(least: float, most: float) -> float:
        asked.append((least, most))
        return most / 2

    nap = Nap(Pace(sleep=sleep, jitter=jitter))
    for tries in range(8):
        await nap.backoff(tries, 1, 60)
    assert asked == [(0, most) for most in (1, 2, 4, 8, 16, 32, 60, 60)]
    assert waited == [most / 2 for _, most in asked]


@asynccontextmanager
async def reading_nothing() -> AsyncGenerator[str]:
    """A server that shakes hands, and then takes nothing from its socket any more."""

    async def shake(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = (await reader.readuntil(b"\r\n\r\n")).decode()
        key = next(
            line.partition(": ")[2] for line in asked.split("\r\n") if line.lower().startswith("sec-websocket-key")
        )
        upgrade = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        writer.write(f"{upgrade}Sec-WebSocket-Accept: {accept_key(key)}\r\n\r\n".encode())

    server = await asyncio.start_server(shake, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    try:
        yield f"http://{host}:{port}"
    finally:
        server.close()


async def test_a_server_that_takes_nothing_is_lost_and_left() -> None:
    async with reading_nothing() as url:
        transport = WebSocketTransport(server_at(url, limits={"dead_after_s": 0.2}), {})
        await transport.connect(device_id="d", session_id=None)
        with pytest.raises(Lost, match="took no frame"):
            while True:
                await transport.send({"type": "query", "content": {"text": "x" * (4 << 20)}})
        async with asyncio.timeout(60):
            await transport.close()
