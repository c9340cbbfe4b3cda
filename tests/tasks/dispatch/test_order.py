"""The order of sub-tasks."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.dispatch.order import in_order
from tasks.dispatch.plan import Plan, SubTask
from tests.fakes.llm.team import planned, task


def tasks(*made: dict[str, object]) -> tuple[SubTask, ...]:
    return Plan.model_validate(planned(*made)).tasks


@given(
    st.integers(1, 12).flatmap(
        lambda count: st.tuples(
            st.lists(st.sets(st.integers(0, 11)), min_size=count, max_size=count),
            st.lists(st.integers(1, 10), min_size=count, max_size=count),
            st.integers(1, 4),
        )
    )
)
def test_each_is_done_once_after_what_it_needs_and_no_more_at_once(made: tuple[list[set[int]], list[int], int]) -> None:
    needs, priorities, at_once = made
    given_tasks = tasks(
        *(
            task(f"t{this}", *(f"t{other}" for other in sorted(found) if other < this), priority=priority)
            for this, (found, priority) in enumerate(zip(needs, priorities, strict=True))
        )
    )
    done: list[str] = []
    most = now = 0

    async def perform(one: SubTask) -> None:
        nonlocal most, now
        assert set(one.depends_on) <= set(done)
        now += 1
        most = max(most, now)
        await asyncio.sleep(0)
        now -= 1
        done.append(one.id)

    asyncio.run(in_order(given_tasks, perform, at_once))
    assert sorted(done) == sorted(one.id for one in given_tasks)
    assert most <= at_once


async def test_the_higher_priority_begins_first() -> None:
    begun: list[str] = []

    async def perform(one: SubTask) -> None:
        begun.append(one.id)

    wanted = tasks(task("low", priority=1), task("high", priority=10), task("middle"), task("other"))
    await in_order(wanted, perform, 1)
    assert begun == ["high", "middle", "other", "low"]


async def test_one_begins_while_another_that_it_does_not_need_is_in_hand() -> None:
    released = asyncio.Event()

    async def perform(one: SubTask) -> None:
        if one.id == "slow":
            await released.wait()  # set by the last of the chain: waves would wait for ever
        if one.id == "last":
            released.set()

    async with asyncio.timeout(30):
        await in_order(tasks(task("slow"), task("quick"), task("next", "quick"), task("last", "next")), perform, 8)


async def test_an_error_cancels_the_others() -> None:
    cancelled: list[str] = []

    async def perform(one: SubTask) -> None:
        if one.id == "broken":
            raise ValueError(one.id)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(one.id)
            raise

    with pytest.raises(ValueError, match="broken"):
        await in_order(tasks(task("first"), task("second"), task("broken")), perform, 8)
    assert cancelled == ["first", "second"]
