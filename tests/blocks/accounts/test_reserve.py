"""Finding an account with room: one probe at a time, a second call elsewhere, sessions that stick."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest

from blocks.accounts.account import Account, Accounts, Routing
from blocks.accounts.attempt import Attempt
from blocks.accounts.books import Books
from blocks.accounts.breaker import FAILURES
from blocks.accounts.chat import Caller, ChatRequest
from blocks.accounts.failure import Failure
from blocks.accounts.file import read_accounts
from blocks.accounts.pool import Pool
from blocks.accounts.reserve import Groups
from blocks.accounts.routes import candidates, plan
from blocks.accounts.secrets import Secrets
from blocks.errors import EngineUnavailable
from blocks.limits.sqlite import SqliteLimiter
from tests.blocks.accounts.conftest import account, asked
from tests.fakes.llm.simulated import Simulated
from tests.processes import eventually

PoolOf = Callable[[Sequence[Account]], Pool]


@pytest.fixture
async def pool_of(tmp_path: Path) -> AsyncIterator[PoolOf]:
    """Makes pools of accounts that are limited by a file, as with the settings' default; closed with the test."""
    pools: list[Pool] = []

    def made(accounts: Sequence[Account]) -> Pool:
        limiter = SqliteLimiter(tmp_path / "limits.db")
        books = Books(f"sqlite:///{tmp_path}/books.db")
        pools.append(Pool(Accounts(accounts=tuple(accounts)), limiter, books, Secrets(tmp_path)))
        return pools[-1]

    yield made
    for pool in pools:
        await pool.close()


def ways(pool: Pool, request: ChatRequest) -> Groups:
    """The ways to make a call."""
    groups = candidates(pool.routes, pool.accounts, request, Caller())
    return [[way for route in group if (way := plan(route, request, 10, ()))] for group in groups]


def half_opened(pool: Pool) -> None:
    """The account `one` has failed, and its rest is over."""
    breaker = next(route.breaker for route in pool.routes if route.key == "one/small")
    for _ in range(FAILURES):
        breaker.fail()
    ahead_s = breaker.wait_s
    breaker.clock = lambda: time.monotonic() + ahead_s


def on(simulator: Simulated, pool_of: PoolOf) -> Pool:
    return pool_of(read_accounts(simulator.accounts).accounts)


async def test_of_many_callers_one_probes(simulate, pool_of: PoolOf) -> None:
    simulator = simulate([account("one")], faults={"hang": 1.0})
    pool = on(simulator, pool_of)
    half_opened(pool)
    probe = asyncio.create_task(pool.complete(asked(), Caller(deadline_s=60)))
    others = [pool.complete(asked(), Caller(deadline_s=0.2)) for _ in range(19)]
    refused = await asyncio.gather(*others, return_exceptions=True)
    assert [type(error) for error in refused] == 19 * [EngineUnavailable]
    await eventually(lambda: simulator.books()["total"]["accepted"] == 1)
    probe.cancel()
    await asyncio.gather(probe, return_exceptions=True)


async def test_who_is_not_the_probe_goes_elsewhere(simulate, pool_of: PoolOf) -> None:
    simulator = simulate([account("one"), account("two")], accounts={"one": {"faults": {"hang": 1.0}}})
    pool = on(simulator, pool_of)
    half_opened(pool)
    calls = [asyncio.create_task(pool.complete(asked(f"{n}"), Caller(deadline_s=60))) for n in range(20)]
    ended = asyncio.as_completed(calls)
    assert {(await next(ended)).account for _ in range(19)} == {"two"}
    for call in calls:
        call.cancel()  # the probe hangs
    await asyncio.gather(*calls, return_exceptions=True)


async def test_who_comes_while_a_probe_runs_is_served_when_it_went_well(simulate, pool_of: PoolOf) -> None:
    simulator = simulate([account("one")], latency={"mean_ms": 400})
    pool = on(simulator, pool_of)
    half_opened(pool)
    probe = asyncio.create_task(pool.complete(asked("probe")))
    await eventually(lambda: simulator.books()["total"]["accepted"] == 1)
    assert (await pool.complete(asked("next"), Caller(deadline_s=30))).account == "one"
    await probe


async def test_a_slow_call_is_hedged_within_its_group_at_another_account(pool_of: PoolOf) -> None:
    both, large = account("both"), account("large")
    large = large.model_copy(update={"models": {"large": large.models["large"]}})
    easy = asked(model=None, tier="simple")
    pool = pool_of([both, large])
    groups = ways(pool, easy)
    slow = groups[0][0].route
    assert [[way.option.name for way in group] for group in groups] == [["both/small"], ["both/large", "large/large"]]
    assert await pool.reserver.reserve_now(groups, Attempt(Caller()), other_than=slow) is None
    pool = pool_of([both, large, account("third")])
    groups = ways(pool, easy)
    second = await pool.reserver.reserve_now(groups, Attempt(Caller()), other_than=groups[0][0].route)
    assert second is not None
    assert second.plan.option.name == "third/small"


async def test_a_second_account_that_does_not_work_while_the_first_is_slow_is_no_outage(pool_of: PoolOf) -> None:
    pool = pool_of([account("one"), account("two")])
    groups = ways(pool, asked())
    one, two = sorted((way.route for way in groups[0]), key=lambda route: route.key)
    pool.reserver.rest(two, 60, Failure(kind="auth", message="wrong key"))
    assert await pool.reserver.reserve_now(groups, Attempt(Caller()), other_than=one) is None
    assert pool.traffic.accounts == []
    pool.reserver.rest(one, 60, Failure(kind="auth", message="wrong key"))
    with pytest.raises(EngineUnavailable):
        await pool.reserver.reserve(groups, Attempt(Caller(deadline_s=1)))
    assert pool.traffic.accounts == ["one", "two"]


async def test_a_session_sticks_as_soon_as_the_accounts_say_so(pool_of: PoolOf) -> None:
    pool = pool_of([account(f"a{n}") for n in range(6)])
    groups = ways(pool, asked())

    async def chosen() -> str:
        granted = await pool.reserver.reserve(groups, Attempt(Caller(session="s")))
        granted.plan.route.took(0.1)  # those that were never used come first
        return granted.plan.option.name

    assert len({await chosen() for _ in range(6)}) == 6
    pool.accounts = pool.accounts.model_copy(update={"routing": Routing(sticky=True)})
    assert len({await chosen() for _ in range(6)}) == 1
