"""Names and archives that no client may trust."""

import io
import zipfile
from collections.abc import Iterable

from tests.fakes.iiagent.agent import Run
from tests.fakes.iiagent.steps import Call, Frame, Step

HOSTILE_NAMES = (
    "/etc/passwd",
    "/workspace/../../etc/cron.d/x",
    "../../escape.txt",
    "..",
    "a/../../escape.txt",
    "..\\escape.txt",
    "C:\\Windows\\win.ini",
    "~/.ssh/authorized_keys",
    "%2e%2e/escape.txt",
    "file:///etc/passwd",
    "nul\x00byte.txt",
    "line\nbreak.txt",
    "escape\x1b[31m.txt",
    "right\u202eto-left.txt",
    "",
    ".",
    "a//b",
    "x" * 5000,
)
"""As an agent names files, below its workspace or from the root on."""

BOMB_BYTES = 64 * 2**20


def hostile_edits(run: Run) -> Iterable[Step]:
    """Events that show files of such names: as they stand, and below the workspace."""
    for name in HOSTILE_NAMES:
        for path in (name, f"{run.session.shown_root}/{name}"):
            yield Frame("file_edit", {"path": path, "content": "hostile", "total_lines": 1})
        called = {"command": "create", "path": name, "file_text": "hostile"}
        yield Call("str_replace_editor", called, f"File created successfully at: {name}")


def bomb() -> bytes:
    """A small archive of one large file."""
    return _zipped({"bomb.bin": b"\0" * BOMB_BYTES})


def climbing_zip() -> bytes:
    """An archive whose members lead out of the folder that it is unpacked into."""
    return _zipped({"../climbed.txt": b"out", "/rooted.txt": b"out", "..\\climbed.txt": b"out", "good.txt": b"in"})


def _zipped(members: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return packed.getvalue()
