"""Names of files as agents give them."""

import unicodedata
from collections.abc import Sequence
from pathlib import PurePosixPath

from blocks.errors import BadInput, NotAllowed

INSIDE = "/workspace"
"""Where programs in the sandbox see the workspace; names that begin with it are taken, too."""

PROTECTED = (".git", ".trash")
"""At any depth. What lies in .git says which programs git runs, and a file .git where it looks for that."""

NAME_BYTES = 255
PATH_BYTES = 4000

UNSEEN = frozenset({"Cc", "Cs", "Zl", "Zp"})
TURNS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that change the direction of text: a name with them is not the one that a person reads."""


def relative(name: str) -> str:
    """A name relative to the workspace, "." for itself. It may still lead anywhere.

    Raises:
        BadInput: no file can have it, or no person could read it.
        NotAllowed: it is an absolute path elsewhere.
    """
    if not name or "\0" in name:
        raise BadInput("the name of a file is empty or holds a NUL character", fix="give a name", field="path")
    if unseen := [one for one in name if _unseen(one)]:
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
    return "".join(ascii(one)[1:-1] if _unseen(one) else one for one in name)


def _unseen(character: str) -> bool:
    return unicodedata.category(character) in UNSEEN or character in TURNS


def _short_enough(name: str) -> None:
    longest = max(len(part.encode()) for part in name.split("/"))
    if longest > NAME_BYTES or len(name.encode()) > PATH_BYTES:
        raise BadInput(
            f"the name {name[:60]!r}… is too long",
            fix=f"names have at most {NAME_BYTES} bytes in UTF-8, paths {PATH_BYTES}",
            field="path",
        )
