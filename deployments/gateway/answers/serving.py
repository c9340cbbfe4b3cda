"""A file of the store as an HTTP answer: in pieces, with ranges, and harmless in a browser."""

import re
from collections.abc import AsyncGenerator
from typing import Any
from urllib.parse import quote

from anyio.to_thread import run_sync
from litestar import Request, Response
from litestar.response import Stream

from blocks.store.files import FileRef, Files
from deployments.gateway.web.problems import problem

PIECE_BYTES = 256 * 1024
RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
SHOWN = re.compile(r"(audio|video)/[a-z0-9.+-]+|image/png")
"""Media types that a browser may show in place; all others it is told to keep as files."""


def served(
    request: Request[Any, Any, Any], files: Files, ref: FileRef, name: str, content: bytes | None = None
) -> Response[Any]:
    """The file, or the part of it that the request asks for. Source: RFC 9110, 13 and 14.

    Args:
        request: Its headers Range, If-Range and If-None-Match count; of several ranges all of the file is sent.
        files: The store.
        ref: The file.
        name: What a browser is to call it.
        content: What to send where that is not what lies in the store; `ref` then describes it.
    """
    headers = {
        "Accept-Ranges": "bytes",
        "ETag": f'"{ref.sha256}"',
        "Cache-Control": "private, no-cache",
        "Content-Disposition": disposition(name, shown=SHOWN.fullmatch(ref.media_type) is not None),
        "Content-Security-Policy": "default-src 'none'; media-src 'self'; style-src 'unsafe-inline'; sandbox",
        "X-Content-Type-Options": "nosniff",
    }
    if headers["ETag"] in request.headers.get("If-None-Match", ""):
        return Response(None, status_code=304, headers=headers)
    asked = (
        request.headers.get("Range") if request.headers.get("If-Range", headers["ETag"]) == headers["ETag"] else None
    )
    part = _part(asked, ref.size_bytes)
    if part is None:
        beyond = problem(416, "RANGE_NOT_SATISFIABLE", f"the file has {ref.size_bytes} bytes", fix="ask for less")
        beyond.headers["Content-Range"] = f"bytes */{ref.size_bytes}"
        return beyond
    headers["Content-Length"] = str(len(part))
    partial = len(part) < ref.size_bytes
    if partial:
        headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{ref.size_bytes}"
    return Stream(
        _pieces(files, ref.key, part) if content is None else iter((content[part.start : part.stop],)),
        status_code=206 if partial else 200,
        headers=headers,
        media_type=ref.media_type,
    )


def disposition(name: str, *, shown: bool) -> str:
    """`Content-Disposition` with a name that no header, shell or file system stumbles over. Source: RFC 6266."""
    clean = re.sub(r'[\x00-\x1f\x7f/\\"<>|:*?]+', "_", name).strip(". ")[:150] or "file"
    plain = re.sub(r"[^A-Za-z0-9._ -]", "_", clean)
    encoded = quote(clean.encode("utf-8", "replace"), safe="")
    return f"{'inline' if shown else 'attachment'}; filename=\"{plain}\"; filename*=UTF-8''{encoded}"


def _part(asked: str | None, size: int) -> range | None:
    """The bytes to send, all where the header is none we follow; None where there are no such bytes."""
    found = RANGE.fullmatch(asked or "")
    if found is None or found.groups() == ("", ""):
        return range(size)
    first, last = found.groups()
    if not first:  # the last so many
        return range(max(0, size - int(last)), size) if int(last) and size else None
    if last and int(last) < int(first):
        return range(size)
    return range(int(first), min(size, int(last) + 1 if last else size)) if int(first) < size else None


async def _pieces(files: Files, key: str, part: range) -> AsyncGenerator[bytes]:
    if not part:
        return
    # Not `in_thread`, which abandons its thread when the client goes: that thread would read from a closed stream.
    stream = await run_sync(files.open, key, part.start)
    try:
        left = len(part)
        while left and (piece := await run_sync(stream.read, min(PIECE_BYTES, left))):
            left -= len(piece)
            yield piece
    finally:
        stream.close()
