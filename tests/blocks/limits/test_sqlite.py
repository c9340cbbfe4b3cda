"""What only the limiter in a file has to stand: reboots, files that cannot be used, processes that hold the lock."""

import asyncio
import fcntl
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from blocks.errors import EngineUnavailable
from blocks.limits import sqlite
from blocks.limits.limit import Reservation
from blocks.limits.sqlite import SqliteLimiter
from tests.blocks.limits.worlds import SOON_S, Clock, granted, limit, option, refused, used_up

RATE = limit("rate", 5, window_s=60)
CALLS = limit("calls", 5, "concurrency")
DAY = limit("day", 10, "calendar")
ALL = [RATE, CALLS, DAY]
CALL = option("call", (RATE, 1), (CALLS, 1), (DAY, 1))

Booted = Callable[[str], SqliteLimiter]


@pytest.fixture
def uptime() -> Clock:
    """What the machine counts since it was started."""
    return Clock(500_000.0)


@pytest.fixture
def booted(tmp_path: Path, clock: Clock, uptime: Clock) -> Booted:
    """Opens the same file in a boot of that name."""
    return lambda boot: SqliteLimiter(tmp_path / "limits.db", clock=uptime, wall=clock, boot=boot)


async def books(limiter: SqliteLimiter) -> list[tuple[int, int]]:
    """What was used and what is held, of each limit."""
    return [(one.settled, one.held) for one in await limiter.standing(ALL)]


async def test_books_outlive_the_process(booted: Booted) -> None:
    before = booted("first")
    await before.settle(await granted(before, CALL))
    running = await granted(before, CALL)
    await before.close()
    after = booted("first")
    assert await books(after) == [(1, 1), (0, 1), (1, 1)]
    await after.settle(running)
    assert await books(after) == [(2, 0), (0, 0), (2, 0)]
    await after.close()


@pytest.mark.parametrize("used", [True, False], ids=["used", "held"])
async def test_a_reboot_closes_rate_windows_for_their_length(
    booted: Booted, uptime: Clock, clock: Clock, used: bool
) -> None:
    before = booted("first")
    running = await granted(before, option("call", (RATE, 1)))
    if used:
        await before.settle(running)
    await before.close()
    uptime.now = 20.0
    clock.tick(30)
    after = booted("second")
    refusal = await refused(after, option("call", (RATE, 1)))
    assert (refusal.keys, refusal.wait_s) == (("rate",), pytest.approx(60))
    await after.close()
    again = booted("second")  # closed once for a reboot, not for every process
    uptime.tick(60 + SOON_S)
    await granted(again, option("call", (RATE, 5)))
    await again.close()


async def test_a_reboot_keeps_budgets_and_counts_what_was_held(booted: Booted, uptime: Clock, clock: Clock) -> None:
    before = booted("first")
    await used_up(before, DAY, 3)
    await granted(before, option("call", (DAY, 2)))
    await before.close()
    uptime.now = 20.0
    after = booted("second")
    assert (await books(after))[2] == (5, 0)
    await granted(after, option("call", (DAY, 5)))
    await refused(after, option("call", (DAY, 1)))
    clock.tick(12 * 3600)
    await granted(after, option("call", (DAY, 5)))
    await after.close()


async def test_calls_before_a_reboot_keep_their_place_for_a_lease(booted: Booted, uptime: Clock) -> None:
    before = booted("first")
    await granted(before, option("call", (CALLS, 4)), lease_s=10_000)
    await before.close()
    uptime.now = 20.0
    after = booted("second")
    await refused(after, option("call", (CALLS, 2)))
    uptime.tick(120 + SOON_S)
    await granted(after, option("call", (CALLS, 2)))
    await after.close()


async def test_a_block_and_what_was_learned_outlive_a_reboot(booted: Booted, uptime: Clock) -> None:
    before = booted("first")
    await before.block("day", 1000)
    await before.learn(CALLS, amount=2)
    await before.close()
    uptime.now = 20.0
    after = booted("second")
    assert (await refused(after, option("call", (DAY, 1)))).wait_s == pytest.approx(1000)
    assert (await refused(after, option("call", (CALLS, 3)))).keys == ("calls",)
    await after.close()


async def test_windows_that_nobody_needs_leave_the_file(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "limits.db"
    before = SqliteLimiter(path, clock=clock, wall=clock)
    for number in range(5):
        await used_up(before, limit(f"session{number}", 5), 1)
    await used_up(before, limit("ever", 5, "calendar", period="ever"), 1)
    await granted(before, CALL, lease_s=100_000)
    await before.close()
    clock.tick(600)
    after = SqliteLimiter(path, clock=clock, wall=clock)
    assert (await books(after)) == [(0, 1), (0, 1), (0, 1)]
    await after.close()
    with sqlite3.connect(path) as database:
        assert {key for (key,) in database.execute("SELECT key FROM windows")} == {"ever", "rate", "calls", "day"}


async def test_a_process_that_stays_open_clears_the_file_too(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("blocks.limits.books.PRUNE_EVERY", 3)
    limiter = SqliteLimiter(tmp_path / "limits.db", clock=clock, wall=clock)
    for number in range(20):
        await used_up(limiter, limit(f"session{number}", 5), 1)
        clock.tick(300)
    assert await limiter.standing([DAY])
    with sqlite3.connect(tmp_path / "limits.db") as database:
        assert database.execute("SELECT count(*) FROM windows").fetchone()[0] < 5
    await limiter.close()


async def test_a_file_that_cannot_be_used_refuses_until_it_can(tmp_path: Path) -> None:
    limiter = SqliteLimiter(tmp_path / "absent" / "limits.db")
    for _ in range(2):
        with pytest.raises(EngineUnavailable, match=r"limits\.db"):
            await limiter.reserve([CALL])
    (tmp_path / "absent").mkdir()
    await granted(limiter, CALL)
    await limiter.close()


async def test_a_file_of_something_else_refuses(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a database " * 100)
    limiter = SqliteLimiter(tmp_path / "notes.txt")
    with pytest.raises(EngineUnavailable, match="not a database"):
        await limiter.reserve([CALL])
    await limiter.close()
    assert (tmp_path / "notes.txt").read_text().startswith("not a database")


async def test_a_lock_that_is_not_let_go_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "PATIENCE_S", 0.3)
    limiter = SqliteLimiter(tmp_path / "limits.db")
    await granted(limiter, CALL)
    with (tmp_path / "limits.db.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(EngineUnavailable, match="locked"):
            await limiter.reserve([CALL])
        with pytest.raises(EngineUnavailable, match="locked"):
            await limiter.reserve([CALL])
    monkeypatch.undo()
    (standing,) = await limiter.standing([CALLS])
    assert standing.held <= 2, "who gave up in the queue asks for nothing afterwards"
    await limiter.close()


async def test_who_gave_up_behind_a_lock_holds_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "PATIENCE_S", 0.3)
    limiter = SqliteLimiter(tmp_path / "limits.db")
    await limiter.standing(ALL)
    with (tmp_path / "limits.db.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        refused = await asyncio.gather(*(limiter.reserve([CALL]) for _ in range(5)), return_exceptions=True)
    assert [type(error) for error in refused] == 5 * [EngineUnavailable]
    monkeypatch.undo()
    assert await books(limiter) == 3 * [(0, 0)]
    await limiter.close()


async def test_what_the_cancelled_hold_is_given_back_before_the_end(booted: Booted) -> None:
    for _ in range(10):
        limiter = booted("first")
        asking = [asyncio.ensure_future(limiter.reserve([CALL])) for _ in range(100)]
        await asyncio.sleep(0)
        for one in asking:
            one.cancel()
        await limiter.close()
        assert all(one.cancelled() for one in asking)
    after = booted("first")
    assert await books(after) == 3 * [(0, 0)]
    await after.close()


async def test_all_that_was_asked_is_answered_before_the_end(tmp_path: Path) -> None:
    limiter = SqliteLimiter(tmp_path / "limits.db")
    hundred = limit("hundred", 100)
    asking = [asyncio.ensure_future(limiter.reserve([option("call", (hundred, 1))])) for _ in range(300)]
    await asyncio.sleep(0)
    await limiter.close()
    answers = await asyncio.gather(*asking)
    assert sum(isinstance(answer, Reservation) for answer in answers) == 100
