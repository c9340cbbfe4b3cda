"""Chapter 7: four agents start at once on one account; 400 calls, 50 answers, and the retries make it worse."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from blocks.accounts.account import Quota
from blocks.limits.limit import Limit
from blocks.store import open_store
from flows.team import run_team
from tasks.agents.runs import RunStore
from tasks.agents.team.plan import TeamPlan
from tasks.agents.team.result import TeamOptions, TeamResult
from tests.flows.teaming import task, team_model
from tests.stories.house import House

GOAL = "Why did the API become slower this week?"
ROLES = ("logs", "metrics", "code", "hosts")
MINUTE_S = 2.0
"""A minute, for the provider and for us: nobody wants to wait for four real ones."""

RPM = 4
STAGGER_S = 0.2
ATTEMPTS = 4
"""So often the pool sends a call that is refused."""

CALLS = len(ROLES) * 3 + 1
"""Three of each agent, and one that puts their results together."""


@pytest.fixture
def short_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits of a minute hold for so many seconds."""
    limits: Callable[..., dict[str, Limit]] = Quota.limits

    def shortened(quota: Quota, owner: str, utc_offset_s: int = 0) -> dict[str, Limit]:
        made = limits(quota, owner, utc_offset_s)
        return {name: one.model_copy(update={"window_s": MINUTE_S}) for name, one in made.items()}

    monkeypatch.setattr(Quota, "limits", shortened)


@pytest.fixture
def team(house: House) -> House:
    """The coordinator and its four analysts."""
    (house.workspace / "app.log").write_text("GET /orders 2300 ms: full scan of orders\n")
    for role in ROLES:
        house.agent(role, "read_file")
    house.agent("coordinator", specialists=list(ROLES))
    return house


def by_role() -> dict[str, list[Any]]:
    """Each reads the log a few times, then says what it has found."""
    reads = [[("read_file", {"path": "app.log", "start_byte": byte})] for byte in range(2)]
    return {role: [*reads, f"{role}: an index is missing."] for role in ROLES}


async def ask_team(team: House) -> TeamResult:
    plan = TeamPlan.model_validate({"tasks": [task(role, agent=role) for role in ROLES]})
    options = TeamOptions(stagger_s=STAGGER_S, attended=False, user="ann", workspace=str(team.workspace))
    return await run_team(GOAL, plan=plan, options=options)


async def test_four_agents_share_a_rate_limit_and_all_come_to_their_end(team: House, short_minutes: None) -> None:
    with team_model(team.accounts, by_role()) as (_, model):
        team.change_accounts(account={"quota": {"rpm": RPM}})
        model.running.change(quota={"rpm": RPM}, window_s=MINUTE_S)
        begun = datetime.now(UTC)
        result = await ask_team(team)
        books = model.running.books()["accounts"]["scripted"]
    assert (result.status, {one.state for one in result.outcomes}) == ("done", {"done"})
    assert books["charged"]["calls"] == CALLS
    assert books["refused"] == {}
    assert books["windows"]["rpm"]["peak"] == RPM  # the limit was reached, and never passed
    for place, outcome in enumerate(result.outcomes):
        started = RunStore(open_store()).begun(outcome.run_id or "")
        assert started
        assert started.started_at - begun >= timedelta(seconds=place * STAGGER_S)


async def test_a_limit_that_only_the_provider_knows_makes_no_storm(team: House) -> None:
    with team_model(team.accounts, by_role()) as (_, model):
        model.running.change(quota={"rpm": RPM}, window_s=MINUTE_S)
        result = await ask_team(team)
        books = model.running.books()["accounts"]["scripted"]
    assert {one.state for one in result.outcomes} <= {"done", "limited"}
    assert 1 <= sum(books["refused"].values()) <= ATTEMPTS * CALLS
