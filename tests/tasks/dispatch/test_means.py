"""What a request may use: time and money, shared by all its calls."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from blocks.accounts.account import Price, Quota
from blocks.accounts.chat import ChatRequest
from blocks.accounts.open import open_pool
from blocks.errors import BudgetExceeded, EngineUnavailable, LimitReached, TimedOut
from blocks.settings import settings
from tasks.dispatch.budget import WORKER_SHARE
from tasks.dispatch.means import Means
from tasks.dispatch.request import DispatchOptions
from tests.fakes.llm.team import Held, Team, member, team

ASKED = ChatRequest(messages=({"role": "user", "content": "Sub-task a: A\nDo."},), max_output_tokens=1000)
ONE_CALL_USD = 0.008
"""The most a call of 1000 tokens costs here, but for its prompt, which is free."""
ACCOUNT = member("only", price=Price(input_usd=0, output_usd=8))


@asynccontextmanager
async def means(
    accounts_file: Path,
    says: Any = "ok",
    gate: Any = None,
    accounts: Any = (ACCOUNT,),
    behaviour: Any = None,
    **options: Any,
) -> AsyncIterator[tuple[Means, Team]]:
    async with team(accounts_file, {"a": says}, accounts, gate, **(behaviour or {})) as models, open_pool() as pool:
        yield Means(pool, "id", DispatchOptions(**options), "id"), models


@asynccontextmanager
async def later(**options: Any) -> AsyncIterator[Means]:
    """The same request, by another process."""
    async with open_pool() as pool:
        yield Means(pool, "id", DispatchOptions(**options), "id")


@pytest.fixture
def accounts_file(tmp_path: Path) -> Path:
    """Where the settings look for accounts."""
    return tmp_path / "accounts.yaml"


async def test_of_20_callers_at_once_two_pass_a_budget_of_two_calls(accounts_file: Path) -> None:
    # Every answer uses all 1000 tokens, so that nothing of what was held is left over.
    async with means(accounts_file, "x" * 8000, budget_usd=2 * ONE_CALL_USD) as (mine, models):
        ended = await asyncio.gather(*(mine.complete(ASKED, "coordinator") for _ in range(20)), return_exceptions=True)
        assert len(models.answered) == 2
        assert models.total()["cost_units"] == 2 * ONE_CALL_USD * 1e9
    assert sum(isinstance(one, BudgetExceeded) for one in ended) == 18
    assert mine.spent.cost_usd == 2 * ONE_CALL_USD


async def test_what_a_call_leaves_over_lets_the_next_ones_pass(accounts_file: Path) -> None:
    async with means(accounts_file, "short", budget_usd=1.5 * ONE_CALL_USD) as (mine, models):
        await asyncio.gather(*(mine.complete(ASKED, "coordinator") for _ in range(10)))
        assert len(models.answered) == 10


async def test_workers_leave_a_part_of_the_budget_to_the_coordinator(accounts_file: Path) -> None:
    async with means(accounts_file, "x" * 8000, budget_usd=5 * ONE_CALL_USD) as (mine, _):
        for _ in range(4):
            await mine.complete(ASKED, "worker")
        assert WORKER_SHARE == 0.8
        with pytest.raises(BudgetExceeded, match="20% are kept for merging"):
            await mine.complete(ASKED, "worker")
        await mine.complete(ASKED, "coordinator")
        with pytest.raises(BudgetExceeded):
            await mine.complete(ASKED, "coordinator")


async def test_what_another_process_spent_counts(accounts_file: Path) -> None:
    async with means(accounts_file, "x" * 8000, budget_usd=2 * ONE_CALL_USD) as (mine, _):
        await mine.complete(ASKED, "coordinator")
        async with later(budget_usd=2 * ONE_CALL_USD) as other:
            await other.complete(ASKED, "coordinator")
            with pytest.raises(BudgetExceeded):
                await other.complete(ASKED, "coordinator")
            anew = Means(other.pool, "id", DispatchOptions(budget_usd=ONE_CALL_USD), "id/another")
            await anew.complete(ASKED, "coordinator")


async def test_what_was_spent_without_a_budget_counts_under_a_later_one(accounts_file: Path) -> None:
    async with means(accounts_file, "x" * 8000) as (mine, _):
        await mine.complete(ASKED, "coordinator")
        async with later(budget_usd=1.5 * ONE_CALL_USD) as other:
            with pytest.raises(BudgetExceeded, match="of the request's"):
                await other.complete(ASKED, "coordinator")


async def test_redis_that_knows_no_purse_asks_the_books_for_this_request_alone(
    accounts_file: Path, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    this, other = f"this-{uuid4().hex}", f"other-{uuid4().hex}"
    budget = DispatchOptions(budget_usd=2 * ONE_CALL_USD)
    async with means(accounts_file, "x" * 8000) as (mine, _):
        for one in (this, other, other):
            await Means(mine.pool, one, budget, one).complete(ASKED, "coordinator")
        await asyncio.to_thread(mine.pool.books.flush)
    monkeypatch.setenv("LIMITER_URL", redis_url)
    settings.cache_clear()
    async with means(accounts_file, "x" * 8000) as (mine, models):
        after = Means(mine.pool, this, budget, this)
        await after.complete(ASKED, "coordinator")
        with pytest.raises(BudgetExceeded):
            await after.complete(ASKED, "coordinator")
        await Means(mine.pool, this, budget, f"{this}/anew").complete(ASKED, "coordinator")
        assert len(models.answered) == 2


async def test_each_time_that_a_call_is_sent_counts(accounts_file: Path) -> None:
    resets = {"faults": {"reset_after": 1.0}}
    async with means(accounts_file, behaviour=resets, budget_usd=1.5 * ONE_CALL_USD) as (mine, models):
        with pytest.raises(BudgetExceeded):
            await mine.complete(ASKED, "coordinator")
        assert models.total()["calls"] == 1
        assert models.total()["cost_units"] <= 1.5 * ONE_CALL_USD * 1e9
        async with later(budget_usd=1.5 * ONE_CALL_USD) as after:
            with pytest.raises(BudgetExceeded):
                await after.complete(ASKED, "coordinator")


async def test_calls_that_no_model_answered_cost_nothing(accounts_file: Path) -> None:
    busy = member("busy", price=Price(input_usd=0, output_usd=8)).model_copy(update={"quota": Quota(concurrency=1)})
    gate = Held("a")
    async with means(accounts_file, "short", gate, (busy,), budget_usd=2.5 * ONE_CALL_USD) as (mine, models):
        running = asyncio.create_task(mine.complete(ASKED, "coordinator"))
        await models.until("a")
        async with later(budget_usd=2.5 * ONE_CALL_USD, deadline_s=0.3) as hasty:
            with pytest.raises((TimedOut, LimitReached)):
                await hasty.complete(ASKED, "coordinator")
        gate.opened.set()
        await running
        models.simulator.change(faults={"out_of_quota": 1.0})
        for _ in range(3):  # the first is refused by the provider, the others are not sent
            with pytest.raises(EngineUnavailable):
                await mine.complete(ASKED, "coordinator")
        models.simulator.change(faults={})
        async with later(budget_usd=2.5 * ONE_CALL_USD) as after:
            await after.complete(ASKED, "coordinator")
        assert len(models.answered) == 2


async def test_a_call_that_was_given_up_counts_in_full(accounts_file: Path) -> None:
    async with means(accounts_file, gate=Held("a"), budget_usd=1.5 * ONE_CALL_USD, deadline_s=1) as (mine, _):
        with pytest.raises(TimedOut):
            await mine.complete(ASKED, "coordinator")
        async with later(budget_usd=1.5 * ONE_CALL_USD) as after:
            with pytest.raises(BudgetExceeded):
                await after.complete(ASKED, "coordinator")


async def test_a_request_whose_time_is_up_asks_nobody(accounts_file: Path) -> None:
    async with means(accounts_file, deadline_s=0.001) as (mine, models):
        await asyncio.sleep(0.01)
        with pytest.raises(TimedOut):
            await mine.complete(ASKED, "coordinator")
        assert not models.arrived


async def test_workers_end_before_the_deadline_and_waiting_for_the_user_does_not_count(accounts_file: Path) -> None:
    async with means(accounts_file, deadline_s=100) as (mine, _):
        mine.begin_work()
        worker, coordinator = mine.left_s("worker"), mine.left_s()
        assert worker is not None
        assert coordinator is not None
        assert worker <= WORKER_SHARE * 100 < coordinator
        with mine.clock_stopped():
            await asyncio.sleep(0.5)
            before = mine.left_s()
        after = mine.left_s()
        assert before is not None
        assert after is not None
        assert after > before


async def test_a_step_that_waits_for_something_else_is_cut_off(accounts_file: Path) -> None:
    async with means(accounts_file, deadline_s=0.01) as (mine, _):
        with pytest.raises(TimedOut):
            await mine.in_time(asyncio.Event().wait())
