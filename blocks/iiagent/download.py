"""Bringing a workspace's files here: bounded, hashed, each whole or not at all, and only what has changed."""

from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from pydantic import Field

from blocks.errors import BadInput, EngineFailed, NotFound, TooLarge
from blocks.iiagent.downloaded import FILES, PARTS, Downloaded, Record, Refusal
from blocks.iiagent.paths import Claims, Placed, UnsafeName, placed
from blocks.iiagent.tree import Blocked, Part, Tree, in_thread, open_tree
from blocks.iiagent.unzip import UnzipLimits
from blocks.iiagent.workspace import Body, Workspace
from blocks.model import Frozen

MIB = 1 << 20
TRIES_EACH = 4
"""So many names are asked for, times the cap on files: a server can name any number that it does not have."""


class DownloadLimits(Frozen):
    """What one download may bring.

    Attributes:
        file_bytes: Of one file.
        total_bytes: Of all files in the folder, those of before too.
        files: So many files.
        unpack: What archives among them may hold, where they are unpacked.
    """

    file_bytes: int = Field(default=256 * MIB, gt=0)
    total_bytes: int = Field(default=2048 * MIB, gt=0)
    files: int = Field(default=2000, gt=0)
    unpack: UnzipLimits = UnzipLimits()


class Download(Frozen):
    """What a download brought.

    Attributes:
        folder: Where the files lie.
        fetched: Paths below it that are new or have changed.
        unchanged: Paths that were here already.
        refused: What is not here in its present form, and why.
        refused_more: So many more were refused.
        total_bytes: Of all files in the folder.
    """

    folder: Path
    fetched: tuple[str, ...]
    unchanged: tuple[str, ...]
    refused: tuple[Refusal, ...]
    refused_more: int
    total_bytes: int


async def download(
    workspace: Workspace,
    into: Path,
    names: Iterable[str] = (),
    *,
    hashes: Mapping[str, str] | None = None,
    limits: DownloadLimits | None = None,
) -> Download:
    """Bring files here, into `into/files`, with `into/manifest.json` beside; a download that was killed goes on.

    A file that cannot or may not be had does not end it: it is told with its reason. One that was brought before and
    cannot be had any more stays, and its record says `stale`.

    Args:
        workspace: Where from.
        into: Where to; made where there is none.
        names: Files as a server or a person names them, before those that the workspace knows.
        hashes: Of files by name, as the agent says: what differs is refused.
        limits: What may be brought.

    Raises:
        Conflict: another process downloads into the folder.
        BadInput: the folder holds the files of another session.
        EngineUnavailable: the server does not answer; what came until then stays.
        StoreFailed: it cannot be written, as on a full disk.
    """
    known = [*names, *await workspace.names()]
    with open_tree(into, make=True) as tree, tree.alone():
        here = await in_thread(lambda: Downloaded.opened(tree, workspace.session_id))
        bringing = _Bringing(workspace, tree, here, limits or DownloadLimits(), hashes or {})
        await bringing.all(known)
        await in_thread(here.close)
    return Download(
        folder=into / FILES,
        fetched=tuple(bringing.fetched),
        unchanged=tuple(bringing.unchanged),
        refused=tuple(here.refused),
        refused_more=here.refused_more,
        total_bytes=here.total_bytes(),
    )


class _Bringing:
    """One download, file by file: which are refused at a cap does not depend on which was faster."""

    def __init__(
        self,
        workspace: Workspace,
        tree: Tree,
        here: Downloaded,
        limits: DownloadLimits,
        hashes: Mapping[str, str],
    ) -> None:
        self._workspace, self._tree, self._here, self._limits = workspace, tree, here, limits
        self._hashes = {local: sha256 for name, sha256 in hashes.items() if (local := self._local(name))}
        self._claims = Claims()
        self._tries = 0
        self.fetched: list[str] = []
        self.unchanged: list[str] = []

    async def all(self, names: Iterable[str]) -> None:
        done: set[str] = set()
        for name in dict.fromkeys(names):
            try:
                place = placed(name, self._workspace.roots)
                if place.remote in done:
                    continue
                done.add(place.remote)
                self._claims.claim(place.local)
            except UnsafeName as error:
                self._here.refuse(name, error.details["reason"], error)
                continue
            await self._one(name, place)

    async def _one(self, name: str, place: Placed) -> None:
        try:
            if len(self.fetched) + len(self.unchanged) >= self._limits.files:
                raise _large(f"there are more than {self._limits.files} files", "files")
            self._tries += 1
            if self._tries > TRIES_EACH * self._limits.files:
                raise _large(f"too many of {TRIES_EACH * self._limits.files} names lead to no file", "files")
            await self._bring(place)
        except NotFound as error:
            self._here.refuse(name, "missing", error, place.local)
        except TooLarge as error:
            self._here.refuse(name, "large", error, place.local)
        except Blocked as error:
            self._here.refuse(name, "blocked", error, place.local)
        except (BadInput, EngineFailed) as error:
            self._here.refuse(name, "refused", error, place.local)

    async def _bring(self, place: Placed) -> None:
        before = await in_thread(lambda: self._here.still(place))
        async with self._workspace.get(place.remote, etag=before.etag if before else None) as body:
            if body.unchanged and before:
                self._here.keep(before)
                self.unchanged.append(place.local)
                return
            if body.unchanged:
                raise EngineFailed("the server answers 304 where no mark was given", fix="look at what stands between")
            async with self._part() as part:
                await self._fill(part, body, place)
                self._prove(part, place)
                record = Record(
                    name=place.local,
                    remote=place.remote,
                    size_bytes=part.size_bytes,
                    sha256=part.sha256,
                    etag=body.facts.etag,
                )
                await in_thread(lambda: self._tree.put(part, f"{FILES}/{place.local}"))
        await in_thread(lambda: self._here.add(record))
        self.fetched.append(place.local)

    async def _fill(self, part: Part, body: Body, place: Placed) -> None:
        room = self._limits.total_bytes - self._here.total_bytes(without=place.local)
        self._fits(body.facts.size_bytes or 0, room)
        async for piece in body.pieces():
            self._fits(part.size_bytes + len(piece), room)
            await in_thread(partial(part.write, piece))

    def _fits(self, size_bytes: int, room_bytes: int) -> None:
        if size_bytes > self._limits.file_bytes:
            raise _large(f"it has more than {self._limits.file_bytes} bytes", "file_bytes")
        if size_bytes > room_bytes:
            raise _large(f"all files together have more than {self._limits.total_bytes} bytes", "total_bytes")

    def _prove(self, part: Part, place: Placed) -> None:
        if (told := self._hashes.get(place.local)) not in (None, part.sha256):
            raise EngineFailed(
                f"its sha256 is {part.sha256}, and the agent's list says {told}",
                fix="ask the agent for the file, or for its list, once more",
                field="hashes",
            )

    @asynccontextmanager
    async def _part(self) -> AsyncGenerator[Part]:
        with self._tree.part(PARTS) as part:
            yield part

    def _local(self, name: str) -> str | None:
        try:
            return placed(name, self._workspace.roots).local
        except UnsafeName:
            return None


def _large(why: str, field: str) -> TooLarge:
    return TooLarge(why, fix=f"raise {field} of the download's limits, or name fewer files", field=field)
