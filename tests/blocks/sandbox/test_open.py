"""Which sandbox is opened, what programs can be given, and what is refused before anything runs."""

import os
import platform
from pathlib import Path

import pytest

from blocks.errors import BadInput, NotAllowed, NotFound, Unsupported
from blocks.sandbox import Sandbox, cgroup, launch, open_sandbox, seccomp
from blocks.sandbox.cgroup import Base, Group


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process that has tried nothing yet."""
    monkeypatch.setattr("blocks.sandbox._bubblewrap", open_sandbox.__globals__["_bubblewrap"].__wrapped__)


@pytest.mark.usefixtures("fresh")
def test_without_bubblewrap_nothing_that_needs_a_boundary_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(launch, "SYSTEM_PATH", str(tmp_path))
    with pytest.raises(Unsupported, match="needs the program"):
        open_sandbox("bubblewrap")
    assert open_sandbox("restricted").name == "restricted"


@pytest.mark.usefixtures("fresh")
def test_a_refusal_of_the_kernel_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "bwrap").write_text("#!/bin/sh\necho 'bwrap: setting up uid map: Permission denied' >&2; exit 1\n")
    (tmp_path / "bwrap").chmod(0o755)
    monkeypatch.setattr(launch, "SYSTEM_PATH", f"{tmp_path}:{launch.SYSTEM_PATH}")
    with pytest.raises(Unsupported, match="setting up uid map: Permission denied"):
        open_sandbox("bubblewrap")


@pytest.mark.usefixtures("fresh")
def test_root_without_control_groups_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(cgroup, "base", lambda: None)
    with pytest.raises(Unsupported, match="control group"):
        open_sandbox("bubblewrap")


def test_a_machine_without_a_table_of_calls_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(Unsupported, match="riscv64"):
        seccomp.seccomp_filter.__wrapped__()


def test_the_better_sandbox_is_taken(bubblewrap: Sandbox) -> None:
    assert open_sandbox("restricted").name == "bubblewrap"


async def test_more_folders_can_be_read_where_they_lie(bubblewrap: Sandbox, workspace: Path, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "table").write_text("1")
    done = await open_sandbox("bubblewrap", readable=[tools]).run(
        ["sh", "-c", f"cat {tools}/table; touch {tools}/x"], workspace=workspace
    )
    assert done.stdout == "1"
    assert not (tools / "x").exists()


@pytest.mark.parametrize("argv", [[], [""], "ls", ["a\0b"], ["ls", "a\0b"], ["A=1", "ls"]])
async def test_what_is_no_program_is_refused(sandbox: Sandbox, workspace: Path, argv: list[str]) -> None:
    with pytest.raises(BadInput):
        await sandbox.run(argv, workspace=workspace)


@pytest.mark.parametrize("env", [{"A=B": "x"}, {"": "x"}, {"1A": "x"}, {"-u": "x"}, {"A": "x\0y"}])
async def test_what_is_no_variable_is_refused(sandbox: Sandbox, workspace: Path, env: dict[str, str]) -> None:
    with pytest.raises(BadInput):
        await sandbox.run(["env"], workspace=workspace, env=env)


@pytest.mark.parametrize("argument", ["$(id)", "; id", "`id`", "| id", "*", "a\nb", "'", '"', "-n", "ｉｄ", "$PATH"])
async def test_no_shell_reads_the_arguments(sandbox: Sandbox, workspace: Path, argument: str) -> None:
    done = await sandbox.run(["printf", "%s|", argument, "end"], workspace=workspace)
    assert done.stdout == f"{argument}|end|"


async def test_a_program_that_is_not_there_is_told_as_shells_do(bubblewrap: Sandbox, workspace: Path) -> None:
    (workspace / "data").write_text("x")
    assert (await bubblewrap.run(["no-such-program"], workspace=workspace)).exit_code == 127
    assert (await bubblewrap.run(["./data"], workspace=workspace)).exit_code == 126


async def test_a_missing_workspace_is_told(sandbox: Sandbox, workspace: Path) -> None:
    with pytest.raises(NotFound):
        await sandbox.run(["true"], workspace=workspace / "none")


async def test_everything_is_no_workspace(sandbox: Sandbox) -> None:
    with pytest.raises(BadInput):
        await sandbox.run(["true"], workspace=Path("/"))


async def test_the_restricted_one_keeps_our_environment_to_us(
    restricted: Sandbox, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "s3cret")
    done = await restricted.run(["env"], workspace=workspace, env={"MINE": "yes"})
    assert set(done.stdout.split()) == {
        "MINE=yes", "PATH=/usr/local/bin:/usr/bin:/bin", f"HOME={workspace}", "LANG=C.UTF-8"
    }  # fmt: skip


@pytest.mark.parametrize("program", ["./mine", "mine", "/workspace/mine", "../../bin/../tmp/x", "/root/x"])
async def test_the_restricted_one_runs_programs_of_the_system_only(
    restricted: Sandbox, workspace: Path, program: str
) -> None:
    (workspace / "mine").write_text("#!/bin/sh\n")
    (workspace / "mine").chmod(0o755)
    with pytest.raises(NotAllowed):
        await restricted.run([program], workspace=workspace)


async def test_the_restricted_one_does_not_promise_what_it_cannot_keep(restricted: Sandbox, workspace: Path) -> None:
    with pytest.raises(Unsupported):
        await restricted.run(["true"], workspace=workspace, writable=False)


@pytest.fixture
def unified(tmp_path: Path) -> Path:
    """A machine with control groups of version 2, as /proc and /sys/fs/cgroup show it: we are in `app/ours`."""
    groups = tmp_path / "cgroup"
    (groups / "app" / "ours").mkdir(parents=True)
    for folder, handed in ((groups, "cpu pids memory"), (groups / "app", "memory pids"), (groups / "app" / "ours", "")):
        (folder / "cgroup.subtree_control").write_text(handed)
    proc = tmp_path / "proc" / "self"
    proc.mkdir(parents=True)
    (proc / "cgroup").write_text("0::/app/ours\n")
    (proc / "mountinfo").write_text(f"30 24 0:26 / {groups} rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n")
    return tmp_path


def test_groups_of_version_2_are_made_where_the_limits_are_handed_on(unified: Path) -> None:
    found = list(cgroup._bases(unified / "proc"))
    assert found == [Base(unified / "cgroup" / "app", unified=True, memory=True)]
    group = Group.made(found[0], processes=9, memory_bytes=1 << 20)
    assert (group.folder / "pids.max").read_text() == "9"
    assert (group.folder / "memory.max").read_text() == str(1 << 20)


def test_a_group_of_version_1_is_found_within_a_container(tmp_path: Path) -> None:
    proc = tmp_path / "self"
    proc.mkdir()
    (proc / "cgroup").write_text("8:pids:/docker/abc/app\n3:cpu,cpuacct:/docker/abc\n0::/\n")
    (proc / "mountinfo").write_text("40 24 0:30 /docker/abc /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n")
    assert list(cgroup._bases(tmp_path)) == [Base(Path("/sys/fs/cgroup/pids/app"), unified=False, memory=False)]


def test_groups_of_the_living_are_not_swept() -> None:
    base = cgroup.base()
    if base is None:
        pytest.skip("no control groups can be made here")
    group = Group.made(base, processes=5, memory_bytes=1 << 20)
    cgroup._sweep(base)
    assert group.folder.exists()
    group.remove()
    assert not group.folder.exists()
