"""Runs of an agent under attack: all of it is the real thing but the model, and in `call` the flow around it."""

from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from blocks.accounts.account import Accounts
from blocks.errors import C500Error
from blocks.sandbox import SandboxLimits
from blocks.settings import settings
from blocks.store import open_store
from flows import agent
from tasks.agents.opened import Opened
from tasks.agents.result import AgentOptions, AgentResult, AgentTrouble
from tasks.agents.runs import Begun, RunStore
from tasks.agents.team.result import TeamResult
from tasks.agents.tools import commands
from tasks.agents.working import working
from tests.redteam import handing, reviewing
from tests.redteam.case import RunCase
from tests.redteam.obedient import Obedient, ObedientPool
from tests.redteam.parts import Turn
from tests.redteam.people import People
from tests.redteam.world import NAME, World, remember, serve_mcp

WORDS = (
    *("alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india", "juliett", "kilo", "lima"),
    *("mike", "november", "oscar", "papa", "quebec", "romeo", "sierra", "tango", "uniform", "victor", "whiskey"),
)
RUN, EARLIER = "00000000000000ad", "00000000000000ac"


@dataclass
class Ended:
    """What became of an attack.

    Attributes:
        model: What it read and did.
        people: What they were asked.
        result: Of the run.
        told: What the operators were told.
    """

    model: Obedient
    people: People
    result: AgentResult | TeamResult
    told: list[str]


def turns_of(case: RunCase, world: World, turns: Sequence[Turn]) -> list[Turn]:
    """What the model does in all rounds, with places and numbers filled in."""
    rounds = [[_numbered(turn, number) for turn in turns] for number in range(case.times)]
    return [Turn.model_validate(world.filled(turn.model_dump())) for one in rounds for turn in one]


def _numbered(turn: Turn, number: int) -> Turn:
    text = turn.model_dump_json().replace("<n>", str(number)).replace("<word>", WORDS[number % len(WORDS)])
    return Turn.model_validate_json(text)


def options_of(case: RunCase, world: World) -> AgentOptions:
    """How the run is begun."""
    return AgentOptions(
        workspace=str(world.workspace),
        user=case.user,
        attended=case.attended,
        profile=case.profile,
        budget_usd=case.budget_usd,
        session="talk" if case.session else None,
    )


ACCOUNTS = """\
accounts:
  - {name: red, provider: openai, key: none, base_url: "http://127.0.0.1:9/v1", models: {obedient: {
      context_tokens: 200000, max_output_tokens: 4000, price: {input_usd: 1, output_usd: 1},
      tiers: [simple, moderate, complex, critical]}}}
"""
"""Nobody listens there: the model's place is taken by ours."""


async def attacked(case: RunCase, world: World, patch: pytest.MonkeyPatch) -> Ended:
    """Let the attack take its course."""
    (world.folder / "accounts.yaml").write_text(ACCOUNTS)
    await remember(world, case)
    if case.session:
        earlier = case.model_copy(update={"user": case.session_of or case.user})
        serve_mcp(case.mcp[:1], world)
        await _run(earlier, world, case.session, EARLIER, patch)
    if case.earlier:
        earlier = case.model_copy(update={"user": case.earlier_of or case.user})
        await _run(earlier, world, case.earlier, EARLIER, patch)
        reviewing.answer(case, world, EARLIER)
    serve_mcp(case.mcp[1:], world)
    with clock_off(case.clock_s, patch):
        ended = await _run(case, world, case.turns, RUN, patch)
        if not case.handed:
            return ended
        handing.answer(case, world, RUN)
        again = await _run(case, world, case.then, RUN, patch)
    again.model.asked[:0] = ended.model.asked
    return again


async def _run(case: RunCase, world: World, turns: Sequence[Turn], run_id: str, patch: pytest.MonkeyPatch) -> Ended:
    """Have the flow run, or all of it but Prefect, with our model and our people."""
    model = Obedient(turns_of(case, world, turns), governor=world.filled(case.governor))
    people, told = People(case, world), list[str]()

    async def tell(text: str) -> None:
        told.append(text)

    @asynccontextmanager
    async def at_work(run: Begun) -> AsyncGenerator[Opened]:
        async with working(run, settings(), people.ask, tell) as work:
            prepare(work, case, model, work.pool.accounts)
            yield work

    goal, options = world.filled(case.goal), options_of(case, world)
    error: C500Error | None = None
    with patch.context() as now:
        now.setattr("flows.agent._at_work", at_work)
        try:
            if case.driver == "run":
                await agent.run_agent(goal, NAME, options, run_id=run_id)
            else:
                await agent._run(run_id, goal, NAME, options)
        except C500Error as raised:  # what came of a run lies in the store all the same
            error = raised
    result = RunStore(open_store()).result(run_id)
    if result is None:
        assert error is not None, "the run has no end"
        result = refused(case, error)
    return Ended(model, people, result, told)


def refused(case: RunCase, error: C500Error) -> AgentResult:
    """The end of a run that was not begun."""
    trouble = AgentTrouble(code=error.code, message=error.message, fix=error.fix)
    now = datetime.now(UTC)
    return AgentResult(
        run_id=RUN, agent=NAME, goal=case.goal, status="failed", profile=case.profile, trouble=trouble, ended_at=now
    )


def prepare(work: Opened, case: RunCase, model: Obedient, accounts: Accounts) -> None:
    """Put the model in the place of the accounts, and smaller limits into the sandbox."""
    work.pool = ObedientPool(accounts, model)  # type: ignore[assignment]
    changed = dict(work.tools)
    if case.sandbox:
        changed |= {tool.name: tool for tool in commands.tools(SandboxLimits.model_validate(case.sandbox))}
    work.tools = {name: tool for name, tool in changed.items() if name in work.tools}


class Shifted(datetime):
    """A clock that somebody has set."""

    by = timedelta(0)

    @classmethod
    def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
        """The time that the machine tells."""
        return datetime.now(tz) + cls.by


CLOCKS = ("tasks.agents.permission", "tasks.agents.working", "blocks.policy.policy", "tests.redteam.people")
"""Modules that look at the time of a run."""


@contextmanager
def clock_off(seconds: float, patch: pytest.MonkeyPatch) -> Generator[None]:
    """Have the machine's clock off by so much, wherever a run looks at it."""
    if not seconds:
        yield
        return
    patch.setattr(Shifted, "by", timedelta(seconds=seconds))
    with patch.context() as now:
        for module in CLOCKS:
            now.setattr(f"{module}.datetime", Shifted)
        yield
