"""Workspaces over real HTTP and on the disk, for tests of downloads, uploads and checks."""

import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blocks.iiagent.rest import AgentRest
from blocks.iiagent.server import AgentServer
from blocks.iiagent.workspace import MountedWorkspace, ServerWorkspace
from tests.fakes.iiagent import FakeServer, iiagent_server


@dataclass
class Served:
    """A session whose workspace a server gives out.

    Attributes:
        fake: The server.
        rest: Its client.
        session_id: The session.
        folder: Its workspace, on the server's disk.
    """

    fake: FakeServer
    rest: AgentRest
    session_id: str
    folder: Path

    def put(self, name: str, content: bytes | str) -> None:
        """Put one file there."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    def over_http(self, *names: str) -> ServerWorkspace:
        """The workspace over HTTP, with these files known."""
        return ServerWorkspace(self.rest, self.session_id, names, roots=[str(self.folder)])

    def mounted(self) -> MountedWorkspace:
        """The workspace on the disk."""
        return MountedWorkspace(self.folder.parent, self.session_id, roots=[str(self.folder)])

    def asked(self, name: str) -> int:
        """How often a file was asked for."""
        return self.fake.downloads.count(f"{self.session_id}/{name}")


@asynccontextmanager
async def served(**knobs: Any) -> AsyncGenerator[Served]:
    """A server with one session whose workspace is empty."""
    async with iiagent_server("happy", **knobs) as fake:
        server = AgentServer.model_validate({"name": "fake", "base_url": fake.url, "model_keys": ["m"]})
        session = fake.sessions.open(str(uuid.uuid4()))
        async with AgentRest(server) as rest:
            folder = fake.workspace(session.id)
            folder.mkdir(parents=True, exist_ok=True)
            yield Served(fake, rest, session.id, folder)
