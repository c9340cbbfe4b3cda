"""Uploads: multipart forms whose file streams into the store's scratch, bounded in every direction."""

import re
from collections.abc import AsyncGenerator, AsyncIterable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote_to_bytes

from anyio.to_thread import run_sync
from litestar import Request
from typing_extensions import TypeIs

from blocks.errors import BadInput, TooLarge
from blocks.settings import settings
from blocks.store.files import Files
from deployments.gateway.counters import UPLOADED
from deployments.gateway.intake.file_names import check_format, safe_name
from tasks.audio.sink import Sink

multipart: Any = import_module("multipart")
"""Litestar's parser. Its types are hidden where python-multipart is installed, which has a module of the same name
that passes on to this one."""

BYTES_PER_MB = 1_000_000
BATCH_BYTES = 1 << 19
"""Bytes gathered before a thread parses, hashes and writes them: large enough that the change of threads is nothing
beside the work, small enough that a thousand uploads fit the memory."""

MAX_PARTS = 64
MAX_FIELD_BYTES = 1 << 16
OVERHEAD_BYTES = 1 << 20
"""What a form may take beside its file: fields, headers, boundaries."""

FILE = "file"
EXTENDED_NAME = re.compile(r"""filename\*\s*=\s*"?([A-Za-z0-9_-]+)'[^']*'([^;"\s]+)""", re.IGNORECASE)
"""RFC 5987, which RFC 7578 forbids and some clients send."""

Form = dict[str, list[str]]
Count = Callable[[int], None]


@dataclass(frozen=True, kw_only=True)
class Upload:
    """A form that has arrived.

    Attributes:
        path: The file, a scratch file of the store.
        name: Its name, safe as part of a store key.
        media_type: What the client calls it, empty when it does not say.
        sha256: Hash of its content, hexadecimal.
        size_bytes: Its length.
        fields: The other fields, with all their values in order.
    """

    path: Path
    name: str
    media_type: str
    sha256: str
    size_bytes: int
    fields: Form


@asynccontextmanager
async def receive_upload(request: Request[Any, Any, Any], files: Files, count: Count) -> AsyncGenerator[Upload]:
    """Take a form with one file in the part `file`; whatever becomes of it, no scratch is left after the block.

    Args:
        request: Whose body is the form.
        files: The store.
        count: Called with the number of bytes of each piece that came; may raise.

    Raises:
        BadInput: it is no whole form, or has no file, an empty one or two, or too many or too long fields.
        UnsupportedFormat: neither the name nor the type of the file is that of a recording.
        TooLarge: the file is over MAX_FILE_SIZE_MB, as soon as that is certain.
        StoreFailed: the disk is full.
    """
    with files.scratch("upload") as path:
        intake = Intake(boundary_of(request.headers.get("content-type", "")), path, announced_bytes(request))
        try:
            await _pour(request.stream(), intake, count)
            upload = intake.finish()
        finally:
            intake.close()
        yield upload


def announced_bytes(request: Request[Any, Any, Any]) -> int | None:
    """The length that the client says its body has."""
    announced = request.headers.get("content-length", "")
    return int(announced) if announced.isascii() and announced.isdigit() and len(announced) < 20 else None


def boundary_of(content_type: str) -> str:
    """What separates the parts of a form. Raises `BadInput`."""
    kind, options = multipart.parse_options_header(content_type)
    boundary = options.get("boundary", "")
    if kind != "multipart/form-data" or not 0 < len(boundary) <= 256 or not boundary.isprintable():
        raise BadInput(
            "the body is no multipart form" if kind != "multipart/form-data" else "the form names no usable boundary",
            fix="send multipart/form-data; HTTP libraries set its boundary when the header is left to them",
            field="Content-Type",
        )
    return boundary


async def _pour(chunks: AsyncIterable[bytes], intake: "Intake", count: Count) -> None:
    # Not `in_thread`, which abandons its thread when the client goes: that would write where the guard has gone.
    batch: list[bytes] = []
    size_bytes = BATCH_BYTES  # the first piece goes at once: it holds what most refusals are about
    async for chunk in chunks:
        count(len(chunk))
        UPLOADED.inc(len(chunk))
        batch.append(chunk)
        size_bytes += len(chunk)
        if size_bytes >= BATCH_BYTES:
            await run_sync(intake.feed, batch)
            batch, size_bytes = [], 0
    await run_sync(intake.feed, batch)


class Intake:
    """The parts of a form, as they come: the file to a path, the fields to memory.

    Its methods block; they are called one after another, from any thread.

    Args:
        boundary: What separates the parts.
        path: Where the file goes.
        announced_bytes: Length of the whole body by the client's word, to refuse early.
    """

    def __init__(self, boundary: str, path: Path, announced_bytes: int | None) -> None:
        self._parser = multipart.PushMultipartParser(boundary, max_segment_count=MAX_PARTS, header_charset="latin-1")
        self._path = path
        self._announced_bytes = announced_bytes
        self._max_bytes = int(settings().max_file_size_mb * BYTES_PER_MB)
        self._came_bytes = 0
        self._file: _FilePart | None = None
        self._fields: Form = {}
        self._part: _FieldPart | _FilePart | None = None

    def feed(self, chunks: list[bytes]) -> None:
        """Take the next pieces of the body. Raises as `receive_upload`."""
        try:
            for chunk in chunks:
                self._came_bytes += len(chunk)
                if self._came_bytes > self._max_bytes + OVERHEAD_BYTES:
                    raise self._too_large(self._came_bytes)
                for event in self._parser.parse(chunk) if chunk else ():
                    self._take(event)
        except multipart.MultipartError as error:
            raise _malformed(error) from error

    def finish(self) -> Upload:
        """The whole form. Raises as `receive_upload`."""
        try:
            self._parser.close()
        except multipart.MultipartError as error:
            raise _malformed(error) from error
        file = self._file
        if file is None:
            raise BadInput("the form has no part `file`", fix="send the recording as the part `file`", field=FILE)
        if not file.sink.size_bytes:
            raise BadInput(f"{file.name!r} is empty", fix="record or copy it again", field=FILE, filename=file.name)
        return Upload(
            path=self._path,
            name=file.name,
            media_type=file.media_type,
            sha256=file.sink.close(),
            size_bytes=file.sink.size_bytes,
            fields=self._fields,
        )

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.sink.close()

    def _take(self, event: "Segment | bytes | bytearray | None") -> None:
        if _is_segment(event):
            self._part = self._open(event)
        elif event is None:
            if isinstance(self._part, _FieldPart):
                self._fields.setdefault(self._part.name, []).append(self._part.text)
            self._part = None
        elif isinstance(self._part, _FieldPart):
            self._part.write(bytes(event))
        elif isinstance(self._part, _FilePart):
            self._write(self._part, bytes(event))

    def _open(self, segment: "Segment") -> "_FieldPart | _FilePart":
        name, filename = _utf8(segment.name or ""), file_name_of(segment)
        if filename is None and name != FILE:
            return _FieldPart(name=name)
        if filename is None or name != FILE or self._file is not None:
            raise BadInput(
                "the form must have exactly one file, as the part `file` with a file name",
                fix="send one recording per request",
                field=name[:64] or FILE,
            )
        media_type = (segment.content_type or "")[:255]
        check_format(safe_name(filename), media_type)
        self._file = _FilePart(safe_name(filename), media_type, Sink(self._path, self._max_bytes))
        if self._announced_bytes and self._announced_bytes > self._max_bytes + OVERHEAD_BYTES:
            raise self._too_large(self._announced_bytes)
        return self._file

    def _write(self, file: "_FilePart", content: bytes) -> None:
        try:
            file.sink.write(content)
        except TooLarge as error:
            raise self._too_large(max(file.sink.size_bytes, self._announced_bytes or 0)) from error

    def _too_large(self, size_bytes: int) -> TooLarge:
        max_mb = settings().max_file_size_mb
        return TooLarge(
            f"the file is over {max_mb:g} MB",
            fix="cut or compress it, or raise MAX_FILE_SIZE_MB",
            file_size_mb=round(size_bytes / BYTES_PER_MB, 2),
            max_size_mb=max_mb,
            filename=self._file.name if self._file else None,
        )


@dataclass
class _FilePart:
    name: str
    media_type: str
    sink: Sink


@dataclass
class _FieldPart:
    name: str
    content: bytearray = field(default_factory=bytearray)

    @property
    def text(self) -> str:
        try:
            return self.content.decode()
        except UnicodeDecodeError as error:
            raise BadInput(
                f"the field {self.name[:64]!r} is no UTF-8", fix="send text as UTF-8", field=self.name[:64]
            ) from error

    def write(self, content: bytes | bytearray) -> None:
        if len(self.content) + len(content) > MAX_FIELD_BYTES:
            raise BadInput(
                f"the field {self.name[:64]!r} is over {MAX_FIELD_BYTES} bytes", fix="shorten it", field=self.name[:64]
            )
        self.content += content


class Segment(Protocol):
    """The head of a part, as the parser gives it."""

    name: str | None
    filename: str | None
    content_type: str | None

    def header(self, name: str) -> str:
        """The value of a header that is there."""
        ...


def _is_segment(event: object) -> TypeIs[Segment]:
    return isinstance(event, multipart.MultipartSegment)


def file_name_of(segment: "Segment") -> str | None:
    """The name of the part's file as the client gave it, None when the part is no file."""
    header = segment.header("Content-Disposition")
    if extended := EXTENDED_NAME.search(header):
        charset, name = extended.groups()
        content = unquote_to_bytes(name)
        return content.decode("latin-1" if charset.lower() == "iso-8859-1" else "utf-8", errors="replace")
    return None if segment.filename is None else _utf8(segment.filename)


def _utf8(header: str) -> str:
    """Text of a header that was read as Latin-1, so that no byte can stop the parser."""
    return header.encode("latin-1").decode(errors="replace")


def _malformed(error: Exception) -> BadInput:
    if isinstance(error, multipart.ParserLimitReached):
        return BadInput(
            f"the form is too large in some way: {error}",
            fix=f"send at most {MAX_PARTS} parts with short headers",
            field="body",
        )
    return BadInput(f"the form is broken: {error}", fix="send all of it, in the form of RFC 7578", field="body")
