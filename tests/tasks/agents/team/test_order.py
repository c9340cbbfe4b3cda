"""The order of a team's tasks."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.agents.team.order import delay_s, in_order
from tasks.agents.team.plan import TeamTask
from tests.tasks.agents.team.making import RESTART, plan_of, task

NAMES = st.sampled_from(["/srv", "/srv/web", "/srv/db", "queue", "Queue", "."])


@given(
    st.integers(1, 9).flatmap(
        lambda count: st.tuples(
            st.lists(st.tuples(st.sets(st.integers(0, 8)), st.sets(NAMES)), min_size=count, max_size=count),
            st.lists(st.integers(1, 10), min_size=count, max_size=count),
            st.integers(1, 4),
        )
    )
)
def test_each_once_after_what_it_needs_and_none_beside_one_that_changes_the_same(made: tuple[Any, Any, int]) -> None:
    needs, priorities, at_once = made
    plan = plan_of(
        *(
            task(
                f"t{this}",
                *(f"t{other}" for other in sorted(found) if other < this),
                priority=priority,
                writes=sorted(writes),
                intent=RESTART,
            )
            for this, ((found, writes), priority) in enumerate(zip(needs, priorities, strict=True))
        )
    )
    done, running = list[str](), list[TeamTask]()

    async def perform(one: TeamTask, place: int) -> None:
        assert set(one.depends_on) <= set(done)
        assert not any(collide(one, other) for other in running)
        assert place < at_once
        running.append(one)
        assert len(running) <= at_once
        await asyncio.sleep(0)
        running.remove(one)
        done.append(one.id)

    asyncio.run(in_order(plan.tasks, perform, at_once))
    assert sorted(done) == sorted(one.id for one in plan.tasks)


def collide(one: TeamTask, other: TeamTask) -> bool:
    """By whole names, as a path says: `/srv` is above `/srv/web`."""
    pairs = [(left.lower().strip("./"), right.lower().strip("./")) for left in one.writes for right in other.writes]
    return any(f"{a}/".startswith(f"{b}/" if b else "") or f"{b}/".startswith(f"{a}/" if a else "") for a, b in pairs)


async def test_the_higher_priority_begins_first() -> None:
    order: list[str] = []

    async def perform(one: TeamTask, _place: int) -> None:
        order.append(one.id)

    await in_order(plan_of(task("a"), task("b", priority=9), task("c")).tasks, perform, 1)
    assert order == ["b", "a", "c"]


async def test_when_one_raises_the_others_are_cancelled() -> None:
    cancelled: list[str] = []

    async def perform(one: TeamTask, _place: int) -> None:
        if one.id == "b":
            raise KeyError(one.id)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(one.id)
            raise

    with pytest.raises(KeyError):
        await in_order(plan_of(task("a"), task("b"), task("c")).tasks, perform, 3)
    assert cancelled == ["a", "c"]


@given(st.integers(0, 20), st.floats(0, 60), st.text(max_size=20))
def test_a_delay_grows_by_the_base_with_chance_of_as_much_and_is_the_same_each_time(
    place: int, base_s: float, seed: str
) -> None:
    found = delay_s(place, base_s, seed)
    assert place * base_s <= found <= (place + 1) * base_s + 1e-9
    assert delay_s(place, base_s, seed) == found
