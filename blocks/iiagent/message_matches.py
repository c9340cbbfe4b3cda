"""The check of what the agent said."""

from typing import Literal

from pydantic import Field

from blocks.iiagent.proof import HOLDS, Proof, fails
from blocks.iiagent.workspace import Workspace
from blocks.model import Frozen
from blocks.patterns import Pattern, compiled

MOST_CHARS = 200_000
"""Of a message that are looked at, its end."""


class MessageMatches(Frozen):
    """The agent's last message has a form.

    Attributes:
        pattern: RE2 that is found in it.
        otherwise: What to tell the agent instead of the pattern.
    """

    kind: Literal["message_matches"]
    pattern: Pattern
    otherwise: str | None = Field(default=None, min_length=1, max_length=1000)

    async def prove(self, workspace: Workspace, message: str) -> Proof:
        """Look for it."""
        if compiled(self.pattern).search(message[-MOST_CHARS:].encode("utf-8", "replace").decode()):
            return HOLDS
        said = "Your last message" if message.strip() else "You sent no message, and it"
        return fails(
            self.otherwise or f"{said} has to match the regular expression {self.pattern}: send one that does."
        )
