"""REST of an II-Agent server: stored events, files of the workspace, uploads; and which generation it is."""

import base64
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, cast
from urllib.parse import quote

from pydantic import TypeAdapter, ValidationError

from blocks.errors import (
    C500Error,
    EngineFailed,
    EngineUnavailable,
    LimitReached,
    NotAllowed,
    NotFound,
    TooLarge,
    Unsupported,
)
from blocks.iiagent.json_text import read_json
from blocks.iiagent.paths import placed, session_id
from blocks.iiagent.server import AgentServer
from blocks.iiagent.stored import RemoteFile, StoredEvent, Uploaded
from blocks.pinned_http import trusted_certificates
from blocks.plain_text import decoded, plain
from blocks.progress import in_thread

if TYPE_CHECKING:
    import httpx

LONGEST_SAID = 300
MOST_BYTES = 1 << 30
"""Of an answer; that of a whole history, with all files and pictures in it, is the largest."""

LARGE = 1 << 18
"""Bytes from which on an answer is read in a thread."""


class RemoteBody:
    """A file of a workspace, its body still to be read.

    Attributes:
        file: What the server says of it.
        unchanged: Whether it still is what the given ETag stands for; then there is no body.
    """

    def __init__(self, file: RemoteFile, response: "httpx.Response") -> None:
        self.file, self._response = file, response
        self.unchanged = response.status_code == 304

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body. Raises `EngineUnavailable` where it breaks off."""
        import httpx

        try:
            async for piece in self._response.aiter_bytes():
                yield piece
        except httpx.HTTPError as error:
            raise _away(f"{self.file.path} broke off: {type(error).__name__}") from error


class AgentRest:
    """The REST interface of a server; an async context manager.

    Whatever is asked for raises, besides what is said there: `BadInput` (a session id that is no UUID, a path that
    leads out of the workspace), `NotAllowed` (401, 403), `LimitReached` (429), `EngineUnavailable` (no answer, 5xx),
    `EngineFailed` (an answer of another form).

    Args:
        server: Which.
    """

    def __init__(self, server: AgentServer) -> None:
        self.server = server
        self._opened: httpx.AsyncClient | None = None
        self._headers: dict[str, str] | None = None

    async def headers(self) -> dict[str, str]:
        """The server's headers with their values, read once; see `AgentServer.secret_headers`."""
        if self._headers is None:
            self._headers = await self.server.secret_headers()
        return self._headers

    async def __aenter__(self) -> "AgentRest":
        import httpx

        secure = self.server.base_url.startswith("https:")
        self._opened = httpx.AsyncClient(
            headers=await self.headers(),
            timeout=self.server.limits.request_s,
            trust_env=False,
            verify=trusted_certificates() if secure else httpx.create_ssl_context(verify=False, trust_env=False),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._opened is not None:
            await self._opened.aclose()

    def hurry(self, request_s: float) -> None:
        """From now on wait no longer than this for an answer, and never longer than the server's `request_s`."""
        if self._opened is not None:
            self._opened.timeout = min(self.server.limits.request_s, request_s)

    async def flavor(self) -> Literal["ws"]:
        """The protocol that the server speaks.

        Raises:
            Unsupported: one that this client does not; the message names what was found.
        """
        if self.server.flavor == "ws":
            return "ws"
        found = "flavor is set to socketio" if self.server.flavor == "socketio" else await self._generation()
        if found:
            raise Unsupported(
                f"the agent server {self.server.name} is none that this client speaks to: {found}",
                fix="use a server of July or August 2025 (v0.3, v0.4), or set flavor: ws if a proxy hides what it is",
                field=f"servers.{self.server.name}.flavor",
            )
        return "ws"

    async def events(self, session: str) -> list[StoredEvent]:
        """All stored events of a session, oldest first; none of one that there is not."""
        content = await self._content("GET", f"/api/sessions/{session_id(session)}/events")
        # Whole files lie in it: the event loop is for others, too.
        read = partial(_read_json, TypeAdapter(list[StoredEvent]), content, "events")
        return await in_thread(read) if len(content) > LARGE else read()

    async def upload(
        self, session: str, name: str, content: bytes, media_type: str = "application/octet-stream"
    ) -> Uploaded:
        """Send a file. One more of the same name gets another name: a retry leaves two.

        Raises:
            NotFound: the session has no workspace.
            TooLarge: the server takes no such size.
        """
        # Always as a data URL: a plain text that begins with "data:" would be taken for one.
        head = {"session_id": session_id(session), "file": {"path": name}}
        body = await in_thread(_upload_body, head, content, f"data:{media_type};base64,")
        answer = await self._content("POST", "/api/upload", body)
        return _read_json(TypeAdapter(Uploaded), answer, "file")

    async def head(self, session: str, path: str) -> RemoteFile | None:
        """What the server says of a file of the workspace; None where there is none."""
        async with self._asked("HEAD", _workspace(session, path)) as response:
            if response.status_code == 404:
                return None
            return _file(path, self._good(response))

    @asynccontextmanager
    async def stream(self, session: str, path: str, *, etag: str | None = None) -> AsyncGenerator[RemoteBody]:
        """A file of the workspace, to be read piece by piece.

        Args:
            session: Of which session.
            path: Below the workspace.
            etag: Of what is here already: an unchanged file is not sent again.

        Raises:
            NotFound: there is none.
        """
        asked = {"Accept-Encoding": "identity"} | ({} if etag is None else {"If-None-Match": etag})
        async with self._asked("GET", _workspace(session, path), headers=asked) as response:
            good = response if response.status_code == 304 else self._good(response)
            yield RemoteBody(_file(path, good), response)

    async def _generation(self) -> str:
        """What the server is, if it is none of ours; else nothing."""
        try:
            told = read_json(await self._content("GET", "/openapi.json"))
            paths = set(map(str, cast(Mapping[str, Any], told)["paths"]))
        except NotFound:
            return "it has no /openapi.json, as the Socket.IO servers from late 2025 on"
        except (ValueError, TypeError, KeyError):
            return "its /openapi.json is none"
        if any(path.startswith("/auth") for path in paths):
            return "it has /auth paths, as the Socket.IO servers from late 2025 on"
        if "/api/settings" in paths:
            return ""
        if any(path.startswith("/api/sessions") for path in paths):
            return "it has no /api/settings, as v0.1 and v0.2, which cannot resume a session by its id"
        return "its /openapi.json has none of the paths of an II-Agent server"

    async def _content(self, method: str, path: str, body: bytes | None = None) -> bytes:
        import httpx

        async with self._asked(method, path, body=body) as response:
            content = bytearray()
            try:
                async for piece in response.aiter_bytes():
                    content += piece
                    if len(content) > MOST_BYTES:
                        told = f"the agent server {self.server.name} answers with more than {MOST_BYTES} bytes"
                        raise TooLarge(told, fix="go on in a new session", field="session_id")
            except httpx.HTTPError as error:
                raise _away(f"the answer broke off: {type(error).__name__}") from error
            self._good(response, decoded(bytes(content[: 4 * LONGEST_SAID]), response.charset_encoding))
            return bytes(content)

    @asynccontextmanager
    async def _asked(
        self, method: str, path: str, *, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> "AsyncGenerator[httpx.Response]":
        import httpx

        if self._opened is None:
            raise RuntimeError("the REST interface is not open")
        url = f"{self.server.base_url}{path}"
        given = dict(headers or {}) | ({} if body is None else {"Content-Type": "application/json"})
        request = self._opened.build_request(method, url, content=body, headers=given)
        try:
            response = await self._opened.send(request, stream=True)
        except httpx.HTTPError as error:
            told = f"the agent server {self.server.name} does not answer: {str(error) or type(error).__name__}"
            raise _away(told) from error
        try:
            yield response
        finally:
            await response.aclose()

    def _good(self, response: "httpx.Response", said: str = "") -> "httpx.Response":
        status = response.status_code
        if status == 200:
            return response
        told = f"the agent server {self.server.name} answers {status}: {plain(said[:LONGEST_SAID])}".rstrip(": ")
        raise self._refusal(status, told)

    def _refusal(self, status: int, told: str) -> C500Error:
        if status in (401, 403):
            return NotAllowed(told, fix="look at the server's headers", field=f"servers.{self.server.name}.headers")
        if status == 404:
            return NotFound(told, fix="look at the session's id and at the name", field="session_id")
        if status == 413:
            return TooLarge(told, fix="send less")
        if status == 429:
            return LimitReached(told, fix="wait a moment")
        if status >= 500:
            return _away(told)
        return EngineFailed(told, fix="look whether base_url is that of an agent server")


def _away(told: str) -> EngineUnavailable:
    return EngineUnavailable(told, fix="look whether the agent server runs")


def _workspace(session: str, path: str) -> str:
    # A dot segment would be resolved on the way, and lead to another part of the server.
    return f"/workspace/{session_id(session)}/{quote(placed(path).remote)}"


def _upload_body(head: dict[str, Any], content: bytes, beginning: str) -> bytes:
    """In a thread: the content may have megabytes."""
    head["file"]["content"] = beginning + base64.b64encode(content).decode()
    return json.dumps(head, ensure_ascii=False).encode()


def _read_json(form: TypeAdapter[Any], content: bytes, name: str) -> Any:
    told: object = None
    with suppress(ValueError):
        told = read_json(content)
    if isinstance(told, dict) and name in told:
        with suppress(ValidationError):
            return form.validate_python(told[name])
    raise EngineFailed(f"an agent server's answer has no {name} of the known form", fix="look at base_url")


def _file(path: str, response: "httpx.Response") -> RemoteFile:
    given = response.headers
    size = given.get("content-length", "")
    return RemoteFile(
        path=path,
        size_bytes=int(size) if size.isascii() and size.isdigit() and response.status_code != 304 else None,
        etag=given.get("etag"),
    )
