"""Our simulator of the model hub's HTTP API: listings, files with ranges, redirects to a CDN, and faults."""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.fakes.serving import serve

PIECE_BYTES = 1 << 18
LFS_FROM_BYTES = 1 << 10
"""Files from this size on are kept with Git LFS, as the hub does by suffix."""

Files = dict[str, bytes]


@dataclass
class Seen:
    """One request that arrived."""

    method: str
    path: str
    range: str | None
    authorization: str | None


@dataclass
class FakeHub:
    """Repositories and their faults; files are named `path` within whatever repository.

    Attributes:
        drop_after: Bytes of a file's body after which the connection is lost, once.
        damaged: Files whose first byte comes wrong.
        unlisted: Files whose listing names no hash.
        piece_pause_s: Seconds between two pieces of 256 KiB of a body.
        status: HTTP status that every answer has instead.
    """

    url: str = ""
    commits: dict[str, list[tuple[str, Files]]] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    gated: set[str] = field(default_factory=set)
    drop_after: dict[str, int] = field(default_factory=dict)
    damaged: set[str] = field(default_factory=set)
    unlisted: set[str] = field(default_factory=set)
    piece_pause_s: float = 0.0
    status: int | None = None

    def commit(self, repo: str, files: Files) -> str:
        """A new commit of the repository's main branch; returns its hash."""
        before = self.commits.setdefault(repo, [])
        content = "".join(f"{path} {hashlib.sha1(data).hexdigest()}" for path, data in sorted(files.items()))
        sha = hashlib.sha1(f"{len(before)}{repo}{content}".encode()).hexdigest()
        before.append((sha, files))
        return sha

    def bodies_sent(self, path: str) -> list[Seen]:
        """The requests for a file's content."""
        return [seen for seen in self.seen if seen.method == "GET" and seen.path.startswith("/cdn/" + path)]

    def find(self, repo: str, revision: str) -> tuple[str, Files] | None:
        """Commit hash and files of a revision."""
        for sha, files in reversed(self.commits.get(repo, [])):
            if revision in ("main", sha):
                return sha, files
        return None


@contextmanager
def fake_hub() -> Generator[FakeHub]:
    """A running hub without repositories."""
    hub = FakeHub()
    pages = _Pages(hub)
    routes = [
        Route("/api/models/{org}/{name}/revision/{revision}", pages.model_info),
        Route("/{org}/{name}/resolve/{revision}/{path:path}", pages.resolve, methods=["GET", "HEAD"]),
        Route("/cdn/{path:path}/of/{org}/{name}/{revision}", pages.content, methods=["GET", "HEAD"]),
        Route("/{rest:path}", pages.nothing),
    ]
    with serve(Starlette(routes=routes)) as url:
        hub.url = url
        yield hub


class _Pages:
    def __init__(self, hub: FakeHub) -> None:
        self.hub = hub

    async def model_info(self, request: Request) -> Response:
        repo, found, refusal = self._look(request)
        if refusal or found is None:
            return refusal or _error(404, "RepoNotFound")
        sha, files = found
        blobs = "blobs" in request.query_params
        siblings = [self._sibling(path, data) if blobs else {"rfilename": path} for path, data in files.items()]
        return JSONResponse({"id": repo, "sha": sha, "siblings": siblings})

    async def resolve(self, request: Request) -> Response:
        repo, found, refusal = self._look(request)
        path = request.path_params["path"]
        if refusal or found is None:
            return refusal or _error(404, "RepoNotFound")
        if repo in self.hub.gated and not request.headers.get("authorization"):
            return _error(401, "GatedRepo")
        if path not in found[1]:
            return _error(404, "EntryNotFound")
        # Another host name than the hub's own, as a CDN has: tokens must not follow there.
        cdn = self.hub.url.replace("127.0.0.1", "localhost")
        return RedirectResponse(
            f"{cdn}/cdn/{path}/of/{repo}/{found[0]}",
            302,
            {"X-Repo-Commit": found[0], "X-Linked-Size": str(len(found[1][path]))},
        )

    async def content(self, request: Request) -> Response:
        _, found, refusal = self._look(request)
        path = request.path_params["path"]
        if refusal or found is None:
            return refusal or _error(404, "RepoNotFound")
        data = found[1][path]
        if path in self.hub.damaged:
            data = bytes([data[0] ^ 1]) + data[1:]
        asked = re.fullmatch(r"bytes=(\d+)-", request.headers.get("range", ""))
        start = int(asked[1]) if asked else 0
        headers = {"Content-Length": str(len(data) - start), "ETag": f'"{hashlib.sha256(data).hexdigest()}"'}
        if asked:
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        return StreamingResponse(self._pieces(path, data[start:]), 206 if asked else 200, headers)

    async def nothing(self, request: Request) -> Response:
        self._look(request)
        return _error(404, "RepoNotFound")

    async def _pieces(self, path: str, data: bytes) -> AsyncIterator[bytes]:
        limit = self.hub.drop_after.pop(path, None)
        for start in range(0, len(data), PIECE_BYTES):
            if limit is not None and start >= limit:
                raise ConnectionAbortedError("the simulated line was cut")
            yield data[start : start + PIECE_BYTES]
            await asyncio.sleep(self.hub.piece_pause_s)

    def _look(self, request: Request) -> tuple[str, tuple[str, Files] | None, Response | None]:
        headers = request.headers
        self.hub.seen.append(Seen(request.method, request.url.path, headers.get("range"), headers.get("authorization")))
        repo = "/".join(request.path_params.get(part, "") for part in ("org", "name"))
        if self.hub.status:
            return repo, None, Response(status_code=self.hub.status)
        found = self.hub.find(repo, request.path_params.get("revision", ""))
        if found is None and repo in self.hub.commits:
            return repo, None, _error(404, "RevisionNotFound")
        return repo, found, None

    def _sibling(self, path: str, data: bytes) -> dict[str, object]:
        listed: dict[str, object] = {"rfilename": path, "size": len(data)}
        if path in self.hub.unlisted:
            return listed
        if len(data) >= LFS_FROM_BYTES:
            listed["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
        return listed | {"blobId": hashlib.sha1(f"blob {len(data)}\0".encode() + data).hexdigest()}


def _error(status: int, code: str) -> Response:
    return JSONResponse({"error": code}, status, {"X-Error-Code": code})
