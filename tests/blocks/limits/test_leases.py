"""What every limiter does with a reservation: settle, release, extend, and the end of its lease."""

import asyncio

import pytest

from blocks.limits.limit import Limit
from blocks.limits.protocol import Limiter
from tests.blocks.limits.worlds import SOON_S, Clock, granted, limit, option, refused, used_up

REQUESTS = limit("requests", 10, window_s=60)
DAY = limit("day", 100, "calendar")
CALLS = limit("calls", 5, "concurrency")
CALL = option("call", (REQUESTS, 2), (DAY, 20), (CALLS, 1))


async def books(limiter: Limiter) -> list[tuple[int, int]]:
    """What was used and what is held, of each limit."""
    return [(one.settled, one.held) for one in await limiter.standing([REQUESTS, DAY, CALLS])]


async def test_a_reservation_is_held_until_it_is_settled(limiter: Limiter) -> None:
    call = await granted(limiter, CALL)
    assert await books(limiter) == [(0, 2), (0, 20), (0, 1)]
    await limiter.settle(call)
    assert await books(limiter) == [(2, 0), (20, 0), (0, 0)]


@pytest.mark.parametrize("used", [0, 7, 20, 33, 500])
async def test_what_was_used_counts_not_what_was_reserved(limiter: Limiter, used: int) -> None:
    call = await granted(limiter, CALL)
    await limiter.settle(call, {"day": used, "unheard of": 3})
    assert await books(limiter) == [(2, 0), (used, 0), (0, 0)]


async def test_a_released_call_used_nothing(limiter: Limiter) -> None:
    await limiter.release(await granted(limiter, CALL))
    assert await books(limiter) == [(0, 0), (0, 0), (0, 0)]


async def test_a_dead_holder_used_all_and_calls_no_more(limiter: Limiter, clock: Clock) -> None:
    await granted(limiter, CALL, lease_s=30)
    clock.tick(29)
    assert await books(limiter) == [(0, 2), (0, 20), (0, 1)]
    clock.tick(1)
    assert await books(limiter) == [(2, 0), (20, 0), (0, 0)]
    clock.tick(59)
    assert await books(limiter) == [(2, 0), (20, 0), (0, 0)]
    clock.tick(2)
    assert await books(limiter) == [(0, 0), (20, 0), (0, 0)]


async def test_what_a_dead_holder_used_leaves_a_window_after_the_end_of_its_lease(
    limiter: Limiter, clock: Clock
) -> None:
    await granted(limiter, CALL, lease_s=30)
    clock.tick(200)  # nobody asked meanwhile
    assert await books(limiter) == [(0, 0), (20, 0), (0, 0)]


@pytest.mark.parametrize(("used", "counts"), [(0, 20), (20, 20), (33, 33)])
async def test_a_settlement_after_the_lease_adds_what_is_not_counted_yet(
    limiter: Limiter, clock: Clock, used: int, counts: int
) -> None:
    call = await granted(limiter, CALL, lease_s=30)
    clock.tick(31)
    await limiter.settle(call, {"day": used})
    assert (await books(limiter))[1:] == [(counts, 0), (0, 0)]


async def test_a_call_that_ends_long_after_its_lease_is_in_the_rate_window(limiter: Limiter, clock: Clock) -> None:
    call = await granted(limiter, CALL, lease_s=30)
    clock.tick(100)  # its server may have seen it just now
    await limiter.settle(call)
    assert (await books(limiter))[0] == (2, 0)
    clock.tick(59)
    assert (await books(limiter))[0] == (2, 0)


async def test_a_release_after_the_lease_gives_nothing_back(limiter: Limiter, clock: Clock) -> None:
    call = await granted(limiter, CALL, lease_s=30)
    clock.tick(31)
    await limiter.release(call)
    assert await books(limiter) == [(2, 0), (20, 0), (0, 0)]


async def test_an_extended_lease_ends_later(limiter: Limiter, clock: Clock) -> None:
    call = await granted(limiter, CALL, lease_s=30)
    clock.tick(20)
    await limiter.extend(call, 30)
    await limiter.extend(call, 1)  # never sooner
    clock.tick(29)
    assert await books(limiter) == [(0, 2), (0, 20), (0, 1)]
    clock.tick(2)
    assert await books(limiter) == [(2, 0), (20, 0), (0, 0)]


async def test_a_lease_that_ended_stays_ended(limiter: Limiter, clock: Clock) -> None:
    call = await granted(limiter, CALL, lease_s=30)
    clock.tick(31)
    await limiter.extend(call, 30)
    assert await books(limiter) == [(2, 0), (20, 0), (0, 0)]


async def test_a_call_over_the_turn_of_the_day_counts_in_the_new_day(limiter: Limiter, clock: Clock) -> None:
    clock.tick(12 * 3600 - 10)
    call = await granted(limiter, CALL, lease_s=60)
    clock.tick(20)
    assert (await books(limiter))[1] == (0, 20)
    await limiter.settle(call)
    assert (await books(limiter))[1] == (20, 0)


@pytest.mark.parametrize(("lease_s", "counts"), [(5, 0), (30, 20)])
async def test_a_dead_holder_used_it_on_the_day_its_lease_ended(
    limiter: Limiter, clock: Clock, lease_s: float, counts: int
) -> None:
    clock.tick(12 * 3600 - 10)
    await granted(limiter, CALL, lease_s=lease_s)
    clock.tick(60)
    assert (await books(limiter))[1] == (counts, 0)


async def test_many_calls_overlap(limiter: Limiter, clock: Clock) -> None:
    many = limit("many", 1000, window_s=10)
    running = [await granted(limiter, option("call", (many, 3)), lease_s=5 + number % 7) for number in range(100)]
    for call in running[::2]:
        await limiter.settle(call, {"many": 1})
    clock.tick(4)
    (standing,) = await limiter.standing([many])
    assert (standing.settled, standing.held) == (50, 150)
    clock.tick(8)
    (standing,) = await limiter.standing([many])
    assert (standing.settled, standing.held) == (
        150,
        0,
    )  # the settled ones left; the dead ended 5 to 11 s ago, not 10 s


async def test_a_cancelled_caller_leaves_nothing_held(limiter: Limiter) -> None:
    one = limit("one", 1, "concurrency")
    asking = asyncio.ensure_future(limiter.reserve([option("call", (one, 1))]))
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    if asking.cancelled():  # the memory limiter has answered before
        async with asyncio.timeout(10):
            while (await limiter.standing([one]))[0].held:
                pass
        await granted(limiter, option("call", (one, 1)))


async def test_a_block_holds_and_a_longer_one_stands(limiter: Limiter, clock: Clock) -> None:
    await limiter.block("requests", 20)
    await limiter.block("requests", 5)
    refusal = await refused(limiter, CALL)
    assert refusal.keys == ("requests",)
    assert refusal.wait_s == pytest.approx(20)
    assert (await limiter.standing([REQUESTS]))[0].blocked_s == pytest.approx(20)
    clock.tick(19.9)
    await refused(limiter, CALL)
    clock.tick(0.1 + SOON_S)
    await granted(limiter, CALL)


async def test_a_block_stands_while_other_things_happen(limiter: Limiter, clock: Clock) -> None:
    call = await granted(limiter, CALL)
    await limiter.block("day", 3600)
    await limiter.settle(call)
    clock.tick(1800)
    assert (await refused(limiter, CALL)).keys == ("day",)
    clock.tick(1801)
    await granted(limiter, CALL)


async def test_a_learned_amount_stands_instead_of_the_configured_one(limiter: Limiter, clock: Clock) -> None:
    await limiter.learn(REQUESTS, amount=3)
    await granted(limiter, CALL)
    assert (await refused(limiter, CALL)).keys == ("requests",)
    clock.tick(10 * 86_400)
    assert (await limiter.standing([REQUESTS]))[0].amount == 3
    await limiter.learn(REQUESTS, amount=20)
    await used_up(limiter, REQUESTS, 15)


@pytest.mark.parametrize(("remaining", "used"), [(9, 2), (6, 2), (4, 4), (0, 8)])
async def test_what_others_used_of_a_limit_counts(limiter: Limiter, remaining: int, used: int) -> None:
    settled, running = await granted(limiter, CALL), await granted(limiter, CALL)
    await limiter.settle(settled)
    await limiter.learn(REQUESTS, remaining=remaining)
    assert (await books(limiter))[0] == (used, 2)
    await limiter.settle(running)
    assert (await books(limiter))[0] == (used + 2, 0)


async def test_what_others_used_leaves_the_window_too(limiter: Limiter, clock: Clock) -> None:
    await limiter.learn(REQUESTS, amount=5, remaining=0)
    wait_s = (await refused(limiter, option("call", (REQUESTS, 1)))).wait_s
    assert wait_s == pytest.approx(60, abs=1)
    clock.tick(wait_s + SOON_S)
    await granted(limiter, option("call", (REQUESTS, 5)))


async def test_a_limit_that_nobody_used_stands_empty(limiter: Limiter) -> None:
    other: Limit = limit("other", 7)
    (standing,) = await limiter.standing([other])
    assert (standing.key, standing.amount, standing.settled, standing.held, standing.blocked_s) == ("other", 7, 0, 0, 0)
