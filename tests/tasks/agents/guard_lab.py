"""An agent under guard with a scripted model, for tests."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic_ai import Agent
from pydantic_ai.capabilities import AbstractCapability
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart, ToolReturnPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

from blocks.switches import FileSwitches, Switch
from tasks.agents.guard import Guard, GuardedRun, GuardEvent, Limits

Calls = Sequence[tuple[str, dict[str, Any]]]
STOP = Switch(scope="all", by="ann", at=datetime(2026, 3, 1, tzinfo=UTC), reason="enough")
RELAXED = {"same_action": 1000, "actions": 1000, "steps": 1000, "tokens": None}


@dataclass
class Lab:
    """An agent under guard, and what it did.

    Attributes:
        folder: Of the switches.
        turns: The tool calls the model makes, turn by turn; the last turn for ever, or a last word after it.
    """

    folder: Path
    turns: Sequence[Calls]
    for_ever: bool = False
    asked: int = 0
    done: list[str] = field(default_factory=list[str])
    refused: list[str] = field(default_factory=list[str])
    events: list[GuardEvent] = field(default_factory=list[GuardEvent])
    before_answer: Callable[[], Any] = lambda: None
    answer_s: float = 0.0

    def __post_init__(self) -> None:
        self.switches = FileSwitches(self.folder)
        self.run = GuardedRun(agent="ops", run_id="r1")

    async def tell(self, event: GuardEvent) -> None:
        self.events.append(event)

    async def answer(self, messages: list[ModelMessage], _info: AgentInfo) -> ModelResponse:
        self.asked += 1
        self.before_answer()
        await asyncio.sleep(self.answer_s)
        returns = [part for message in messages for part in message.parts if isinstance(part, ToolReturnPart)]
        self.refused = [part.content["refused"] for part in returns if "refused" in part.content]
        turn = sum(isinstance(message, ModelResponse) for message in messages)
        if turn >= len(self.turns) and not self.for_ever:
            return ModelResponse(parts=[TextPart("that is all")])
        wanted = self.turns[min(turn, len(self.turns) - 1)]
        return ModelResponse(
            parts=[
                ToolCallPart(tool, arguments, f"call-{turn}-{number}")
                for number, (tool, arguments) in enumerate(wanted)
            ]
        )

    def agent(self, *inner: AbstractCapability[Any], limits: Limits | None = None, **guard: Any) -> Agent[None, Any]:
        limits = limits or Limits.model_validate(RELAXED)
        chosen = {"switches": self.switches, "of": lambda _: self.run, "tell": self.tell, "limits": limits} | guard
        agent = Agent(FunctionModel(self.answer), name="ops", capabilities=[*inner, Guard(**chosen)], output_type=str)

        @agent.tool_plain
        async def act(what: str) -> str:
            self.done.append(what)
            return f"{what} is done"

        return agent


def steps(*names: str) -> list[Calls]:
    return [[("act", {"what": name})] for name in names]
