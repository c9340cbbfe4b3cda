"""A simulated model that acts as a script says, turn by turn: calls of tools, then a last word."""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from blocks.accounts.account import Account, Model, Price
from deployments.simulator.asked import Asked
from deployments.simulator.behaviour import Behaviour
from deployments.simulator.rehearsal import account_url
from deployments.simulator.serve import InProcess, in_thread
from deployments.simulator.simulator import Simulator

PRICE = Price(input_usd=2.0, output_usd=8.0)
TIERS = ("simple", "moderate", "complex", "critical")

Turn = str | Sequence[tuple[str, dict[str, Any]]] | Callable[[Asked], Any]
"""A last word; tools to call with their arguments; or a function that gives either."""


def calls(*wanted: tuple[str, dict[str, Any]], text: str = "") -> dict[str, Any]:
    """An answer that calls tools, with what is said beside."""
    return {"tool_calls": [{"name": name, "arguments": arguments} for name, arguments in wanted], "text": text}


def turn_of(asked: Asked) -> int:
    """How often the model has spoken in this conversation."""
    return sum(message.get("role") == "assistant" for message in asked.body["messages"])


def results_in(asked: Asked) -> list[str]:
    """What tools gave back so far, in order."""
    return [str(one["content"]) for one in asked.body["messages"] if one.get("role") == "tool"]


@dataclass
class Scripted:
    """The model.

    Attributes:
        turns: What it says, one after the other; the last for ever.
        asked: Every request, in order.
        before: Called with each request before it is answered.
    """

    turns: Sequence[Turn]
    asked: list[Asked] = field(default_factory=list[Asked])
    before: Callable[[Asked], None] | None = None

    def answer(self, asked: Asked) -> Any:
        """The simulator's script."""
        self.asked.append(asked)
        if self.before is not None:
            self.before(asked)
        turn = self.turns[min(turn_of(asked), len(self.turns) - 1)]
        said = turn(asked) if callable(turn) else turn
        return said if isinstance(said, (str, dict)) else calls(*said)

    @property
    def prompts(self) -> list[str]:
        """All that the model read, request by request."""
        return [asked.prompt for asked in self.asked]


@dataclass(frozen=True)
class AgentModel:
    """A model that is served.

    Attributes:
        script: What it says.
        running: Its simulator.
    """

    script: Scripted
    running: InProcess

    @property
    def calls(self) -> int:
        """How many requests were answered."""
        return self.running.books()["total"]["charged"]["calls"]

    @property
    def charged_usd(self) -> float:
        """What the simulated provider charged."""
        return self.running.books()["total"]["charged"]["cost_units"] / 1e9


@contextmanager
def agent_model(file: Path, *turns: Turn, name: str = "scripted", **more: Any) -> Generator[AgentModel]:
    """Serve a model that acts by a script, and write an accounts.yaml that leads to it.

    Args:
        file: Where the accounts are written.
        turns: What the model says.
        name: Of account and model.
        more: More of the accounts file, as `budgets`.
    """
    script = Scripted(turns)
    model = Model(price=PRICE, tiers=TIERS, context_tokens=1_000_000, max_output_tokens=4000)
    account = Account(name=name, provider="openai", key="none", models={name: model})
    with in_thread(Simulator([account], Behaviour(script=script.answer))) as running:
        listed = account.model_dump(mode="json", exclude_defaults=True) | {
            "base_url": account_url(running.url, account),
            "key": "none",
        }
        file.write_text(yaml.safe_dump({"accounts": [listed], **more}))
        yield AgentModel(script, running)
