"""A step of a scripted agent, and how a run ends."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from tests.fakes.iiagent.agent import Agent


class Ending(Exception):
    """A run ends here: no error, but the way out of its steps.

    Attributes:
        outcome: done, silent, max_turns, interrupted, error or lost.
        saves: Whether the history is saved.
    """

    def __init__(self, outcome: str, *, saves: bool = True) -> None:
        super().__init__(outcome)
        self.outcome = outcome
        self.saves = saves


@dataclass(kw_only=True)
class Step:
    """One step.

    Attributes:
        turn: Whether it is a turn of the model.
        tool: The tool that it calls, if it is always the same one.
        gate: Where the call of the model stands until the test opens it.
        thinking: Text of the model beside its call of a tool.
    """

    turn: ClassVar[bool] = True
    tool: ClassVar[str] = ""
    gate: str = ""
    thinking: str = ""

    @property
    def tool_name(self) -> str:
        """The tool that it calls, "" for none."""
        return self.tool

    async def play(self, agent: "Agent") -> None:
        """Do it."""
        raise NotImplementedError
