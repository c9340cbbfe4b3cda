"""Money and time of a team, shared out."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.errors import TimedOut
from tasks.agents.result import AgentUsage
from tasks.agents.team.result import TaskOutcome
from tasks.agents.team.shares import COORDINATOR_SHARE, Shares
from tests.tasks.agents.team.making import STARTED, begun_of, plan_of, task


def ended(name: str, usd: float = 0.0) -> TaskOutcome:
    return TaskOutcome(task_id=name, agent="worker", state="done", usage=AgentUsage(cost_usd=usd))


PLAN = plan_of(task("a"), task("b"), task("c", "a"), task("d", "c"))


def test_without_a_budget_nobody_has_one() -> None:
    shares = Shares(begun_of(), PLAN.tasks)
    assert shares.give_usd("a", {}) is None
    assert shares.task_s("a", {}) is None
    assert shares.left_s() is None


def test_what_one_did_not_use_is_for_the_others() -> None:
    shares = Shares(begun_of(budget_usd=1.0), PLAN.tasks)
    assert shares.give_usd("a", {}) == pytest.approx(0.2)
    assert shares.give_usd("b", {}) == pytest.approx(0.2)
    outcomes = {"a": ended("a", 0.02)}
    assert shares.give_usd("c", outcomes) == pytest.approx((0.8 - 0.02 - 0.2) / 2)


@given(st.lists(st.floats(0, 1), min_size=4, max_size=4), st.floats(0, 1000), st.permutations("abcd"))
def test_all_that_is_given_out_and_spent_never_passes_the_tasks_share(
    used: list[float], budget: float, order: list[str]
) -> None:
    shares, outcomes, given_usd = Shares(begun_of(budget_usd=budget), PLAN.tasks), {}, {}
    for name, part in zip(order, used, strict=True):
        given_usd[name] = shares.give_usd(name, outcomes) or 0.0
        at_work = sum(usd for one, usd in given_usd.items() if one not in outcomes)
        spent = sum(one.usage.cost_usd for one in outcomes.values())
        assert spent + at_work <= budget * (1 - COORDINATOR_SHARE) + 1e-9
        if part < 0.7:  # others stay at work
            outcomes[name] = ended(name, given_usd[name] * part)


def test_time_leaves_as_much_to_each_that_waits() -> None:
    now = STARTED
    shares = Shares(begun_of(deadline_s=100, at_once=4), PLAN.tasks, lambda: now)
    assert shares.task_s("a", {}) == pytest.approx(80 / 3)
    assert shares.task_s("b", {}) == pytest.approx(80)
    assert shares.left_s() == pytest.approx(100)


def test_with_few_hands_time_goes_by_how_much_there_is_to_do() -> None:
    shares = Shares(begun_of(deadline_s=100, at_once=1), PLAN.tasks, lambda: STARTED)
    assert shares.task_s("b", {}) == pytest.approx(80 / 4)
    assert shares.task_s("d", {name: ended(name) for name in "abc"}) == pytest.approx(80)


def test_past_the_deadline_nothing_begins() -> None:
    shares = Shares(begun_of(deadline_s=100), PLAN.tasks, lambda: STARTED + timedelta(seconds=81))
    with pytest.raises(TimedOut, match="100 s"):
        shares.task_s("d", {})
    assert shares.left_s() == pytest.approx(19)
