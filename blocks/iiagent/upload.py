"""Putting files into a session's workspace: once each, also where the answer to the first try was lost."""

import hashlib
import mimetypes
import os
import stat
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from blocks.errors import BadInput, EngineFailed, NotFound, TooLarge
from blocks.iiagent.paths import UnsafeName, placed, upload_name
from blocks.iiagent.rest import AgentRest
from blocks.iiagent.state import Upload
from blocks.iiagent.tree import PIECE_BYTES, in_thread

MOST_BYTES = 32 << 20
"""Of one file: it goes as base64 within JSON, and both sides hold all of it in memory."""

FOLDER = "uploaded_files"
MOST_TWINS = 20
"""Names `a_1.csv`, `a_2.csv`, … that are looked at for an earlier try of ours."""


async def upload(
    rest: AgentRest,
    session_id: str,
    source: Path | bytes,
    name: str | None = None,
    *,
    known: Mapping[str, Upload] | None = None,
    most_bytes: int = MOST_BYTES,
) -> tuple[str, Upload]:
    """Put a file into the workspace, unless it is there already.

    Whoever tries again after a lost answer, in the same process or another, gets the file of the first try: the server
    itself would keep a second one beside it, as `a_1.csv`.

    Args:
        rest: The server.
        session_id: Whose workspace.
        source: The file, or its content.
        name: Its name there, where not the file's own; what has a meaning elsewhere becomes `_`.
        known: What was sent before by name, as the session's state has it.
        most_bytes: Cap.

    Returns:
        The name that it was sent under, and what the session's state shall keep: the path is the server's, and may
        differ from the name. It begins with `./`, as `turn(files=…)` needs it.

    Raises:
        BadInput: no content or no name that could be sent; `TooLarge`, `NotFound`, `UnsafeName` are some.
        EngineUnavailable: no answer; try again.
        EngineFailed: the server kept something else than was sent.
    """
    content = source if isinstance(source, bytes) else await in_thread(lambda: _read(source, most_bytes))
    if len(content) > most_bytes:
        raise _too_large(name or "the content", most_bytes)
    given = name if name is not None else (source.name if isinstance(source, Path) else "")
    own = upload_name(given)
    sha256 = await in_thread(lambda: hashlib.sha256(content).hexdigest())
    before = (known or {}).get(own)
    there = await _sent_before(rest, session_id, own, content, sha256, before)
    path = there or await _send(rest, session_id, own, content)
    return own, Upload(path=path, sha256=sha256, size_bytes=len(content))


async def _sent_before(
    rest: AgentRest, session_id: str, name: str, content: bytes, sha256: str, before: Upload | None
) -> str | None:
    """The server's path of a file of this content that an earlier try has put there."""
    noted = [_relative(before.path)] if before is not None and before.sha256 == sha256 else []
    for path in dict.fromkeys([*noted, *(f"{FOLDER}/{twin}" for twin in _twins(name))]):
        found = await rest.head(session_id, path)
        if found is None and path in noted:
            continue
        if found is None:
            return None
        if found.size_bytes in (None, len(content)) and await _is(rest, session_id, path, sha256, len(content)):
            return f"./{path}"
    return None


async def _is(rest: AgentRest, session_id: str, path: str, sha256: str, size_bytes: int) -> bool:
    """Whether a file there has this content: agents may have written into it since."""
    digest, seen = hashlib.sha256(), 0
    try:
        async with rest.stream(session_id, path) as body:
            async for piece in body.chunks():
                digest.update(piece)
                seen += len(piece)
                if seen > size_bytes:
                    return False
    except NotFound:  # removed meanwhile
        return False
    return digest.hexdigest() == sha256


async def _send(rest: AgentRest, session_id: str, name: str, content: bytes) -> str:
    kind = mimetypes.guess_type(name, strict=False)[0] or "application/octet-stream"
    answer = await rest.upload(session_id, name, content, media_type=kind)
    path = _relative(answer.path)
    found = await rest.head(session_id, path)  # none: its sandbox keeps the files elsewhere
    if found is not None and found.size_bytes not in (None, len(content)):
        raise EngineFailed(
            f"the server kept {found.size_bytes} bytes of {name}, and {len(content)} were sent",
            fix="look at the server's disk, and at what stands between",
            field="upload",
        )
    return f"./{path}"


def _relative(path: str) -> str:
    """The path of an upload below the workspace. Raises `EngineFailed` for one that a server has no reason to tell."""
    try:
        remote = placed(path, ("/",), field="upload").remote
    except UnsafeName as error:
        raise EngineFailed(
            f"the server tells a path of an upload that cannot be used: {error.message}",
            fix="check the server's address and version",
            field="upload",
        ) from error
    return remote


def _twins(name: str) -> list[str]:
    """The names that the server gives to files of one name, in its order."""
    path = PurePosixPath(name)
    return [name, *(f"{path.stem}_{number}{path.suffix}" for number in range(1, MOST_TWINS))]


def _read(path: Path, most_bytes: int) -> bytes:
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                raise BadInput(f"{path} is no plain file", fix="name a file", field="files")
            content = bytearray()
            while len(content) <= most_bytes and (piece := stream.read(PIECE_BYTES)):
                content += piece
    except FileNotFoundError as error:
        raise NotFound(f"there is no file {path}", fix="check the path", field="files") from error
    except OSError as error:
        raise BadInput(
            f"{path} cannot be read: {error.strerror or error}", fix="name a file that can be read", field="files"
        ) from error
    if len(content) > most_bytes:
        raise _too_large(str(path), most_bytes)
    return bytes(content)


def _too_large(what: str, most_bytes: int) -> TooLarge:
    return TooLarge(
        f"{what} has more than {most_bytes} bytes, and uploads travel in memory",
        fix="split the file, or put it into the mounted workspace",
        field="files",
    )
