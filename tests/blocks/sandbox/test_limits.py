"""What a program may use up, and what becomes of one that wants more."""

import asyncio
import os
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from blocks.sandbox import Sandbox, SandboxLimits, cgroup
from blocks.sandbox.bubblewrap import ENV, Bubblewrap
from blocks.sandbox.growth import MOST_DEEP, Growth
from blocks.sandbox.program import GO, READY
from tests.blocks.sandbox.processes import running

MIB = 1 << 20
FORKS = """
import os, signal
n = 1
try:
    while n < 200:
        if not os.fork():
            signal.pause()
        n += 1
except OSError:
    pass
print(n)
"""


async def test_processes_are_counted_to_the_last(bubblewrap: Sandbox, workspace: Path) -> None:
    done = await bubblewrap.run(["python3", "-c", FORKS], workspace=workspace, limits=SandboxLimits(processes=7))
    assert done.stdout == "7\n"


async def test_a_fork_bomb_ends_with_its_time(bubblewrap: Sandbox, workspace: Path) -> None:
    marker = f"c500-bomb-{os.getpid()}"
    bomb = f"f() {{ f | f & }}; f; sleep 60; : {marker}"
    done = await bubblewrap.run(["sh", "-c", bomb], workspace=workspace, limits=SandboxLimits(processes=20, wall_s=0.5))
    assert done.timed_out or done.exit_code
    assert not running(marker)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_processes_of_a_user_are_counted_without_control_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a user who cannot make groups
    monkeypatch.setattr(os, "geteuid", lambda: 1234)
    monkeypatch.setattr(cgroup, "base", lambda: None)
    with TemporaryDirectory() as folder:
        os.chown(folder, 1234, 1234)
        limits = SandboxLimits(processes=7)
        with Bubblewrap()._start(("python3", "-c", FORKS + "open('x', 'w')"), Path(folder), limits, ENV) as start:
            # When it runs as that user
            user = ["setpriv", "--reuid", "1234", "--regid", "1234", "--clear-groups"]
            done = subprocess.run(
                [*user, *start.argv], pass_fds=start.fds, input=GO, capture_output=True, timeout=20, check=False
            )
        # Then the kernel counts them in the namespace
        assert (done.stdout, done.stderr) == (READY + b"7\n", b"")
        assert (Path(folder) / "x").stat().st_uid == 1234


async def test_memory_is_limited(sandbox: Sandbox, workspace: Path) -> None:
    done = await sandbox.run(
        ["python3", "-c", "bytearray(300 << 20)"], workspace=workspace, limits=SandboxLimits(memory_bytes=128 * MIB)
    )
    assert done.exit_code == 1
    assert "MemoryError" in done.stderr


@pytest.mark.parametrize("folder", ["/tmp", "/dev/shm"])
async def test_folders_in_memory_are_limited(bubblewrap: Sandbox, workspace: Path, folder: str) -> None:
    limits = SandboxLimits(tmp_bytes=MIB)
    done = await bubblewrap.run(["sh", "-c", f"head -c 40M /dev/zero > {folder}/x"], workspace=workspace, limits=limits)
    assert "No space left" in done.stderr


async def test_processor_time_is_limited(bubblewrap: Sandbox, workspace: Path) -> None:
    done = await bubblewrap.run(["sh", "-c", "while :; do :; done"], workspace=workspace, limits=SandboxLimits(cpu_s=1))
    assert done.exit_code == 137
    assert not done.timed_out


async def test_a_file_is_limited(sandbox: Sandbox, workspace: Path) -> None:
    done = await sandbox.run(
        ["sh", "-c", "head -c 2M /dev/zero > big"], workspace=workspace, limits=SandboxLimits(file_bytes=MIB)
    )
    assert done.exit_code != 0
    assert (workspace / "big").stat().st_size == MIB


async def test_open_files_are_limited(sandbox: Sandbox, workspace: Path) -> None:
    script = "files = [open('/dev/null') for _ in range(99)]"
    done = await sandbox.run(["python3", "-c", script], workspace=workspace, limits=SandboxLimits(open_files=50))
    assert "Too many open files" in done.stderr


async def test_a_program_that_fills_the_disk_is_killed(sandbox: Sandbox, workspace: Path) -> None:
    filling = "i=0; while :; do head -c 200k /dev/zero > f$i; i=$((i+1)); sleep 0.01; done"
    limits = SandboxLimits(added_bytes=2 * MIB, wall_s=20)
    done = await sandbox.run(["sh", "-c", filling], workspace=workspace, limits=limits)
    assert done.killed == f"it added more than {2 * MIB} bytes to the workspace"
    assert (done.exit_code, done.timed_out) == (137, False)


def test_files_that_were_there_do_not_count(workspace: Path) -> None:
    (workspace / "old").write_bytes(b"x" * MIB)
    since = (workspace / "old").stat().st_ctime + 1
    assert Growth(str(workspace), 1000, since).fault() is None
    assert "added more than 1000" in str(Growth(str(workspace), 1000, since - 2).fault())


def test_empty_files_count(workspace: Path) -> None:
    for number in range(20):
        (workspace / str(number)).touch()
    assert Growth(str(workspace), 20 * 4096, 0).fault() is None
    assert Growth(str(workspace), 19 * 4096, 0).fault()


def test_folders_too_deep_to_be_counted_are_a_fault(workspace: Path) -> None:
    deep = workspace
    for _ in range(MOST_DEEP + 1):
        deep = deep / "d"
    deep.mkdir(parents=True)
    assert "deep" in str(Growth(str(workspace), MIB, 0).fault())


def test_a_disk_that_is_nearly_full_ends_the_run_that_filled_it(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a file without a name: it is in no folder, and only the free space tells of it
    free = iter([1000 * MIB, 200 * MIB])
    monkeypatch.setattr("blocks.sandbox.growth.free_bytes", lambda _: next(free))
    growth = Growth(str(workspace), 100 * MIB, 0)
    assert growth.fault() == f"the disk of the workspace has only {200 * MIB} bytes left"


async def test_output_over_the_limit_is_cut_and_the_program_goes_on(sandbox: Sandbox, workspace: Path) -> None:
    script = "echo first; head -c 60000 /dev/zero | tr '\\0' x; printf '\\nlast\\n'; touch done; exit 4"
    done = await sandbox.run(["sh", "-c", script], workspace=workspace, limits=SandboxLimits(output_bytes=1000))
    assert (done.exit_code, done.truncated, done.killed) == (4, True, None)
    assert done.stdout.startswith("first\nxxx") and done.stdout.endswith("xxx\nlast\n")
    assert len(done.stdout) < 1100
    assert (workspace / "done").exists()


async def test_a_flood_of_output_is_ended(sandbox: Sandbox, workspace: Path) -> None:
    done = await sandbox.run(["yes"], workspace=workspace, limits=SandboxLimits(output_bytes=1000, wall_s=30))
    assert done.exit_code == 137
    assert "bytes of output" in str(done.killed)
    assert done.truncated and not done.timed_out


async def test_both_streams_at_once_do_not_block_each_other(sandbox: Sandbox, workspace: Path) -> None:
    script = "head -c 500000 /dev/zero >&2; head -c 500000 /dev/zero; cat | wc -c >&2"
    done = await sandbox.run(["sh", "-c", script], workspace=workspace, stdin=b"x" * 500_000)
    assert (len(done.stdout), done.stderr[500_000:]) == (500_000, "500000\n")


async def test_a_program_need_not_read_what_it_is_given(sandbox: Sandbox, workspace: Path) -> None:
    assert (await sandbox.run(["true"], workspace=workspace, stdin=b"x" * 2_000_000)).exit_code == 0


async def test_many_at_once(bubblewrap: Sandbox, workspace: Path) -> None:
    runs = [bubblewrap.run(["sh", "-c", f"echo {n}; cat"], workspace=workspace, stdin=b"%d" % n) for n in range(6)]
    assert [done.stdout for done in await asyncio.gather(*runs)] == [f"{n}\n{n}" for n in range(6)]
