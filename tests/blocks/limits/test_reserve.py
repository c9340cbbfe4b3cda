"""What every limiter grants and refuses, and when a refused call may come again."""

import asyncio
from datetime import UTC, datetime

import pytest

from blocks.limits.limit import Limit, Refusal, Reservation
from blocks.limits.protocol import Limiter
from blocks.limits.window import POLL_S
from tests.blocks.limits.worlds import SOON_S, Clock, granted, limit, option, refused, used_up


async def test_all_charges_are_granted_or_none(limiter: Limiter) -> None:
    plenty, scarce = limit("plenty", 10), limit("scarce", 1)
    await granted(limiter, option("a", (scarce, 1)))
    assert (await refused(limiter, option("a", (plenty, 3), (scarce, 1)))).keys == ("scarce",)
    assert [standing.held for standing in await limiter.standing([plenty, scarce])] == [0, 1]


async def test_the_option_with_the_most_headroom_is_chosen(limiter: Limiter) -> None:
    a, b = limit("a", 10), limit("b", 100)
    await used_up(limiter, a, 2)
    assert (await granted(limiter, option("a", (a, 1)), option("b", (b, 1)))).option.name == "b"
    await used_up(limiter, b, 60)
    assert (await granted(limiter, option("a", (a, 1)), option("b", (b, 1)))).option.name == "a"


async def test_headroom_is_that_of_the_tightest_limit(limiter: Limiter) -> None:
    wide, tight, middle = limit("wide", 100), limit("tight", 10), limit("middle", 10)
    await used_up(limiter, tight, 6)
    await used_up(limiter, middle, 4)
    first, second = option("first", (wide, 1), (tight, 1)), option("second", (middle, 1))
    assert (await granted(limiter, first, second)).option.name == "second"


async def test_among_equal_twentieths_the_preferred_option_is_chosen(limiter: Limiter) -> None:
    a, b = limit("a", 1000), limit("b", 1000)
    await used_up(limiter, a, 40)
    assert (await granted(limiter, option("a", (a, 1)), option("b", (b, 1)))).option.name == "a"
    assert (await granted(limiter, option("b", (b, 1)), option("a", (a, 1)))).option.name == "b"
    await used_up(limiter, a, 20)
    assert (await granted(limiter, option("a", (a, 1)), option("b", (b, 1)))).option.name == "b"


async def test_in_order_takes_the_first_that_is_free(limiter: Limiter) -> None:
    a, b = limit("a", 10), limit("b", 10)
    await used_up(limiter, a, 9)
    options = option("a", (a, 1)), option("b", (b, 1))
    assert (await granted(limiter, *options, in_order=True)).option.name == "a"
    assert (await granted(limiter, *options, in_order=True)).option.name == "b"


async def test_what_was_used_leaves_a_rate_window_after_its_length(limiter: Limiter, clock: Clock) -> None:
    requests = limit("requests", 2, window_s=10)
    call = option("call", (requests, 1))
    first = await granted(limiter, call)
    clock.tick(7)  # the call takes time; the server may see it at its end
    await limiter.settle(first)
    await limiter.settle(await granted(limiter, call))
    wait_s = (await refused(limiter, call)).wait_s
    assert wait_s is not None
    assert 10 <= wait_s <= 10.2
    clock.tick(wait_s - 0.001)
    await refused(limiter, call)
    clock.tick(0.001 + SOON_S)
    await granted(limiter, call)


async def test_the_wait_is_until_enough_has_left(limiter: Limiter, clock: Clock) -> None:
    tokens = limit("tokens", 100, window_s=10)
    for amount in (30, 30, 40):
        await used_up(limiter, tokens, amount)
        clock.tick(1)
    for amount, seconds in ((20, 7), (30, 7), (31, 8), (60, 8), (61, 9), (100, 9)):
        wait_s = (await refused(limiter, option("call", (tokens, amount)))).wait_s
        assert wait_s == pytest.approx(seconds, abs=0.2)
    clock.tick((await refused(limiter, option("call", (tokens, 61)))).wait_s + SOON_S)
    await granted(limiter, option("call", (tokens, 61)))


async def test_only_calls_that_run_in_the_way_are_looked_at_again_soon(limiter: Limiter) -> None:
    requests = limit("requests", 1)
    running = await granted(limiter, option("call", (requests, 1)))
    assert await refused(limiter, option("call", (requests, 1))) == Refusal(keys=("requests",), wait_s=POLL_S)
    await limiter.release(running)
    await granted(limiter, option("call", (requests, 1)))


@pytest.mark.parametrize(
    "tokens",
    [limit("tokens", 6_500), limit("tokens", 6_500, "calendar"), limit("tokens", 6_500, "calendar", period="ever")],
    ids=["rate", "day", "ever"],
)
async def test_a_call_that_runs_may_give_room_back_at_any_moment(limiter: Limiter, tokens: Limit) -> None:
    await used_up(limiter, tokens, 1_505)
    running = await granted(limiter, option("call", (tokens, 3_000)))
    assert await refused(limiter, option("call", (tokens, 3_000))) == Refusal(keys=("tokens",), wait_s=POLL_S)
    await limiter.block("tokens", 30)
    assert (await refused(limiter, option("call", (tokens, 3_000)))).wait_s == pytest.approx(30)
    await limiter.settle(running, {"tokens": 15})
    wait_s = (await refused(limiter, option("call", (tokens, 6_000)))).wait_s
    assert wait_s is None or wait_s > 30, "what was used is in the way"


async def test_what_running_calls_give_back_is_granted(limiter: Limiter) -> None:
    tokens = limit("tokens", 6_500, "calendar")
    running = await granted(limiter, option("call", (tokens, 5_000)))
    await refused(limiter, option("call", (tokens, 3_000)))
    await limiter.settle(running, {"tokens": 15})
    await granted(limiter, option("call", (tokens, 3_000)))


async def test_concurrency_is_free_when_a_call_ends(limiter: Limiter) -> None:
    calls = limit("calls", 2, "concurrency")
    running = [await granted(limiter, option("call", (calls, 1))) for _ in range(2)]
    assert await refused(limiter, option("call", (calls, 1))) == Refusal(keys=("calls",), wait_s=POLL_S)
    await limiter.settle(running[0])
    await granted(limiter, option("call", (calls, 1)))
    await refused(limiter, option("call", (calls, 1)))


@pytest.mark.parametrize(
    ("period", "offset_h", "now", "begins_anew"),
    [
        ("hour", 0, "2026-11-21T12:34:56", "2026-11-21T13:00:00"),
        ("day", 0, "2026-11-21T23:59:59", "2026-11-22T00:00:00"),
        ("day", -8, "2026-11-21T07:30:00", "2026-11-21T08:00:00"),
        ("day", 5.75, "2026-11-21T20:00:00", "2026-11-22T18:15:00"),
        ("month", 0, "2028-02-29T10:00:00", "2028-03-01T00:00:00"),
        ("month", 0, "2027-02-01T00:00:00", "2027-03-01T00:00:00"),
        ("month", 0, "2100-02-28T23:00:00", "2100-03-01T00:00:00"),
        ("month", -8, "2027-01-01T05:00:00", "2027-01-01T08:00:00"),
        ("month", 14, "2026-12-31T10:00:00", "2027-01-31T10:00:00"),
    ],
)
async def test_a_calendar_budget_begins_anew_with_its_period(
    limiter: Limiter, clock: Clock, period: str, offset_h: float, now: str, begins_anew: str
) -> None:
    clock.now = seconds(now)
    budget = Limit(key="budget", amount=3, kind="calendar", period=period, utc_offset_s=int(offset_h * 3600))
    await used_up(limiter, budget, 2)
    refusal = await refused(limiter, option("call", (budget, 2)))
    assert refusal.wait_s == pytest.approx(seconds(begins_anew) - seconds(now), abs=SOON_S)
    clock.tick(refusal.wait_s - 0.5)
    await refused(limiter, option("call", (budget, 2)))
    clock.tick(0.5)
    await granted(limiter, option("call", (budget, 3)))


async def test_a_budget_for_ever_is_never_renewed(limiter: Limiter, clock: Clock) -> None:
    budget = limit("budget", 3, "calendar", period="ever")
    await used_up(limiter, budget, 3)
    assert await refused(limiter, option("call", (budget, 1))) == Refusal(keys=("budget",), wait_s=None)
    clock.tick(399 * 86_400)
    assert await refused(limiter, option("call", (budget, 1))) == Refusal(keys=("budget",), wait_s=None)


async def test_what_is_larger_than_its_limit_is_never_granted(limiter: Limiter) -> None:
    small, large = limit("small", 5), limit("large", 50)
    assert await refused(limiter, option("call", (large, 1), (small, 6))) == Refusal(keys=("small",), wait_s=None)
    await limiter.block("large", 30)
    call = option("small", (small, 6)), option("large", (large, 6))
    refusal = await refused(limiter, *call)
    assert refusal.keys == ("large",)
    assert refusal.wait_s == pytest.approx(30)


async def test_a_refusal_tells_of_the_option_that_is_free_soonest(limiter: Limiter, clock: Clock) -> None:
    slow, quick, day = limit("slow", 1, window_s=60), limit("quick", 1, window_s=10), limit("day", 1, "calendar")
    for one in (slow, quick, day):
        await used_up(limiter, one, 1)
    first, second = option("first", (slow, 1), (day, 1)), option("second", (quick, 1), (slow, 1))
    refusal = await refused(limiter, first, second)
    assert set(refusal.keys) == {"quick", "slow"}
    assert refusal.wait_s == pytest.approx(60, abs=1)
    clock.tick(refusal.wait_s + SOON_S)
    assert (await granted(limiter, first, second)).option.name == "second"


async def test_nothing_to_choose_from_is_refused(limiter: Limiter) -> None:
    assert await refused(limiter) == Refusal(keys=(), wait_s=None)


async def test_an_option_without_limits_is_granted(limiter: Limiter) -> None:
    free = await granted(limiter, option("free"))
    await limiter.settle(free)


async def test_a_limit_of_nothing_grants_nothing_but_nothing(limiter: Limiter) -> None:
    none = limit("none", 0)
    await granted(limiter, option("call", (none, 0)))
    assert (await refused(limiter, option("call", (none, 1)))).wait_s is None


async def test_large_amounts_are_exact(limiter: Limiter) -> None:
    money = limit("money", 2**53, "calendar", period="month")
    await used_up(limiter, money, 2**53 - 3)
    await granted(limiter, option("call", (money, 2)))
    await refused(limiter, option("call", (money, 2)))
    await granted(limiter, option("call", (money, 1)))
    (standing,) = await limiter.standing([money])
    assert (standing.settled, standing.held) == (2**53 - 3, 3)


async def test_of_twenty_callers_at_once_exactly_two_pass_a_budget_of_two(limiter: Limiter) -> None:
    budget = limit("budget", 2, "calendar")
    answers = await asyncio.gather(*(limiter.reserve([option("call", (budget, 1))]) for _ in range(20)))
    assert sum(isinstance(answer, Reservation) for answer in answers) == 2


def seconds(moment: str) -> float:
    """Seconds since 1970 of a moment in UTC."""
    return datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp()
