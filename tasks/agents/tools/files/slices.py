"""Parts of text files of any size: only what is shown is read."""

import re
from collections.abc import Callable
from typing import Any

from blocks.errors import BadInput, TooLarge
from blocks.workspace import Workspace

SCAN_BYTES = 256 << 20
"""How far a line is looked for; grep in the sandbox finds places in larger files."""

CHUNK_BYTES = 1 << 20
AROUND_BYTES = 4096
"""Of what stands beside a part, is looked at: secrets are shorter, but for keys of many lines."""

GAP = re.compile(r"\s")
TORN = "[REDACTED:cut]"

Redact = Callable[[str], str]
TAIL_SHARE = 3
"""Of a file that is too long, one part in so many is its end."""


def first_and_last(workspace: Workspace, name: str, most_bytes: int, redact: Redact) -> dict[str, Any]:
    """The whole file, or its beginning and its end. Raises as `part`."""
    size = _size(workspace, name)
    if size <= most_bytes:
        return part(workspace, name, 0, most_bytes, redact)
    tail_bytes = most_bytes // TAIL_SHARE
    head = part(workspace, name, 0, most_bytes - tail_bytes, redact)
    tail = part(workspace, name, size - tail_bytes, tail_bytes, redact)
    return {**head, "end_of_file": {"from_byte": tail["from_byte"], "text": tail["text"]}}


def part(workspace: Workspace, name: str, start: int, most_bytes: int, redact: Redact) -> dict[str, Any]:
    """A part of a file, in whole characters, and without the half of a secret that lies across its edge.

    Args:
        workspace: Where it is.
        name: Which.
        start: Byte to begin at; negative: counted from the end.
        most_bytes: How many at most.
        redact: Takes secrets out of a text; here it only finds those that the edges cut.

    Raises:
        NotFound, NotAllowed: it is not there, or may not be read.
        BadInput: it is a folder, or no text.
    """
    size = _size(workspace, name)
    start = max(0, size + start) if start < 0 else min(start, size)
    content = workspace.read_bytes(name, start=start, most=most_bytes)
    skipped = _continued(content) if start else 0
    end = start + len(content)
    content = content[skipped:]
    if end < size:
        cut = _unfinished(content)
        content, end = content[: len(content) - cut], end - cut
    before = workspace.read_bytes(
        name, start=max(0, start + skipped - AROUND_BYTES), most=min(AROUND_BYTES, start + skipped)
    )
    after = workspace.read_bytes(name, start=end, most=AROUND_BYTES) if end < size else b""
    text = untorn(before.decode("utf-8", "replace"), _text(name, content), after.decode("utf-8", "replace"), redact)
    facts: dict[str, Any] = {"path": name, "size_bytes": size, "text": text}
    if start + skipped > 0 or end < size:
        facts["from_byte"] = start + skipped
    if end < size:
        facts["next_byte"] = end
    return facts


def untorn(before: str, text: str, after: str, redact: Redact) -> str:
    """The text without what at its edges is a part of a secret: nobody would know a half for one.

    Args:
        before: What stands before it.
        text: What is shown.
        after: What stands behind it.
        redact: Takes secrets out of a text.
    """
    end = text
    while end and not redact(f"{end}{text[len(end) :]}{after}").startswith(redact(end)):
        end = _shorter(end)
    start = end
    while start and not redact(f"{before}{end}").endswith(redact(start)):
        start = _later(start)
    return f"{TORN if start != end else ''}{start}{TORN if end != text else ''}"


def _shorter(text: str) -> str:
    """The text without its last word, or its last characters where it has no words."""
    first = max(0, len(text) - AROUND_BYTES)
    gaps = [gap.start() for gap in GAP.finditer(text, first)]
    return text[: gaps[-1] if gaps else first]


def _later(text: str) -> str:
    """The text without its first word, or its first characters where it has no words."""
    gap = GAP.search(text, 1, AROUND_BYTES)
    return text[gap.start() if gap else AROUND_BYTES :]


def from_line(workspace: Workspace, name: str, line: int, most_bytes: int, redact: Redact) -> dict[str, Any]:
    """A part of a file from a line on, the first being 1.

    Raises:
        BadInput: it has not so many lines; or as `part`.
        TooLarge: the line is too far in.
    """
    size, at, lines = _size(workspace, name), 0, 1
    while lines < line:
        chunk = workspace.read_bytes(name, start=at, most=CHUNK_BYTES)
        if not chunk:
            raise BadInput(f"{name!r:.200} has {lines} lines", fix="give an earlier line", field="start_line")
        if (more := chunk.count(b"\n")) < line - lines:
            lines, at = lines + more, at + len(chunk)
        else:
            at += _after(chunk, line - lines)
            lines = line
        if at > SCAN_BYTES and lines < line:
            raise TooLarge(
                f"line {line} of {name!r:.200} ({size} bytes) is too far in to be counted",
                fix="find the place with search_files, which tells its byte, and give start_byte",
                field="start_line",
            )
    return part(workspace, name, at, most_bytes, redact) | {"from_line": line}


def _after(chunk: bytes, lines: int) -> int:
    """The byte after so many line ends."""
    at = 0
    for _ in range(lines):
        at = chunk.index(b"\n", at) + 1
    return at


def _size(workspace: Workspace, name: str) -> int:
    entry = workspace.stat(name)
    if entry.kind == "folder":
        raise BadInput(f"{name!r:.200} is a folder", fix="list it with list_files", field="path")
    return entry.size_bytes


def _text(name: str, content: bytes) -> str:
    if b"\0" in content:
        raise BadInput(
            f"{name!r:.200} is no text: it holds NUL bytes",
            fix='look at it with run_command, as ["file", …] or ["od", "-c", …]',
            field="path",
        )
    return content.decode("utf-8", "replace")


def _continued(content: bytes) -> int:
    """Bytes at the beginning that belong to a character before."""
    begins = (at for at, byte in enumerate(content[:4]) if byte & 0xC0 != 0x80)
    return next(begins, len(content) if len(content) < 4 else 0)


def _unfinished(content: bytes) -> int:
    """Bytes at the end that begin a character which goes on."""
    for back in range(1, min(4, len(content)) + 1):
        byte = content[-back]
        if byte & 0xC0 == 0x80:
            continue
        length = 4 if byte >= 0xF0 else 3 if byte >= 0xE0 else 2 if byte >= 0xC0 else 1
        return back if length > back else 0
    return 0
