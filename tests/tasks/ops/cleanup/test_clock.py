"""Nothing goes by a clock that was set."""

from pathlib import Path

import pytest

from blocks.store import open_store
from tasks.ops.cleanup.clock import Clock, ClockJumped, Witness, keep_witness, read_witness
from tests.tasks.ops.cleanup.conftest import DAY_S, MakeCleanup, logs_tree, make_file, names


class Clocks:
    """A clock that is set by hand, and one that counts."""

    def __init__(self) -> None:
        self.wall_s, self.boot_s = 1_800_000_000.0, 1000.0

    def clock(self) -> Clock:
        return Clock(wall=lambda: self.wall_s, boot=lambda: self.boot_s)

    def tick(self, seconds: float) -> None:
        self.wall_s += seconds
        self.boot_s += seconds


def test_a_clock_that_runs_is_trusted() -> None:
    clocks = Clocks()
    clock = clocks.clock()
    clocks.tick(3 * DAY_S)
    clock.check()
    clocks.clock().compare(clock.began)


@pytest.mark.parametrize("jump_s", [120, -120, 400 * DAY_S])
def test_a_clock_that_is_set_meanwhile_is_told(jump_s: float) -> None:
    clocks = Clocks()
    clock = clocks.clock()
    clocks.wall_s += jump_s
    with pytest.raises(ClockJumped, match="set by"):
        clock.check()


def test_a_clock_that_was_set_ahead_since_the_latest_cleanup_is_told() -> None:
    clocks = Clocks()
    earlier = clocks.clock().began
    clocks.tick(DAY_S)
    clocks.wall_s += DAY_S
    with pytest.raises(ClockJumped, match="set ahead by 86400 s"):
        clocks.clock().compare(earlier)


def test_set_back_is_harmless_and_another_start_of_the_machine_tells_nothing() -> None:
    clocks = Clocks()
    earlier = clocks.clock().began
    clocks.wall_s -= DAY_S
    clocks.clock().compare(earlier)
    clocks.wall_s += 40 * DAY_S
    clocks.clock().compare(Witness(wall_s=earlier.wall_s, boot_s=earlier.boot_s, boot_id="another"))
    clocks.clock().compare(None)


def test_what_the_clock_said_is_remembered() -> None:
    clock = Clock()
    keep_witness(open_store(), clock)
    assert read_witness(open_store()) == clock.began


async def test_a_cleanup_ends_when_the_clock_is_set(root: Path, make_cleanup: MakeCleanup) -> None:
    """At the third look at the clock: what went before that was old by the right one."""
    clocks, looks = Clocks(), iter(range(1000))

    def wall() -> float:
        return clocks.wall_s + (0 if next(looks) < 3 else 9 * DAY_S)

    for number in range(5):
        make_file(root / f"{number}.log")
    with pytest.raises(ClockJumped):
        await make_cleanup(Clock(wall=wall, boot=lambda: clocks.boot_s)).clean(logs_tree(root))
    assert len(names(root)) >= 3
