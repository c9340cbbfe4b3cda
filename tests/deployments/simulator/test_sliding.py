"""The referee's windows are exact: held against the plainest possible count."""

from hypothesis import given
from hypothesis import strategies as st

from deployments.simulator.clock import NS
from deployments.simulator.sliding import DayCount, Running, SlidingLog

WINDOW_NS = 100
STEPS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 5)), max_size=60)
"""Nanoseconds after the one before, and an amount."""


def brute_force(uses: list[tuple[int, int]], now_ns: int) -> int:
    """What the window that ends now holds: an age of exactly the window's length is out."""
    return sum(amount for at_ns, amount in uses if 0 <= now_ns - at_ns < WINDOW_NS)


@given(STEPS)
def test_used_and_peak_are_those_of_brute_force(steps: list[tuple[int, int]]) -> None:
    log, uses, now_ns = SlidingLog(None, WINDOW_NS), list[tuple[int, int]](), 0
    for after_ns, amount in steps:
        now_ns += after_ns
        log.add(now_ns, amount)
        uses.append((now_ns, amount))
        assert log.used(now_ns) == brute_force(uses, now_ns)
    every_window = [brute_force(uses, at_ns) for at_ns in range(now_ns + WINDOW_NS)]
    assert log.peak == max(every_window, default=0)


@given(STEPS, st.integers(1, 12))
def test_what_is_let_in_never_passes_the_limit_in_any_window(steps: list[tuple[int, int]], limit: int) -> None:
    log, taken, now_ns = SlidingLog(limit, WINDOW_NS), list[tuple[int, int]](), 0
    for after_ns, amount in steps:
        now_ns += after_ns
        fits = brute_force(taken, now_ns) + amount <= limit
        assert (log.wait_ns(now_ns, amount) == 0) == fits
        if fits:
            log.add(now_ns, amount)
            taken.append((now_ns, amount))
    assert max((brute_force(taken, at_ns) for at_ns in range(now_ns + WINDOW_NS)), default=0) <= limit
    assert log.peak <= limit


@given(STEPS, st.integers(1, 12), st.integers(1, 14))
def test_the_wait_is_the_first_moment_that_it_fits(steps: list[tuple[int, int]], limit: int, amount: int) -> None:
    log, taken, now_ns = SlidingLog(limit, WINDOW_NS), list[tuple[int, int]](), 0
    for after_ns, used in steps:
        now_ns += after_ns
        if brute_force(taken, now_ns) + used <= limit:
            log.add(now_ns, used)
            taken.append((now_ns, used))
    moments = (at_ns for at_ns in range(now_ns, now_ns + WINDOW_NS + 1) if brute_force(taken, at_ns) + amount <= limit)
    first_ns = next(moments, None)
    wait_ns = log.wait_ns(now_ns, amount)
    assert wait_ns == (None if amount > limit or first_ns is None else first_ns - now_ns)


@given(STEPS)
def test_it_is_empty_when_it_says(steps: list[tuple[int, int]]) -> None:
    log, now_ns = SlidingLog(None, WINDOW_NS), 0
    for after_ns, amount in steps:
        now_ns += after_ns
        log.add(now_ns, amount)
    empty_ns = now_ns + log.empty_in_ns(now_ns)
    assert log.used(empty_ns) == 0
    if empty_ns > now_ns:
        again = SlidingLog(None, WINDOW_NS)
        now_ns = 0
        for after_ns, amount in steps:
            now_ns += after_ns
            again.add(now_ns, amount)
        assert again.used(empty_ns - 1) > 0


def test_a_day_begins_for_all_at_once_where_the_account_lives() -> None:
    day = DayCount(2, day_s=86_400, offset_s=-8 * 3600)
    evening_s, morning_s = 1_000_000 * 86_400 + 7.5 * 3600, 1_000_000 * 86_400 + 8 * 3600
    day.add(evening_s, 2)
    assert day.wait_ns(evening_s, 1) == 1800 * NS
    assert day.wait_ns(evening_s, 3) is None
    assert day.wait_ns(morning_s, 2) == 0
    assert day.used(morning_s) == 0
    assert day.peak == 2


def test_running_calls_are_full_at_the_limit() -> None:
    running = Running(2)
    running.begin()
    assert not running.is_full
    running.begin()
    assert running.is_full
    running.end()
    assert (running.now, running.peak, running.is_full) == (1, 2, False)
