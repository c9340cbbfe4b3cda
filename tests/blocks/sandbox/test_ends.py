"""Nothing of a run is left, however it ends."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from secrets import randbelow

import pytest

from blocks.errors import BadInput, EngineFailed
from blocks.sandbox import Sandbox, SandboxLimits, cgroup, launch
from blocks.sandbox.bubblewrap import Bubblewrap
from tests.blocks.sandbox.processes import running
from tests.processes import eventually, until


def lingering(marker: str) -> str:
    """Starts processes that stay behind, told by how long they would."""
    return f"sleep {marker} & setsid sleep {marker} & nohup sleep {marker} & touch started; "


CALLER = """
import asyncio, sys
from pathlib import Path
from blocks.sandbox import open_sandbox
sandbox = open_sandbox("bubblewrap")
asyncio.run(sandbox.run(["sh", "-c", sys.argv[1]], workspace=Path(sys.argv[2])))
"""


@pytest.fixture
def marker() -> str:
    return str(10**9 + randbelow(10**9))


def handles() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture
def ending(sandbox: Sandbox) -> Sandbox:
    """A sandbox that ends what leaves its group of processes, too."""
    if sandbox.name == "restricted" and not cgroup.base():
        pytest.skip("without control groups, the restricted sandbox ends its group of processes only")
    return sandbox


async def test_what_runs_on_behind_a_program_ends_with_it(ending: Sandbox, workspace: Path, marker: str) -> None:
    done = await ending.run(
        ["sh", "-c", f"sh -c '{lingering(marker)} wait' & {lingering(marker)} exit 5"], workspace=workspace
    )
    assert done.exit_code == 5
    assert not running(marker)


async def test_a_run_out_of_time_is_ended_whole(ending: Sandbox, workspace: Path, marker: str) -> None:
    script = f"trap '' TERM INT HUP; {lingering(marker)} echo so far; wait"
    done = await ending.run(["sh", "-c", script], workspace=workspace, limits=SandboxLimits(wall_s=1))
    assert (done.exit_code, done.timed_out, done.killed) == (137, True, "it took longer than 1 s")
    assert done.stdout == "so far\n"
    assert not running(marker)


async def test_a_cancelled_run_is_ended_whole(ending: Sandbox, workspace: Path, marker: str) -> None:
    before = handles()
    run = asyncio.create_task(ending.run(["sh", "-c", f"{lingering(marker)} wait"], workspace=workspace))
    await eventually((workspace / "started").exists)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert not running(marker)
    assert handles() == before


async def test_a_cancelled_program_is_killed_though_the_loop_is_busy_with_others(
    sandbox: Sandbox, workspace: Path, marker: str
) -> None:
    run = asyncio.create_task(sandbox.run(["sh", "-c", f"touch started; exec sleep {marker}"], workspace=workspace))
    await eventually(lambda: (workspace / "started").exists() and running(marker))
    run.cancel()
    await asyncio.sleep(0)  # one turn, in which it hears of it; then the loop turns no more
    until(lambda: not running(marker))  # which holds the loop
    with pytest.raises(asyncio.CancelledError):
        await run


@pytest.mark.parametrize("turns", [1, 2, 3, 5, 8])
async def test_a_run_cancelled_as_it_comes_up_never_begins(
    sandbox: Sandbox, workspace: Path, marker: str, turns: int
) -> None:
    run = asyncio.create_task(sandbox.run(["sh", "-c", f"touch begun; sleep {marker}"], workspace=workspace))
    for _ in range(turns):
        await asyncio.sleep(0)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    until(lambda: not running(marker))


def test_a_killed_caller_leaves_nothing(bubblewrap: Sandbox, workspace: Path, marker: str) -> None:
    script = f"{lingering(marker)} wait"
    caller = subprocess.Popen([sys.executable, "-c", CALLER, script, str(workspace)])
    try:
        until((workspace / "started").exists)
        assert running(marker)
    finally:
        caller.send_signal(signal.SIGKILL)
        caller.wait()
    until(lambda: not running(marker))
    if base := cgroup.base():
        cgroup._sweep(base)
        assert not list(base.folder.glob(f"{cgroup.PREFIX}-*-{caller.pid}-*"))


def test_a_program_whose_caller_died_before_it_was_bound_to_it_does_not_start(workspace: Path) -> None:
    script = ["sh", "-c", launch.ENTER, "sh", str(os.getpid() + 1), "", "touch", str(workspace / "begun")]
    assert subprocess.run(script, check=False).returncode == 125
    assert not (workspace / "begun").exists()


def test_a_program_whose_caller_died_before_it_said_go_does_not_start(workspace: Path) -> None:
    script = ["sh", "-c", launch.GATE, "sh", "touch", str(workspace / "begun")]
    done = subprocess.run(script, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (125, b"ready\n")
    assert not (workspace / "begun").exists()


async def test_runs_leave_no_handle_and_no_group(sandbox: Sandbox, workspace: Path) -> None:
    await sandbox.run(["true"], workspace=workspace)
    before = handles()
    for _ in range(3):
        await sandbox.run(["true"], workspace=workspace)
    assert handles() == before
    if base := cgroup.base():
        assert not list(base.folder.glob(f"{cgroup.PREFIX}-*-{os.getpid()}-*"))


async def test_a_signal_is_told_as_shells_do(sandbox: Sandbox, workspace: Path) -> None:
    done = await sandbox.run(["sh", "-c", "kill -TERM $$"], workspace=workspace)
    assert (done.exit_code, done.killed) == (143, None)


async def test_output_that_is_no_text_is_replaced(sandbox: Sandbox, workspace: Path) -> None:
    assert (await sandbox.run(["printf", "a\\377b"], workspace=workspace)).stdout == "a\N{REPLACEMENT CHARACTER}b"


async def test_a_sandbox_that_does_not_come_up_is_told_with_its_reason(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "bin"
    broken.mkdir()
    (broken / "bwrap").write_text("#!/bin/sh\necho bwrap: No permissions >&2; exit 1\n")
    (broken / "bwrap").chmod(0o755)
    monkeypatch.setattr(launch, "SYSTEM_PATH", f"{broken}:{launch.SYSTEM_PATH}")
    with pytest.raises(EngineFailed, match="bwrap: No permissions"):
        await Bubblewrap().run(["true"], workspace=workspace)


async def test_arguments_too_long_for_the_system_are_told(sandbox: Sandbox, workspace: Path) -> None:
    with pytest.raises(BadInput, match="Argument list too long"):
        await sandbox.run(["true", "x" * 300_000], workspace=workspace)
