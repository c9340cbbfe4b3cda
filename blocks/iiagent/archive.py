"""Everything that was said in a session, for later: a file of compressed lines; and what of it a log shows."""

import asyncio
import gzip
import json
import os
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, cast

from blocks.errors import StoreFailed
from blocks.iiagent.events import (
    AgentThinking,
    Event,
    FileEdit,
    Frame,
    SystemMessage,
    ToolCall,
    ToolResult,
    UnknownEvent,
)
from blocks.iiagent.tree import in_thread
from blocks.plain_text import plain
from blocks.redact import default_redactor

FILE = "events.jsonl.gz"
MOST_TOLD = 300
"""Characters of an event that a log line shows."""

BATCH = 64
BATCH_CHARS = 1 << 20
PIECE_BYTES = 1 << 16

Source = Literal["socket", "rest", "sent"]


class Archive:
    """The archive of a session: complete gzip members, one after another, so that a killed process spoils none.

    Args:
        folder: Of the session.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._waiting: list[str] = []
        self._chars = 0
        self._mended = False
        self._writing = asyncio.Lock()

    def keep(self, source: Source, frame: Frame) -> None:
        """Note a frame; it is written by `flush`."""
        line = json.dumps({"at": datetime.now(UTC).isoformat(), "from": source, "frame": frame}, ensure_ascii=False)
        self._waiting.append(line)
        self._chars += len(line)

    @property
    def full(self) -> bool:
        """Whether so much waits that it should be written."""
        return len(self._waiting) >= BATCH or self._chars >= BATCH_CHARS

    async def flush(self) -> None:
        """Write what waits, without its secrets. Raises `StoreFailed`."""
        async with self._writing:  # one after another: who mends the end must not meet one who writes it
            lines, self._waiting, self._chars = self._waiting, [], 0
            if lines:
                await in_thread(lambda: self._write(lines))

    def _write(self, lines: list[str]) -> None:
        redactor = default_redactor()
        clean = "".join(f"{json.dumps(redactor.value(json.loads(line)), ensure_ascii=False)}\n" for line in lines)
        try:
            if not self._mended:
                _drop_torn_end(self._path)
                self._mended = True
            handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            with os.fdopen(handle, "ab") as stream:
                stream.write(gzip.compress(clean.encode("utf-8", "replace"), compresslevel=6))
        except OSError as error:
            told = f"{self._path} cannot be written: {error.strerror or error}"
            raise StoreFailed(told, fix="make room on the disk") from error


def read_archive(folder: Path) -> Iterator[dict[str, Any]]:
    """What an archive holds: `at`, `from` (socket, rest or sent) and `frame`; up to the end that a crash left.

    A turn whose socket was lost may have events twice: as they came, and as the server had stored them.
    """
    path = folder / FILE
    if not path.exists():
        return
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        try:
            for line in lines:
                yield json.loads(line)
        except (EOFError, zlib.error, gzip.BadGzipFile, ValueError):
            return


def told(event: Event) -> str:
    """One line for a log: a tool's name and the beginning of what went in or out, of a file its path and length."""
    return plain(default_redactor().text(_told(event)[: 4 * MOST_TOLD]))[:MOST_TOLD]


def _told(event: Event) -> str:
    if isinstance(event, FileEdit):
        lines = event.total_lines if event.total_lines is not None else event.content.count("\n") + 1
        return f"file_edit {event.path} ({lines} lines)"
    if isinstance(event, ToolCall):
        return f"tool_call {event.tool_name} {_short(_without_contents(event.tool_input))}"
    if isinstance(event, ToolResult):
        return f"tool_result {event.tool_name} {_short(event.result)}"
    if isinstance(event, SystemMessage):
        return f"system {event.message}"
    if isinstance(event, UnknownEvent):
        return f"unknown {event.type or 'frame'}"
    text = getattr(event, "text", "") or getattr(event, "message", "")
    # What a model thinks may be long, and is its own business.
    return f"{event.type} {'' if isinstance(event, AgentThinking) else text}".rstrip()


def _without_contents(told: dict[str, Any]) -> dict[str, Any]:
    """What goes into a tool, of the editor without the texts that it writes."""
    return {
        name: f"({value.count(chr(10)) + 1} lines)"
        if name in ("file_text", "new_str", "old_str", "content") and isinstance(value, str)
        else value
        for name, value in told.items()
    }


def _short(value: Any) -> str:
    """The beginning of something, without walking through megabytes of it."""
    if isinstance(value, str):
        return value[: 4 * MOST_TOLD]
    if isinstance(value, list):
        return f"[{', '.join(_short(inner) for inner in cast(list[Any], value)[:9])}]"
    if isinstance(value, dict):
        named = cast(dict[str, Any], value)
        return ", ".join(f"{name}={_short(inner)}" for name, inner in list(named.items())[:20])
    return str(value)


def _drop_torn_end(path: Path) -> None:
    """Cut off the member that a process was writing when it died: nothing after it could be read."""
    if not path.exists():
        return
    good = 0
    with path.open("rb") as stream:
        member, read, left = zlib.decompressobj(wbits=31), 0, b""
        try:
            while piece := left or stream.read(PIECE_BYTES):
                member.decompress(piece)
                left = member.unused_data
                read += len(piece) - len(left)
                if member.eof:
                    good, member = read, zlib.decompressobj(wbits=31)
        except zlib.error:
            pass
    if good < path.stat().st_size:
        os.truncate(path, good)
