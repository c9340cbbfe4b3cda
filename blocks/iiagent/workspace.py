"""The files of one session's workspace, over HTTP or in a folder that is mounted here; read only."""

import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Protocol

from blocks.errors import EngineFailed, NotFound, TooLarge
from blocks.iiagent.paths import session_id
from blocks.iiagent.rest import AgentRest
from blocks.iiagent.server import AgentServer
from blocks.iiagent.tree import PIECE_BYTES, Blocked, Facts, Tree, in_thread, open_tree

MOST_LISTED = 20_000
"""Names of a mounted workspace that are looked at."""


class Body(Protocol):
    """A file that is being read.

    Attributes:
        facts: What is known of it.
        unchanged: Whether it is the one of the mark that was given; then there are no pieces.
    """

    @property
    def facts(self) -> Facts: ...

    @property
    def unchanged(self) -> bool: ...

    def pieces(self) -> AsyncIterator[bytes]:
        """The content, in order. Raises `EngineUnavailable` where it breaks off."""
        ...


class Workspace(Protocol):
    """What downloads and checks read. Paths are `Placed.remote`.

    Attributes:
        session_id: Whose it is.
        roots: Its own path, as the server tells it; names may begin with it.
    """

    @property
    def session_id(self) -> str: ...

    @property
    def roots(self) -> Sequence[str]: ...

    async def names(self) -> list[str]:
        """The files that are known of, as somebody named them: `placed` decides on each. A server lists none itself."""
        ...

    async def head(self, remote: str) -> Facts | None:
        """What is known of a file; None where there is none."""
        ...

    def get(self, remote: str, *, etag: str | None = None) -> AbstractAsyncContextManager[Body]:
        """A file to read, unless it still has this mark. Raises `NotFound`, `Blocked`."""
        ...


async def read_small(workspace: Workspace, remote: str, *, most_bytes: int) -> bytes:
    """A whole file.

    Raises:
        NotFound: there is none.
        TooLarge: it has more bytes; no more than these are read.
    """
    content = bytearray()
    async with workspace.get(remote) as body:
        if (body.facts.size_bytes or 0) <= most_bytes:
            async for piece in body.pieces():
                content += piece
                if len(content) > most_bytes:
                    break
            else:
                return bytes(content)
    raise TooLarge(
        f"{remote!r} has more than {most_bytes} bytes", fix="write less into it, or raise the limit", field="path"
    )


class ServerWorkspace:
    """A workspace over HTTP.

    Args:
        rest: The server.
        session: The session's id.
        named: Files that are known of: from events and turns as the server named them, and what was asked for.
        roots: The workspace's own path, as the server tells it (`AgentSession.workspace`, `StoredEvent.workspace_dir`).
    """

    def __init__(self, rest: AgentRest, session: str, named: Sequence[str] = (), *, roots: Sequence[str] = ()) -> None:
        self.session_id, self.roots = session_id(session), tuple(roots)
        self._rest, self._named = rest, list(named)
        self._honest = False

    async def names(self) -> list[str]:
        """Those that were given. Raises `EngineFailed` where the server cannot be one that has them."""
        await self._prove_honest()
        return list(self._named)

    async def head(self, remote: str) -> Facts | None:
        """What the server says of a file."""
        await self._prove_honest()
        found = await self._rest.head(self.session_id, remote)
        return None if found is None else Facts(found.size_bytes, found.etag)

    @asynccontextmanager
    async def get(self, remote: str, *, etag: str | None = None) -> AsyncGenerator["Body"]:
        """A file of the server."""
        await self._prove_honest()
        async with self._rest.stream(self.session_id, remote, etag=etag) as answer:
            yield _Read(Facts(answer.file.size_bytes, answer.file.etag), answer.chunks(), answer.unchanged)

    async def _prove_honest(self) -> None:
        """Ask once for what cannot be there: a web interface answers every path with its page, and proves nothing."""
        if self._honest:
            return
        if await self._rest.head(self.session_id, f"{uuid.uuid4().hex}.none") is not None:
            raise EngineFailed(
                f"the agent server {self._rest.server.name} answers for files that there are not",
                fix="set base_url to the server itself, and not to its web interface",
                field=f"servers.{self._rest.server.name}.base_url",
            )
        self._honest = True


class MountedWorkspace:
    """A workspace in a folder that is mounted here. Agents can put links into it: none is followed.

    Args:
        mount: Where this machine sees the server's workspaces.
        session: The session's id.
        roots: The workspace's own path, as the server tells it.
    """

    def __init__(self, mount: Path, session: str, *, roots: Sequence[str] = ()) -> None:
        self.session_id, self.roots, self._mount = session_id(session), tuple(roots), mount

    async def names(self) -> list[str]:
        """All there are, up to a number."""
        return await in_thread(self._list)

    async def head(self, remote: str) -> Facts | None:
        """What the disk says of a file."""
        try:
            return await in_thread(lambda: self._facts(remote))
        except (NotFound, Blocked):
            return None

    @asynccontextmanager
    async def get(self, remote: str, *, etag: str | None = None) -> AsyncGenerator["Body"]:
        """A file of the disk."""
        with self._open() as tree, tree.read(remote) as (stream, facts):

            async def pieces() -> AsyncIterator[bytes]:
                while piece := await in_thread(lambda: stream.read(PIECE_BYTES)):
                    yield piece

            yield _Read(facts, pieces(), facts.etag == etag)

    @contextmanager
    def _open(self) -> Generator[Tree]:
        with open_tree(self._mount, field="workspace_mount") as mount, mount.folder([self.session_id]) as folder:
            yield Tree(folder, f"{mount.name}/{self.session_id}")

    def _list(self) -> list[str]:
        with self._open() as tree:
            return list(tree.names(MOST_LISTED))

    def _facts(self, remote: str) -> Facts:
        with self._open() as tree, tree.read(remote) as (_, facts):
            return facts


class _Read:
    def __init__(self, facts: Facts, pieces: AsyncIterator[bytes], unchanged: bool) -> None:
        self.facts, self.unchanged, self._pieces = facts, unchanged, pieces

    def pieces(self) -> AsyncIterator[bytes]:
        return self._pieces


def workspace_of(
    server: AgentServer, rest: AgentRest, session_id: str, named: Iterable[str] = (), *, root: str = ""
) -> Workspace:
    """The files of a session: on a mount where the server has one, else over HTTP.

    Args:
        server: Where.
        rest: Its interface, open.
        session_id: Whose files.
        named: Files that are known of, as the server named them; over HTTP there is no other way to know of any.
        root: The workspace's own path, as the server tells it.
    """
    roots = (root,) if root else ()
    if server.workspace_mount is not None:
        return MountedWorkspace(server.workspace_mount, session_id, roots=roots)
    return ServerWorkspace(rest, session_id, tuple(named), roots=roots)
