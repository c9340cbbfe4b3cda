"""What came of a turn: proven by checks, not by the agent's word, which is "Task completed" in every case."""

import re
from typing import Literal

from blocks.errors import C500Error
from blocks.iiagent.checks import Proven
from blocks.iiagent.turn import Turn, TurnError
from blocks.model import Frozen

OutcomeKind = Literal["done", "incomplete", "max_turns", "silent_stop", "needs_input", "interrupted", "error"]

QUESTION = re.compile(r"[?？][\s*_`\"'”’)\]»]*$")
"""A text that ends with a question mark, whatever closes after it."""

MOST_QUESTION_CHARS = 4000


class Incomplete(C500Error):
    """An agent ended without having done what it was asked."""

    code = "INCOMPLETE"


class Outcome(Frozen):
    """What came of a turn.

    Attributes:
        kind: `done` only where all checks hold, or there are none and the agent neither asked nor stopped silently.
        missing: What the checks found missing, as a prompt.
        question: What the agent asked.
        error: Why the turn failed.
    """

    kind: OutcomeKind
    missing: str = ""
    question: str = ""
    error: TurnError | None = None

    @property
    def told(self) -> str:
        """In a few words."""
        if self.error is not None:
            return f"error ({self.error.kind}): {self.error.message}"
        return {"needs_input": f"needs input: {self.question}", "incomplete": f"incomplete: {self.missing}"}.get(
            self.kind, self.kind.replace("_", " ")
        )


def outcome_of(turn: Turn, proven: Proven | None, *, worked: bool) -> Outcome:
    """The outcome of a turn.

    Args:
        turn: What the client saw of it.
        proven: What the checks found; None where there are none.
        worked: Whether any tool was called for the task, in this turn or one before: files that were there before it
            prove nothing.
    """
    missing = "" if proven is None else proven.missing
    if turn.error is not None:
        return Outcome(kind="error", error=turn.error, missing=missing)
    if proven is not None and proven.holds and worked:
        return Outcome(kind="done")
    if turn.ended in ("interrupted", "max_turns"):
        return Outcome(kind=turn.ended, missing=missing)
    if turn.silent:
        return Outcome(kind="silent_stop", missing=missing)
    if QUESTION.search(turn.answer):
        return Outcome(kind="needs_input", question=turn.answer[-MOST_QUESTION_CHARS:], missing=missing)
    return Outcome(kind="done") if proven is None else Outcome(kind="incomplete", missing=missing)
