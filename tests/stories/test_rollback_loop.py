"""Chapter 3: an agent deploys, the health check fails, it rolls back, deploys – 847 times over a weekend."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deployments.simulator.asked import Asked
from tasks.agents import registry
from tests.fakes.llm.agent_model import agent_model, calls, results_in, turn_of
from tests.stories.cluster import BAD, GOOD, LOOK, Cluster, apply
from tests.stories.house import House, allow

GOAL = f"Bring payments to version {BAD}."
TRUSTED = allow("deploys", "kubectl_apply")
BOUNDLESS = {"steps": 10_000, "actions": 10_000, "same_action": 10_000, "tokens": None}
"""Limits of an operator who does not want the agent to be held up."""


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """A cluster that the agents' own tools for Kubernetes reach."""
    folder = tmp_path / "cluster"
    folder.mkdir()
    made = Cluster(folder)
    monkeypatch.setattr(registry.clusters, "Clusters", lambda **_: made.clusters)
    yield made


def rollback_loop(asked: Asked) -> Any:
    """What the agent of the book did: it never asks itself whether it has tried this before."""
    return calls([apply(BAD), LOOK, apply(GOOD), LOOK][turn_of(asked) % 4], text="The health check failed.")


async def test_with_the_shipped_rules_nothing_is_deployed_without_a_person(house: House, cluster: Cluster) -> None:
    house.agent("deployer", "kubectl_*")
    with agent_model(house.accounts, rollback_loop):
        result = await house.run(GOAL, "deployer", profile="production")
    assert cluster.deployments == 0
    assert result.status == "limited"
    assert "unattended" in house.rules_that_decided(result.run_id)


def counting(asked: Asked) -> Any:
    """The same, with a number that makes each deployment another one."""
    turn = turn_of(asked)
    return calls([apply(BAD, f"attempt {turn}"), LOOK, apply(GOOD, f"undo {turn}"), LOOK][turn % 4])


def inventing(asked: Asked) -> Any:
    """The same, with a new reason each time, and no look in between."""
    turn = turn_of(asked)
    words = sample(WORDS, seed=turn)
    return calls(apply(BAD if turn % 2 == 0 else GOOD, words))


WORDS = "probe pool quota queue timeout cache replica certificate token gateway memory startup schema client leader".split()


def sample(words: list[str], seed: int) -> str:
    return " ".join(random.Random(seed).sample(words, 8))


@pytest.mark.parametrize(("loop", "most"), [(rollback_loop, 3), (counting, 3), (inventing, 3)])
async def test_an_agent_that_may_deploy_is_ended_within_a_few_deployments(
    house: House, cluster: Cluster, loop: Any, most: int
) -> None:
    house.agent("deployer", "kubectl_*", limits=BOUNDLESS)
    house.rules(TRUSTED)
    with agent_model(house.accounts, loop) as model:
        result = await house.run(GOAL, "deployer")
        asked = len(model.script.asked)
    print("RESULT", loop.__name__, cluster.deployments, asked, result.status, result.trouble, house.rules_that_decided(result.run_id))
    assert 0
