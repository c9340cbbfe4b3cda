"""Chapter 3: an agent deploys, the health check fails, it rolls back, deploys again – 847 times over a weekend."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deployments.simulator.asked import Asked
from tasks.agents import registry
from tests.fakes.llm.agent_model import agent_model, calls, turn_of
from tests.stories.cluster import BAD, GOOD, LOOK, Cluster, apply, look_at
from tests.stories.house import House, allow

GOAL = f"Bring payments to version {BAD}."
TRUSTED = allow("deploys", "kubectl_apply")
BOUNDLESS = {"steps": 10_000, "actions": 10_000, "same_action": 10_000, "polls": 10_000, "tokens": None}
"""Limits of an operator who does not want the agent to be held up."""

BUDGET_USD, RUNS = 0.09, 3
"""A budget of a user, and how many runs of this agent it is enough for at most."""

WORDS = "probe pool quota queue timeout cache replica certificate token gateway memory startup schema client leader"


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """A cluster that the agents' own tools for Kubernetes reach."""
    folder = tmp_path / "cluster"
    folder.mkdir()
    made = Cluster(folder)
    monkeypatch.setattr(registry.clusters, "Clusters", lambda **_: made.clusters)
    return made


def as_in_the_book(asked: Asked) -> Any:
    """It never asks itself whether it has tried this before."""
    return calls([apply(BAD), LOOK, apply(GOOD), LOOK][turn_of(asked) % 4], text="The health check failed.")


def counting(asked: Asked) -> Any:
    """With a number that makes each deployment another one."""
    turn = turn_of(asked)
    return calls([apply(BAD, f"attempt {turn}"), LOOK, apply(GOOD, f"undo {turn}"), LOOK][turn % 4])


def inventing(asked: Asked) -> Any:
    """With a new reason each time, and no look in between."""
    turn = turn_of(asked)
    return calls(apply((BAD, GOOD)[turn % 2], reason(turn)))


def looking_around(asked: Asked) -> Any:
    """With a new reason each time, and so much to look at in between that nobody sees the rounds."""
    turn = turn_of(asked)
    around = [look_at(kind) for kind in ("pods", "events", "services", "jobs", "ingresses")]
    return calls([apply(BAD, reason(turn)), *around, apply(GOOD, reason(turn)), *around][turn % 12])


def reason(turn: int) -> str:
    """Eight words that no other turn has in this order."""
    return " ".join(random.Random(turn).sample(WORDS.split(), 8))


async def test_with_the_shipped_rules_nothing_is_deployed_without_a_person(house: House, cluster: Cluster) -> None:
    house.agent("deployer", "kubectl_*", limits=BOUNDLESS)
    with agent_model(house.accounts, as_in_the_book):
        result = await house.run(GOAL, "deployer", profile="production")
    assert cluster.deployments == 0
    assert result.status == "limited"
    assert "unattended" in house.rules_that_decided(result.run_id)


@pytest.mark.parametrize(("loop", "most"), [(as_in_the_book, 3), (counting, 3), (inventing, 5)])
async def test_an_agent_that_may_deploy_is_ended_after_a_few_deployments(
    house: House, cluster: Cluster, loop: Callable[[Asked], Any], most: int
) -> None:
    house.agent("deployer", "kubectl_*", limits=BOUNDLESS)
    house.rules(TRUSTED)
    with agent_model(house.accounts, loop):
        result = await house.run(GOAL, "deployer")
    assert 1 <= cluster.deployments <= most
    assert (result.status, result.trouble and result.trouble.code) == ("limited", "GUARD_TRIPPED")
    assert "guard:loop" in house.rules_that_decided(result.run_id)


@pytest.mark.parametrize("actions", [24, pytest.param(200, marks=pytest.mark.soak)])
async def test_a_loop_that_hides_between_other_calls_is_ended_by_the_limit_of_actions(
    house: House, cluster: Cluster, actions: int
) -> None:
    house.agent("deployer", "kubectl_*", limits=BOUNDLESS | {"actions": actions})
    house.rules(TRUSTED)
    with agent_model(house.accounts, looking_around):
        result = await house.run(GOAL, "deployer")
    assert 1 <= cluster.deployments <= actions // 6 + 1
    assert (result.status, result.trouble and result.trouble.code) == ("limited", "GUARD_TRIPPED")


@pytest.mark.parametrize("starts", [5, pytest.param(847, marks=pytest.mark.soak)])
async def test_an_agent_that_is_started_again_and_again_is_ended_by_the_budget(
    house: House, cluster: Cluster, starts: int
) -> None:
    house.agent("deployer", "kubectl_*", limits=BOUNDLESS)
    house.rules(TRUSTED)
    with agent_model(house.accounts, as_in_the_book, budgets={"user": {"usd": BUDGET_USD}}) as model:
        results = [await house.run(GOAL, "deployer") for _ in range(starts)]
        charged_usd = model.charged_usd
    assert charged_usd <= BUDGET_USD
    assert 3 <= cluster.deployments <= 3 * RUNS
    for late in results[RUNS:]:
        assert (late.status, late.trouble and late.trouble.code) == ("limited", "BUDGET_EXCEEDED")
        assert late.usage.actions == 0
