"""Names of files as agents give them."""

import unicodedata
from collections.abc import Sequence
from pathlib import PurePosixPath

from blocks.errors import BadInput, NotAllowed
from blocks.plain_text import INVISIBLE

INSIDE = "/workspace"
"""Where programs in the sandbox see the workspace; names that begin with it are taken, too."""

PROTECTED = (".git", ".trash")
"""At any depth. What lies in .git says which programs git runs, and a file .git where it looks for that."""

NAME_BYTES = 255
PATH_BYTES = 4000

UNSEEN = frozenset({"Cc", "Cs", "Zl", "Zp"})
JOINERS = frozenset("\u200c\u200d")
SELECTORS = frozenset(map(chr, (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))))
"""They change how the letter before them looks, as in emoji and in Persian; behind others they hide."""


def relative(name: str) -> str:
    """A name relative to the workspace, "." for itself. It may still lead anywhere.

    Raises:
        BadInput: no file can have it, or no person could read it.
        NotAllowed: it is an absolute path elsewhere.
    """
    if not name or "\0" in name:
        raise BadInput("the name of a file is empty or holds a NUL character", fix="give a name", field="path")
    if unseen := [one for before, one in zip(f" {name}", name, strict=False) if _unseen(one, before)]:
        raise BadInput(
            f"{ascii(name)[:200]} holds a character that cannot be seen: {unseen[0]!a}",
            fix="use letters, digits and signs",
            field="path",
        )
    _short_enough(name)
    path = PurePosixPath(name)
    if not path.is_absolute():
        return str(path)
    if path.is_relative_to(INSIDE):
        return str(path.relative_to(INSIDE))
    raise NotAllowed(
        f"{name!r:.200} lies outside of the workspace", fix="give a name relative to the workspace", path=name[:200]
    )


def is_protected(parts: Sequence[str]) -> bool:
    """Whether a path within the workspace leads to something that tools do not write, move or delete."""
    return any(part.casefold() in PROTECTED for part in parts)


def visible(name: str) -> str:
    """A name found on the disk, with what cannot be seen written out: such a name cannot be given."""
    pairs = zip(f" {name}", name, strict=False)
    return "".join(ascii(one)[1:-1] if _unseen(one, before) else one for before, one in pairs)


def _unseen(character: str, before: str) -> bool:
    """Whether nobody sees it, or it turns the direction of text: such a name is not the one that a person reads."""
    if character in JOINERS:
        return before.isascii() or before in JOINERS
    if character in SELECTORS:
        return before.isascii() or before in JOINERS or before in SELECTORS
    return unicodedata.category(character) in UNSEEN or INVISIBLE.match(character) is not None


def _short_enough(name: str) -> None:
    longest = max(len(part.encode()) for part in name.split("/"))
    if longest > NAME_BYTES or len(name.encode()) > PATH_BYTES:
        raise BadInput(
            f"the name {name[:60]!r}… is too long",
            fix=f"names have at most {NAME_BYTES} bytes in UTF-8, paths {PATH_BYTES}",
            field="path",
        )
