"""Runs at once on one budget, against a simulated provider that counts what it charges."""

import asyncio
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from blocks.accounts.chat import Caller, ChatRequest
from blocks.accounts.open import open_pool
from blocks.errors import C500Error
from blocks.limits.sqlite import SqliteLimiter
from blocks.settings import settings
from blocks.store import open_store
from flows import agent
from tasks.agents.definition import AgentLimits
from tasks.agents.purse import purse_of
from tasks.agents.result import AgentOptions, AgentResult
from tasks.agents.runs import RunStore
from tests.fakes.llm.agent_model import agent_model
from tests.redteam.attack import WORDS
from tests.redteam.case import BudgetCase


async def spent(case: BudgetCase, folder: Path, patch: pytest.MonkeyPatch) -> tuple[float, list[AgentResult]]:
    """What the provider charged in dollars, and how each run ended."""
    workspace, definitions = folder / "workspace", folder / "definitions"
    workspace.mkdir()
    definitions.mkdir()
    (definitions / "watcher.yaml").write_text(AGENT)
    patch.setenv("AGENTS_DIR", str(definitions))
    settings.cache_clear()
    for word in WORDS[: case.steps]:
        (workspace / f"{word}.txt").write_text(f"{word} is well\n")
    turns = [[("read_file", {"path": f"{word}.txt"})] for word in WORDS[: case.steps]]
    with agent_model(folder / "accounts.yaml", *turns, "It is done.", budgets=case.budgets) as model:
        if not case.price:
            _forget_price(folder / "accounts.yaml")
        noon_s = NOON_S - time.time() % DAY_S
        with clock_off(noon_s if case.clock_s else 0, patch):
            await asyncio.gather(_rivals(case), *(_run(case, number, workspace) for number in range(case.runs)))
        with clock_off(noon_s + case.clock_s if case.clock_s else 0, patch):
            for _ in range(case.again):
                await asyncio.gather(*(_run(case, number, workspace) for number in range(case.runs)))
        store = RunStore(open_store())
        results = [store.result(_run_id(number)) for number in range(case.runs)]
        return model.charged_usd, [one for one in results if one is not None]


AGENT = """\
description: Looks at the pump.
role: You look at the pump.
tools: [read_file]
limits: {duration_s: 60}
"""
DAY_S, NOON_S = 86_400.0, 43_200.0
"""Days are told apart at noon: shortly before midnight a run rightly waits for the budget of the next."""

LONGEST_S = 75.0
"""A run that waits for a budget instead of ending at it is a failure, and no reason to wait for a day."""


def _run_id(number: int) -> str:
    return f"{number:016x}"


async def _run(case: BudgetCase, number: int, workspace: Path) -> None:
    options = AgentOptions(
        workspace=str(workspace),
        user=case.users[number % len(case.users)],
        session=f"s{number}" if case.sessions else None,
        attended=False,
        budget_usd=case.budget_usd,
    )
    with suppress(C500Error):  # its end lies in the store
        async with asyncio.timeout(LONGEST_S):
            await agent._run(_run_id(number), "Look at the pump.", "watcher", options)


async def _rivals(case: BudgetCase) -> None:
    """Calls on the purse of the first run, as of a process that goes by its id."""
    if not case.rivals:
        return
    limits = AgentLimits(budget_usd=case.budget_usd)
    caller = Caller(user=case.users[0], job=_run_id(0), purse=purse_of(_run_id(0), limits))
    request = ChatRequest(messages=({"role": "user", "content": "Say something."},), tier="simple")
    async with open_pool() as pool:
        asked = (pool.complete(request, caller) for _ in range(case.rivals))
        await asyncio.gather(*asked, return_exceptions=True)


def _forget_price(file: Path) -> None:
    content: dict[str, Any] = yaml.safe_load(file.read_text())
    for account in content["accounts"]:
        for model in account["models"].values():
            del model["price"]
    file.write_text(yaml.safe_dump(content))


@contextmanager
def clock_off(seconds: float, patch: pytest.MonkeyPatch) -> Generator[None]:
    """The limiter's wall clock is off by so much."""
    if not seconds:
        yield
        return
    path = settings().limiter_url.removeprefix("sqlite:///")
    with patch.context() as now:
        now.setattr(
            "blocks.accounts.open.open_limiter",
            lambda _url, reseed: SqliteLimiter(path, wall=lambda: time.time() + seconds),
        )
        yield
