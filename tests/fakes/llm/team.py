"""Simulated models that plan, work, merge and judge as a test says, behind a gate the test opens."""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web

from blocks.accounts.account import Account, Model, Price
from deployments.simulator.asked import Asked
from deployments.simulator.behaviour import Behaviour
from deployments.simulator.rehearsal import account_url
from deployments.simulator.serve import listening
from deployments.simulator.simulator import Simulator
from tests.processes import eventually

ROLES = {
    "You prepare work": "clarify",
    "You coordinate": "plan",
    "You merge results": "merge",
    "You judge an answer": "evaluate",
}

PRICE = Price(input_usd=2.0, output_usd=8.0)


def role_of(prompt: str) -> str:
    """What a prompt of ours is for: `clarify`, `plan`, `merge`, `evaluate`, or the id of a sub-task."""
    for beginning, role in ROLES.items():
        if beginning in prompt:
            return role
    found = re.search(r"^Sub-task ([a-z0-9_-]+):", prompt, re.MULTILINE)
    return found[1] if found else "unknown"


def member(name: str, provider: str = "openai", **model: Any) -> Account:
    """An account with one model good enough for everything."""
    fields = {"price": PRICE, "tiers": ("simple", "moderate", "complex", "critical"), "max_output_tokens": 1000} | model
    return Account(name=name, provider=provider, key="none", models={f"{name}-model": Model(**fields)})


THREE = (member("openai"), member("claude", "anthropic"), member("gemini", "gemini"))


@dataclass
class Team:
    """What the models say, and what they were asked.

    Attributes:
        says: Answers by role, each a text, a mapping, or a function of `Asked`; a list gives one after the other, its
            last for ever. By default a sub-task says its id, the merge is one statement a result, all scores are 1.
        prompts: All prompts that were answered or wait at the gate, by role and in order of arrival.
        answered: Roles, in order of the answers.
        gate: Called with the role before the simulator sees the request.
    """

    says: dict[str, Any]
    gate: Callable[[str], Awaitable[None]] | None = None
    prompts: list[tuple[str, str]] = field(default_factory=list)
    answered: list[str] = field(default_factory=list)
    simulator: Simulator = field(init=False)

    @property
    def arrived(self) -> list[str]:
        """Roles, in order of arrival."""
        return [role for role, _ in self.prompts]

    def count(self, role: str) -> int:
        """How often it was asked in that role."""
        return self.arrived.count(role)

    def prompt(self, role: str, turn: int = -1) -> str:
        """A prompt in that role, by default the latest."""
        return [prompt for one, prompt in self.prompts if one == role][turn]

    def total(self) -> dict[str, Any]:
        """What the simulated providers charged."""
        return self.simulator.books()["total"]["charged"]

    def used(self) -> set[str]:
        """Accounts that answered."""
        return {name for name, book in self.simulator.books()["accounts"].items() if book["accepted"]}

    def answer(self, asked: Asked) -> Any:
        """The simulator's script."""
        role = role_of(asked.prompt)
        said = self.says.get(role, DEFAULTS.get(role, f"The result of {role}."))
        if isinstance(said, list):
            said = said[min(self.answered.count(role), len(said) - 1)]
        self.answered.append(role)
        return said(asked) if callable(said) else said

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Note the request, wait at the gate, and let the simulator answer."""
        if request.method == "POST":
            texts = texts_in(await request.json())
            role = role_of("\n".join(texts))
            self.prompts.append((role, "\n".join(texts)))
            if self.gate is not None:
                await self.gate(role)
        return await self.simulator.handle(request)

    async def until(self, *roles: str) -> None:
        """Wait until so many requests of these roles have arrived."""
        await eventually(lambda: not Counter(roles) - Counter(self.arrived))


def texts_in(value: Any) -> list[str]:
    """All texts of a request's body."""
    if isinstance(value, str):
        return [value]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for part in parts for text in texts_in(part)]


def one_statement_each(asked: Asked) -> dict[str, Any]:
    """A merge: what each result says, once."""
    found = re.findall(r'<result [0-9a-f]+ of="([^"]+)">\n(.*?)\n</result', asked.prompt, re.DOTALL)
    return {"statements": [{"text": text, "sources": [name]} for name, text in found]}


def full_marks(asked: Asked) -> dict[str, Any]:
    """An evaluation: every criterion is met."""
    return scores(asked, 1.0)


def scores(asked: Asked, score: float, **improve: str) -> dict[str, Any]:
    """An evaluation that gives every criterion this score, and names sub-tasks to do again."""
    numbers = re.findall(r"^(\d+)\. ", asked.prompt, re.MULTILINE)
    return {
        "scores": [{"criterion": int(number), "score": score, "reason": "it is so"} for number in numbers],
        "improve": [{"task_id": task, "what": what} for task, what in improve.items()],
    }


def judge(score: float, **improve: str) -> Callable[[Asked], dict[str, Any]]:
    """As `scores`, for `Team.says`."""
    return lambda asked: scores(asked, score, **improve)


DEFAULTS: dict[str, Any] = {"merge": one_statement_each, "evaluate": full_marks, "clarify": {"questions": []}}


def task(name: str, *needs: str, **more: Any) -> dict[str, Any]:
    """A sub-task as the coordinator answers it."""
    return {"id": name, "title": name.title(), "instruction": f"Do {name}.", "depends_on": list(needs), **more}


def planned(*tasks: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A plan as the coordinator answers it."""
    return {"tasks": list(tasks), **more}


@asynccontextmanager
async def team(
    accounts_file: Path,
    says: dict[str, Any],
    accounts: Sequence[Account] = THREE,
    gate: Callable[[str], Awaitable[None]] | None = None,
    file: dict[str, Any] | None = None,
    **behaviour: Any,
) -> AsyncGenerator[Team]:
    """Serve such models in this event loop, and write an accounts file that leads to them.

    Args:
        accounts_file: Where.
        says: See `Team`.
        accounts: Whose models.
        gate: See `Team`.
        file: More for the accounts file.
        behaviour: Fields of `Behaviour`.
    """
    made = Team(says=says, gate=gate)
    made.simulator = Simulator(accounts, Behaviour(script=made.answer, **behaviour))
    async with listening(made.handle, 0) as url:
        listed = [
            account.model_dump(mode="json", exclude_defaults=True) | {"base_url": account_url(url, account)}
            for account in accounts
        ]
        accounts_file.write_text(yaml.safe_dump({"accounts": listed, **(file or {})}))
        yield made


class Barrier:
    """A gate that holds requests of these roles until all of them are there."""

    def __init__(self, *roles: str) -> None:
        self._missing = set(roles)
        self._all = asyncio.Event()
        self._roles = frozenset(roles)

    async def __call__(self, role: str) -> None:
        if role not in self._roles:
            return
        self._missing.discard(role)
        if not self._missing:
            self._all.set()
        await self._all.wait()


class Held:
    """A gate that holds requests of one role until it is opened."""

    def __init__(self, role: str) -> None:
        self._role = role
        self.opened = asyncio.Event()

    async def __call__(self, role: str) -> None:
        if role == self._role:
            await self.opened.wait()
