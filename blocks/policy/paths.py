"""Places in the file system that rules name: globs from the root, held against what a path really is.

A rule that forbids is held against everything that a path may be – as it was given, as it is, whatever its case –
and a rule that allows only against what it is.
"""

import glob
import os
import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import AfterValidator, Field

WORKSPACE = "{workspace}"
FOLDERS = "**"
"""Any number of folders, also none."""

STARTS = ("/", "~/", "**/", f"{WORKSPACE}/")
CONTROL = re.compile(r"[\x00-\x1f\x7f\\{}]")
WILD = re.compile(r"[*?\[]")
PIECE = re.compile(r"\[[!^]?[^\]]+\]|.", re.DOTALL)
STARS = re.compile(r"\*+(?![^\[]*\])")

MOST_FOLDERS = 2
"""`**` within a path, beside one at its end: more would take long to hold against a path."""


def _is_glob(text: str) -> str:
    if text in (FOLDERS, WORKSPACE):
        return text
    if not text.startswith(STARTS):
        raise ValueError(f"a path begins with one of {' '.join(STARTS)}")
    rest = text.removeprefix(WORKSPACE)
    if CONTROL.search(rest):
        raise ValueError(r"a path has no control characters, braces or backslashes")
    names = rest.strip("/").split("/")
    if names[:-1].count(FOLDERS) > MOST_FOLDERS:
        raise ValueError(f"a path has ** at most {MOST_FOLDERS} times before its end")
    for name in names:
        if name in ("", ".", ".."):
            raise ValueError("a path has no empty parts, and no . or .. in it")
        if FOLDERS in name and name != FOLDERS:
            raise ValueError("** stands for whole folders, between slashes")
        if name.count("[") != name.count("]") or "[]" in name:
            raise ValueError("a bracket is not closed, or empty")
    try:
        _pattern((f"/{rest}",))
    except re.error:
        raise ValueError("what stands in brackets is no range of characters") from None
    return text


PathGlob = Annotated[str, AfterValidator(_is_glob), Field(description="a path from the root; * and ** are known")]


class Seen(NamedTuple):
    """A path.

    Attributes:
        given: As it was named, absolute.
        real: Where it leads, with all links followed; the root where nobody may know, as behind /proc/1/root.
    """

    given: str
    real: str


def seen(path: str) -> Seen:
    """A path with where it really leads."""
    return Seen(path, real_of(path) or "/")


def real_of(path: str) -> str | None:
    """A path with all links followed; None where a link cannot be read."""
    try:
        return os.path.realpath(path)
    except OSError:
        return None


class Places:
    """Paths that globs name.

    Args:
        globs: Those of a rule's field.
        workspace: Real path of the agent's files, where it has any.
    """

    def __init__(self, globs: Sequence[str], workspace: str | None) -> None:
        full = [_expanded(one, workspace) for one in globs]
        self._unknown = None in full
        self._full = tuple(one for one in full if one is not None)

    def any_may_be(self, paths: Iterable[Seen], *, around: bool = False) -> list[Seen]:
        """The paths that may be among these; where a glob needs a workspace and there is none, every path may.

        Args:
            paths: The paths.
            around: Whether a folder in which such a path would lie counts too: who moves it, moves the path.
        """
        paths = list(paths)
        if self._unknown or not paths:
            return paths
        full = tuple(dict.fromkeys(_folded(one) for one in (*self._full, *map(_resolved, self._full))))
        named = _pattern(full)
        return [
            path
            for path in paths
            for place in (_folded(path.given), _folded(path.real))
            if named.fullmatch(_plain(place)) or (around and any(_is_around(place, one) for one in full))
        ]

    def is_surely(self, path: Seen) -> bool:
        """Whether a path really is among these."""
        return _pattern(self._full).fullmatch(_plain(path.real)) is not None


def _expanded(pattern: str, workspace: str | None) -> str | None:
    """A glob from the root; None where it needs a workspace and there is none."""
    if pattern == WORKSPACE or pattern.startswith(f"{WORKSPACE}/"):
        return None if workspace is None else glob.escape(workspace) + pattern.removeprefix(WORKSPACE)
    if pattern.startswith("~/"):
        return glob.escape(str(Path.home().resolve())) + pattern[1:]
    return pattern if pattern.startswith("/") else f"/{pattern}"


def _resolved(full: str) -> str:
    """The glob with the folders that it names outright as they really are: /var/run/x may be /run/x."""
    literal = _literal(full)
    real = None if literal == "/" else real_of(literal)
    return full if real is None else glob.escape(real) + full[len(literal) :]


def _literal(full: str) -> str:
    """What a glob begins with, before the first part with a wildcard."""
    wild = WILD.search(full)
    return full if wild is None else full[: wild.start()].rpartition("/")[0] or "/"


def _is_around(place: str, full: str) -> bool:
    return f"{_literal(full)}/".startswith(place.rstrip("/") + "/")


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def _plain(path: str) -> str:
    """A path without slashes that say nothing; the root is empty."""
    return "".join(f"/{name}" for name in path.split("/") if name)


@lru_cache(maxsize=1024)
def _pattern(full: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(map(_regex, full)) or r"(?!)", re.DOTALL)


def _regex(full: str) -> str:
    names = [name for name in full.split("/") if name]
    return "".join(r"(?:/[^/]+)*" if name == FOLDERS else f"/{_name(name)}" for name in names)


def _name(name: str) -> str:
    """A name with its wildcards; each `*` is settled once it fits, so that none takes long."""
    first, *rest = ["".join(map(_piece, PIECE.findall(part))) for part in STARS.split(name)]
    if not rest:
        return first
    *middle, last = rest
    return first + "".join(f"(?>[^/]*?{part})" for part in middle) + f"[^/]*{last}"


def _piece(piece: str) -> str:
    if piece == "?":
        return "[^/]"
    if len(piece) == 1:
        return re.escape(piece)
    inner = re.sub(r"([\[\\&|~])", r"\\\1", piece[1:-1])
    return f"(?!/)[{'^' + inner[1:] if inner[0] in '!^' else inner}]"
