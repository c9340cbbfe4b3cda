"""A client that sends frames as they are and keeps what comes: for tests of the server, real or scripted."""

import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.fakes.iiagent.server import FakeServer

Event = dict[str, Any]

TERMINAL = ("agent_response", "agent_response_interrupted", "error")
LARGEST_FRAME_BYTES = 64 * 2**20


class RawClient:
    """One connection.

    Attributes:
        socket: The connection.
        session_id: Last part of the path in the first frame.
        events: All that came.
    """

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.session_id = ""
        self.events: list[Event] = []

    @property
    def types(self) -> list[str]:
        """Types of all that came."""
        return [event["type"] for event in self.events]

    async def send(self, kind: str, **content: Any) -> None:
        """Send a frame."""
        await self.socket.send(json.dumps({"type": kind, "content": content}))

    async def receive(self) -> Event:
        """The next frame."""
        event = json.loads(await self.socket.recv())
        self.events.append(event)
        return event

    async def until(self, *kinds: str) -> Event:
        """The next frame of one of these types."""
        while (event := await self.receive())["type"] not in kinds:
            pass
        return event

    async def ask(self, kind: str, **content: Any) -> Event:
        """Send a frame; the next one."""
        await self.send(kind, **content)
        return await self.receive()

    async def init(self, model: str = "model", **content: Any) -> Event:
        """Make an agent."""
        return await self.ask("init_agent", model_name=model, **content)

    async def query(self, text: str = "do it", *, resume: bool = True, files: Iterable[str] = ()) -> None:
        """Send a query."""
        await self.send("query", text=text, resume=resume, files=list(files))

    async def run(self, text: str = "do it", *, resume: bool = True, files: Iterable[str] = ()) -> Event:
        """Send a query; its last frame."""
        await self.query(text, resume=resume, files=files)
        return await self.until(*TERMINAL)

    async def closed(self) -> int:
        """Read until the connection ends; its close code, 1006 for none."""
        try:
            while True:
                await self.receive()
        except ConnectionClosed as ended:
            return ended.rcvd.code if ended.rcvd else 1006


Start = Callable[..., Awaitable[RawClient]]


@asynccontextmanager
async def raw_client(url: str, session_id: str | None = None, device_id: str = "device") -> AsyncGenerator[RawClient]:
    """Connect; with a session's id to that session.

    Args:
        url: Base address of the server.
        session_id: Sent as it is, also where it is no UUID; then no first frame is waited for.
        device_id: Who asks.
    """
    address = f"{url.replace('http', 'ws', 1)}/ws?device_id={device_id}"
    address += f"&session_uuid={session_id}" if session_id is not None else ""
    async with connect(address, max_size=LARGEST_FRAME_BYTES, proxy=None) as socket:
        client = RawClient(socket)
        if session_id is None or len(session_id) == 36:
            first = await client.receive()
            client.session_id = first["content"]["workspace_path"].rstrip("/").rsplit("/", 1)[1]
        yield client


@asynccontextmanager
async def starting() -> AsyncGenerator[Start]:
    """Makes clients whose query is being worked on, and that stay until the block ends."""
    async with AsyncExitStack() as clients:

        async def started(fake: FakeServer, session_id: str | None = None, text: str = "do it") -> RawClient:
            client = await clients.enter_async_context(raw_client(fake.url, session_id))
            await client.init()
            await client.query(text)
            return client

        yield started


async def stored(fake: FakeServer, session_id: str) -> list[str]:
    """Types of a session's stored events."""
    async with httpx.AsyncClient(trust_env=False, base_url=fake.url) as http:
        events = (await http.get(f"/api/sessions/{session_id}/events")).json()["events"]
    return [event["event_type"] for event in events]
