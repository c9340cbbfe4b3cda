"""Diffs as data: which files change, and which lines of them."""

import re
from io import StringIO
from typing import Any, Literal

from pydantic import Field

from blocks.errors import BadInput, TooLarge
from blocks.model import Frozen

DIFF_BYTES, MOST_FILES, MOST_LINES = 32_000_000, 5000, 500_000

Status = Literal["added", "modified", "deleted", "renamed"]
MODE = re.compile(r"^new (?:file )?mode (\d{6})", re.MULTILINE)
ESCAPE = re.compile(rb"\\([0-7]{3}|.)")
ESCAPES = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"a": b"\a", b"b": b"\b", b"f": b"\f", b"v": b"\v"}


class ChangedFile(Frozen):
    """A file of a change.

    Attributes:
        path: Where it is after the change; before it, of a deleted one.
        before: Where it was; None of an added one.
        status: What happens to it.
        added: Its new lines, by their numbers after the change, from 1.
        removed: Its old lines, by their numbers before the change.
        is_binary: Whether git shows no lines of it.
        mode: Its new mode, where it changes or the file is new.
    """

    path: str
    before: str | None = None
    status: Status
    added: dict[int, str] = Field(default_factory=dict)
    removed: dict[int, str] = Field(default_factory=dict)
    is_binary: bool = False
    mode: str = ""

    @property
    def suffix(self) -> str:
        """The end of its name, in small letters, as `.py`."""
        name = self.path.rsplit("/", 1)[-1]
        return f".{name.rsplit('.', 1)[1].lower()}" if "." in name else ""

    @property
    def name(self) -> str:
        """Its name without folders."""
        return self.path.rsplit("/", 1)[-1]


def read_diff(content: bytes) -> tuple[ChangedFile, ...]:
    """The files of a unified diff.

    Raises:
        TooLarge: it has too many bytes, files or lines.
        BadInput: it is no unified diff.
    """
    if len(content) > DIFF_BYTES:
        raise TooLarge(f"the diff has more than {DIFF_BYTES} bytes", fix="review it in parts", field="diff")
    from unidiff.errors import UnidiffParseError
    from unidiff.patch import PatchSet

    text = content.decode("utf-8", "replace")
    try:
        patches = PatchSet(StringIO(text, newline="\n"))
    except (UnidiffParseError, ValueError, IndexError) as error:
        raise BadInput(
            f"it is no unified diff: {str(error)[:200]}", fix="make it with `git diff`", field="diff"
        ) from None
    if text.strip() and not patches:
        raise BadInput("it is no unified diff: it has no file", fix="make it with `git diff`", field="diff")
    if len(patches) > MOST_FILES or sum(one.added + one.removed for one in patches) > MOST_LINES:
        raise TooLarge(f"it changes more than {MOST_FILES} files or {MOST_LINES} lines", fix="review it in parts")
    return tuple(_changed(one) for one in patches)


def _changed(patch: Any) -> ChangedFile:
    before = None if patch.is_added_file else unquoted(str(patch.source_file), "a/")
    after = before if patch.is_removed_file else unquoted(str(patch.target_file), "b/")
    status: Status = (
        "added"
        if patch.is_added_file
        else "deleted"
        if patch.is_removed_file
        else "renamed"
        if before != after
        else "modified"
    )
    lines = [line for hunk in patch for line in hunk]
    mode = MODE.search("".join(str(line) for line in patch.patch_info or ()))
    return ChangedFile(
        path=after or "",
        before=before,
        status=status,
        added={line.target_line_no: _bare(line.value) for line in lines if line.is_added},
        removed={line.source_line_no: _bare(line.value) for line in lines if line.is_removed},
        is_binary=bool(patch.is_binary_file),
        mode=mode[1] if mode else "",
    )


def _bare(line: str) -> str:
    return line.removesuffix("\n").removesuffix("\r")


def unquoted(name: str, prefix: str) -> str:
    """A name as it is, of one as git writes it: in quotes and with escapes where it has odd characters."""
    if len(name) > 1 and name.startswith('"') and name.endswith('"'):
        raw = ESCAPE.sub(_unescaped, name[1:-1].encode("utf-8", "surrogateescape"))
        name = raw.decode("utf-8", "surrogateescape")
    return name.removeprefix(prefix)


def _unescaped(match: re.Match[bytes]) -> bytes:
    found = match[1]
    return bytes([int(found, 8) & 0xFF]) if len(found) == 3 else ESCAPES.get(found, found)
