"""What the arguments of a program lead to: paths and hosts, as far as they can be seen in them.

It sees too much rather than too little: whatever looks like a path counts as one. What a program does on its own is for
the sandbox to bound.
"""

import os
import re
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from blocks.action import Touched
from blocks.errors import BadInput, NotAllowed
from blocks.policy.programs import path_words
from blocks.web_address import DEFAULT_PORTS, web_address
from blocks.workspace import INSIDE

URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]{0,30}://[^\s'\"<>|;]+")
BETWEEN = re.compile(r"[\s'\"=:;,|&<>(){}\[\]`$@]+")
"""What stands between paths in an argument: `--output=a`, `a:b`, and the commands within `sh -c`."""

PATH_BEGINS = re.compile(r"\.{0,2}/")
SHORT_OPTION = re.compile(r"-[A-Za-z]")
MOST_PIECES = 5000

OWN = ("/tmp", "/dev", "/proc")  # noqa: S108 - of the sandbox
"""In bubblewrap these are new and empty for every run: nobody else sees them."""

READING = {
    *("cat", "head", "tail", "grep", "egrep", "fgrep", "ls", "wc", "stat", "file", "diff", "cmp", "comm", "du", "df"),
    *("md5sum", "sha1sum", "sha256sum", "sha512sum", "nl", "cut", "jq", "readlink", "realpath", "strings", "od"),
}
"""Programs that write nothing, whatever their arguments."""


def touched_by(argv: Sequence[str], root: Path, sandbox: str, size_bytes: int) -> Touched:
    """What a program would reach.

    Args:
        argv: The program and its arguments.
        root: The workspace's real path; programs begin there.
        sandbox: Name of the sandbox.
        size_bytes: What it is given to read.

    Raises:
        NotAllowed: an argument leads out of the workspace by `..` or through a link.
        BadInput: a URL in it is none, or it names more paths than are looked through.
    """
    within, outside = _sorted_paths(path_words(argv), root, is_boxed=sandbox == "bubblewrap")
    program = [_program(argv[0], root)] if "/" in argv[0] else []
    is_reading = os.path.basename(argv[0]) in READING  # noqa: PTH119 - the name alone
    written = [] if is_reading else within
    if sandbox != "bubblewrap" and not is_reading:
        written = [*within, *outside]
    return Touched(
        reads=tuple(dict.fromkeys([*program, *within, *outside])),
        writes=tuple(dict.fromkeys(written)),
        # In bubblewrap there is no network: an address is only a text there.
        hosts=() if sandbox == "bubblewrap" else tuple(dict.fromkeys(_hosts(argv))),
        argv=tuple(argv),
        size_bytes=size_bytes,
    )


def _program(name: str, root: Path) -> str:
    return os.path.realpath(root / name)


def _sorted_paths(arguments: Sequence[str], root: Path, *, is_boxed: bool) -> tuple[list[str], list[str]]:
    """Real paths in the workspace, and beyond it."""
    within: list[str] = []
    outside: list[str] = []
    for piece in _pieces(arguments, root):
        is_inside = is_boxed and (piece == INSIDE or piece.startswith(f"{INSIDE}/"))
        path = root / piece.removeprefix(INSIDE).lstrip("/") if is_inside else root / piece
        real = Path(os.path.realpath(path))
        if real.is_relative_to(root):
            _check_one_name(real, piece)
            within.append(str(real))
        elif piece.startswith("/") and not is_inside:
            if not (is_boxed and real.is_relative_to("/") and str(real).startswith(OWN)):
                outside.append(str(real))
        else:
            raise NotAllowed(
                f"{piece[:200]!r} leads out of the workspace", fix="use paths within the workspace", field="argv"
            )
    return within, outside


def _check_one_name(path: Path, piece: str) -> None:
    """Refuse a hard link: it may be a file from outside. Raises `NotAllowed`."""
    try:
        found = path.lstat()
    except OSError:
        return
    if stat.S_ISREG(found.st_mode) and found.st_nlink > 1:
        raise NotAllowed(
            f"{piece[:200]!r} has {found.st_nlink} names (hard links), and may be a file outside of the workspace",
            fix="use another file",
            field="argv",
        )


def _pieces(arguments: Sequence[str], root: Path) -> Iterator[str]:
    """Whatever in the arguments may be a path."""
    seen: set[str] = set()
    for argument in arguments:
        text = URL.sub(" ", argument)
        for piece in (text, *BETWEEN.split(text), *_glued(text)):
            if piece in seen or not _may_be_path(piece, root):
                continue
            if len(seen) == MOST_PIECES:
                raise BadInput(
                    f"the arguments name more than {MOST_PIECES} paths",
                    fix="name a folder, or write the list into a file",
                    field="argv",
                )
            seen.add(piece)
            yield piece


def _glued(text: str) -> Iterator[str]:
    """What may be a path behind short options, as in `-Isrc/a` and `-xf/etc/a`."""
    if SHORT_OPTION.match(text):
        yield text[2:]
        yield from (text[start:] for start in (3, 4) if PATH_BEGINS.match(text, start))


def _may_be_path(piece: str, root: Path) -> bool:
    if not piece or "\0" in piece or len(piece) > 4096 or piece.startswith("-"):
        return False
    return "/" in piece or "." in piece or os.path.lexists(root / piece)


def _hosts(argv: Sequence[str]) -> Iterator[str]:
    for url in (found for argument in argv for found in URL.findall(argument)):
        parts = urlsplit(url)
        if parts.scheme.lower() in DEFAULT_PORTS:
            yield web_address(url).place
        elif parts.hostname:
            yield f"{parts.hostname}:{parts.port or 0}"
