"""Who somebody is, for rules such as «not your own request» and «two persons»."""

import os
import pwd
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from blocks.errors import BadInput

LOGIN_UID = Path("/proc/self/loginuid")
NO_LOGIN = 2**32 - 1
"""What the kernel says of a process that no login began, as a service."""

MAX_CHARS = 200
FILLERS = frozenset("\u115f\u1160\u3164\uffa0")
"""Letters to Unicode that nobody sees."""

LOOK_ALIKE = frozenset({"LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE"})
"""Scripts with letters of the same look: a name of two of them is made to be taken for another."""


def login_name() -> str:
    """Who logged in and started this process, by what the kernel keeps.

    Not by the environment (USER, LOGNAME), which everybody sets for himself, and where the kernel remembers the login
    (audit), not by whom `sudo` made of him.
    """
    for uid in (_login_uid(), os.getuid()):
        try:
            return pwd.getpwuid(uid).pw_name
        except (KeyError, OverflowError):
            continue
    return f"uid-{os.getuid()}"


def person(name: str) -> str:
    """A name in the form that is compared: case, blanks, punctuation, width and invisible characters do not count.

    Raises:
        BadInput: there is no letter or digit in it, it is too long, or it mixes scripts that look alike.
    """
    if len(name) > MAX_CHARS:
        raise BadInput("the name is too long", fix=f"use at most {MAX_CHARS} characters", field="by")
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    letters = "".join(char for char in folded if char.isalnum() and char not in FILLERS)
    if not letters:
        raise BadInput("a name is needed", fix="say who you are", field="by")
    scripts = {unicodedata.name(char, "").partition(" ")[0] for char in letters if char.isalpha()} & LOOK_ALIKE
    if len(scripts) > 1:
        raise BadInput(
            f"the name mixes letters of {' and '.join(sorted(one.title() for one in scripts))}",
            fix="write it in one script",
            field="by",
        )
    return letters


def same_person(name: str, others: Iterable[str]) -> bool:
    """Whether a name means one of the others. Raises `BadInput`: it is no name."""
    return person(name) in {_as_far_as(other) for other in others}


def _as_far_as(name: str) -> str:
    """For a name that is on record already: one that is no name is nobody's."""
    try:
        return person(name)
    except BadInput:
        return ""


def _login_uid() -> int:
    try:
        uid = int(LOGIN_UID.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return NO_LOGIN
    return uid
