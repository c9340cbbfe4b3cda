"""The time at work of a run holds over its attempts."""

import asyncio
from pathlib import Path

import pytest

from tasks.agents.active import active_before, keeping_time
from tasks.agents.guarded import GuardedRun
from tasks.agents.kept import Kept
from tests.fakes.deployed import until


def run_at(clock: list[float], used_s: float = 0.0) -> GuardedRun:
    return GuardedRun(agent="ops", run_id="r1", used_s=used_s, clock=lambda: clock[0])


async def test_time_is_kept_while_a_tool_takes_long(tmp_path: Path) -> None:
    kept, clock = Kept(tmp_path), [0.0]
    run = run_at(clock)

    async def is_kept() -> bool:
        return active_before(kept) == 600.0

    async with keeping_time(run, kept, every_s=0.01):
        clock[0] = 600.0
        await asyncio.wait_for(until(is_kept), 20)


async def test_the_next_attempt_goes_on_from_there_also_when_this_one_failed(tmp_path: Path) -> None:
    kept, clock = Kept(tmp_path), [0.0]
    for attempt in (1, 2):
        run = run_at(clock, active_before(kept))
        with pytest.raises(RuntimeError, match="broken"):
            async with keeping_time(run, kept):
                clock[0] += 7.0
                raise RuntimeError("broken")
        assert active_before(kept) == 7.0 * attempt


async def test_a_disk_that_is_full_ends_no_run(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    async with keeping_time(run_at([0.0]), Kept(folder)):
        pass
    assert not folder.exists()
