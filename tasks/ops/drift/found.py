"""What was found of something that was declared, and how it is told without its secrets."""

import difflib
from collections.abc import Sequence
from typing import Any, Literal

from blocks.errors import EngineFailed
from blocks.hosts import CommandResult
from blocks.model import Frozen
from blocks.plain_text import cut, visible
from blocks.redact import default_redactor

State = Literal["same", "missing", "unexpected", "drifted", "unknown"]
Kind = Literal["file", "package", "unit", "user", "object", "resource", "target"]
DIFF_LINES = 200
SHOWN_CHARS = 300
HIDDEN = "differs only in what is secret, and not shown"


class Difference(Frozen):
    """A field that is not as declared; values are without secrets.

    Attributes:
        field: Which.
        declared, actual: What it should be, and is.
    """

    field: str
    declared: str
    actual: str


class Found(Frozen):
    """What was found.

    Attributes:
        target: Name in the declared state.
        host: Where it was looked at.
        kind, name: What.
        state: How it is; `unknown`: it could not be looked at, which is not «no drift».
        differences: Where it is drifted.
        diff: Of texts, from declared to actual.
        why: More, as why it is not known.
        safe: Whether the declared state marks its correction as safe.
        correction: What came of that: a deed's status; empty: none was tried.
        corrected_why: Why it was not corrected.
    """

    target: str
    host: str
    kind: Kind
    name: str
    state: State
    differences: tuple[Difference, ...] = ()
    diff: str = ""
    why: str = ""
    safe: bool = False
    correction: str = ""
    corrected_why: str = ""

    @property
    def is_left(self) -> bool:
        """Whether it is still not known to be as declared."""
        return self.state != "same" and self.correction != "done"


def difference(field: str, declared: Any, actual: Any) -> Difference:
    """Two values that differ, as they may be shown."""
    redact = default_redactor().text
    # The name of the field goes along: it may be what says that the value is a secret.
    told = [redact(f"{field}={one}").partition("=")[2] for one in (declared, actual)]
    return Difference(field=field, declared=_short(told[0]), actual=_short(told[1]))


def text_diff(declared: str, actual: str) -> str:
    """How two texts differ, from declared to actual; secrets are taken out of both before."""
    redact = default_redactor().text
    texts = [visible(redact(one)).splitlines() for one in (declared, actual)]
    lines = list(difflib.unified_diff(*texts, fromfile="declared", tofile="actual", lineterm=""))
    if not lines:
        return HIDDEN
    more = [f"… {len(lines) - DIFF_LINES} more lines"] if len(lines) > DIFF_LINES else []
    return "\n".join([*(line[:SHOWN_CHARS] for line in lines[:DIFF_LINES]), *more])


def not_known(done: CommandResult) -> str:
    """Why a look says nothing. Empty: it does."""
    try:
        done.checked()
    except EngineFailed as error:
        return default_redactor().text(cut(error.message, SHOWN_CHARS))
    return "it wrote more than can be read" if done.truncated else ""


def state_of(differences: Sequence[Difference], diff: str = "") -> State:
    """`drifted` where there is any difference."""
    return "drifted" if differences or diff else "same"


def _short(text: str) -> str:
    return cut(visible(text), SHOWN_CHARS)
