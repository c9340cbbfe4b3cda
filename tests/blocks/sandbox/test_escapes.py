"""What a program in bubblewrap cannot reach."""

import shlex
import socket
from pathlib import Path

import pytest

from blocks.sandbox import Completed, Sandbox


async def shell(sandbox: Sandbox, workspace: Path, script: str, *, writable: bool = True) -> Completed:
    return await sandbox.run(["sh", "-c", script], workspace=workspace, writable=writable)


async def python(sandbox: Sandbox, workspace: Path, script: str) -> Completed:
    return await sandbox.run(["python3", "-c", script], workspace=workspace)


async def test_a_program_works_in_its_workspace(bubblewrap: Sandbox, workspace: Path) -> None:
    (workspace / "in.txt").write_text("chào\n")
    done = await shell(bubblewrap, workspace, "cat in.txt; pwd; echo ok > out.txt; echo bad >&2; exit 3")
    assert (done.exit_code, done.stdout, done.stderr) == (3, "chào\n/workspace\n", "bad\n")
    assert (done.sandbox, done.killed, done.timed_out, done.truncated) == ("bubblewrap", None, False, False)
    assert (workspace / "out.txt").read_text() == "ok\n"


@pytest.mark.parametrize("path", ["/etc/shadow", "/root", "/home", "/var", "/proc/1/root/etc/shadow", "/sys", "/run"])
async def test_the_rest_of_the_machine_is_not_there(bubblewrap: Sandbox, workspace: Path, path: str) -> None:
    assert (await shell(bubblewrap, workspace, f"ls -d {path}")).exit_code != 0


async def test_a_link_out_of_the_workspace_leads_nowhere(bubblewrap: Sandbox, workspace: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s3cret")
    (workspace / "link").symlink_to(tmp_path / "secret")
    done = await shell(bubblewrap, workspace, "cat link; cat ../secret; cat /workspace/../secret")
    assert "s3cret" not in done.stdout
    assert done.exit_code != 0


@pytest.mark.parametrize("path", ["/usr/x", "/etc/x", "/x", "/dev/x", "/usr/bin/sh", "/proc/self/oom_score_adj"])
async def test_the_system_cannot_be_written(bubblewrap: Sandbox, workspace: Path, path: str) -> None:
    done = await shell(bubblewrap, workspace, f"(echo x > {path}) 2>&1")
    assert done.exit_code != 0
    assert "Read-only" in done.stdout


async def test_settings_of_the_kernel_cannot_be_opened_for_writing(bubblewrap: Sandbox, workspace: Path) -> None:
    # As root, bubblewrap alone leaves this open, and what is written there runs on the host. Nothing is written here.
    done = await shell(bubblewrap, workspace, "(: >> /proc/sys/kernel/core_pattern) 2>&1")
    assert done.exit_code != 0


async def test_devices_of_the_host_cannot_be_taken_from_others(bubblewrap: Sandbox, workspace: Path) -> None:
    mode = oct(Path("/dev/null").stat().st_mode & 0o777)[2:]
    done = await shell(bubblewrap, workspace, f"chmod {mode} /dev/null; echo $?; echo x > /dev/null && echo works")
    assert done.stdout == "1\nworks\n"


async def test_processes_of_the_host_are_not_seen(bubblewrap: Sandbox, workspace: Path) -> None:
    done = await shell(bubblewrap, workspace, "cat /proc/[0-9]*/cmdline | tr '\\0' ' '; echo; echo /proc/[0-9]*")
    assert "pytest" not in done.stdout
    assert len(done.stdout.splitlines()[-1].split()) <= 5


async def test_nothing_of_our_environment_gets_in(
    bubblewrap: Sandbox, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "s3cret")
    done = await bubblewrap.run(
        ["sh", "-c", "env; cat /proc/*/environ | tr '\\0' '\\n'"], workspace=workspace, env={"MINE": "yes"}
    )
    assert "MINE=yes" in done.stdout
    assert "s3cret" not in done.stdout
    assert "/root" not in done.stdout
    assert str(Path.cwd()) not in done.stdout


async def test_no_open_file_gets_in(bubblewrap: Sandbox, workspace: Path) -> None:
    done = await python(bubblewrap, workspace, "import os; print(sorted(os.listdir('/proc/self/fd')))")
    assert done.stdout == "['0', '1', '2', '3']\n"  # the last is the listing itself


async def test_a_variable_cannot_lift_the_limits(bubblewrap: Sandbox, workspace: Path) -> None:
    # A library that is loaded into the program which sets the limits could leave them out.
    done = await bubblewrap.run(
        ["sh", "-c", "ulimit -n"], workspace=workspace, env={"LD_PRELOAD": "/workspace/none.so", "PATH": "/bin"}
    )
    assert done.stdout == "256\n"
    assert done.stderr.count("none.so") == 1  # of the program alone


async def test_the_network_of_the_host_cannot_be_reached(bubblewrap: Sandbox, workspace: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as abstract:
        port, name = server.getsockname()[1], f"c500-test-{server.getsockname()[1]}"
        abstract.bind(f"\0{name}")
        abstract.listen()
        script = f"""
import socket
def tried(family, place):
    try:
        socket.socket(family).connect(place)
        print("connected")
    except OSError as error:
        print(error.strerror)
tried(socket.AF_INET, ("127.0.0.1", {port}))
tried(socket.AF_UNIX, "\\0{name}")
tried(socket.AF_INET, ("192.0.2.1", 80))
"""
        done = await python(bubblewrap, workspace, script)
    assert done.stdout.splitlines() == ["Connection refused", "Connection refused", "Network is unreachable"]


async def test_it_has_no_rights_and_gets_none(bubblewrap: Sandbox, workspace: Path) -> None:
    done = await shell(bubblewrap, workspace, "id -u; grep -E 'Cap|NoNew|Seccomp:' /proc/self/status")
    uid, *lines = done.stdout.splitlines()
    facts = dict(line.split(":\t") for line in lines)
    assert uid == "65534"
    assert facts.pop("NoNewPrivs") == "1"
    assert facts.pop("Seccomp") == "2"
    assert set(facts.values()) == {"0" * 16}


@pytest.mark.parametrize("command", ["unshare --user true", "unshare --mount true", "mount -t tmpfs x /tmp", "su"])
async def test_new_rights_are_refused(bubblewrap: Sandbox, workspace: Path, command: str) -> None:
    assert (await bubblewrap.run(shlex.split(command), workspace=workspace)).exit_code != 0


async def test_no_namespace_of_users_is_made_within(bubblewrap: Sandbox, workspace: Path) -> None:
    # Within one, a program has all rights over what it makes there, and more of the kernel to try.
    script = """
import ctypes, os, platform
libc = ctypes.CDLL(None, use_errno=True)
number, new_user, child_ended = {"x86_64": 56, "aarch64": 220}[platform.machine()], 0x10000000, 17
child = libc.syscall(number, new_user | child_ended, 0, 0, 0, 0)
if child == 0:
    os._exit(0)
print(child)
"""
    assert (await python(bubblewrap, workspace, script)).stdout == "-1\n"


async def test_no_file_gets_the_rights_of_its_owner(bubblewrap: Sandbox, workspace: Path) -> None:
    # On the host the file would be ours, and run with our rights for everyone who can reach it.
    script = """
import os
def tried(call, *arguments):
    try:
        call(*arguments)
        print("done")
    except OSError as error:
        print(error.strerror)
handle = os.open("x", os.O_CREAT | os.O_WRONLY, 0o755)
tried(os.chmod, "x", 0o4755)
tried(os.fchmod, handle, 0o2755)
tried(os.open, "y", os.O_CREAT | os.O_WRONLY, 0o4755)
tried(os.mknod, "z", 0o100000 | 0o4755)
tried(os.chmod, "x", 0o700)
"""
    done = await python(bubblewrap, workspace, script)
    assert done.stdout.splitlines() == ["Operation not permitted"] * 4 + ["done"]
    assert [(path.name, path.stat().st_mode & 0o7777) for path in workspace.iterdir()] == [("x", 0o700)]


async def test_keys_of_the_kernel_are_refused(bubblewrap: Sandbox, workspace: Path) -> None:
    script = """
import ctypes, os, platform
libc = ctypes.CDLL(None, use_errno=True)
number = {"x86_64": 250, "aarch64": 219}[platform.machine()]
print(libc.syscall(number, 0, -3, 1), os.strerror(ctypes.get_errno()))
"""
    assert (await python(bubblewrap, workspace, script)).stdout == "-1 Operation not permitted\n"


async def test_it_has_no_terminal(bubblewrap: Sandbox, workspace: Path) -> None:
    done = await shell(bubblewrap, workspace, "(: < /dev/tty) 2>&1")
    assert done.exit_code != 0
    assert "No such device" in done.stdout


async def test_a_workspace_for_reading_cannot_be_written(bubblewrap: Sandbox, workspace: Path) -> None:
    (workspace / "old").write_text("old")
    done = await shell(bubblewrap, workspace, "touch new; echo x > old; rm old", writable=False)
    assert done.exit_code != 0
    assert [path.name for path in workspace.iterdir()] == ["old"]
    assert (workspace / "old").read_text() == "old"


async def test_what_git_runs_and_what_was_deleted_cannot_be_written(bubblewrap: Sandbox, workspace: Path) -> None:
    (workspace / ".git" / "hooks").mkdir(parents=True)
    (workspace / ".git" / "config").write_text("[core]\n")
    (workspace / ".trash").mkdir()
    script = """
import os
def tried(call, *arguments):
    try:
        call(*arguments)
    except OSError:
        print("refused")
for path in (".git/hooks/pre-commit", ".git/config", ".trash/x"):
    tried(open, path, "w")
for path in (".git/hooks", ".git/config", ".git", ".trash"):
    tried(os.rename, path, "away")
tried(os.unlink, ".git/config")
open(".git/HEAD", "w")
"""
    done = await python(bubblewrap, workspace, script)
    assert done.stdout == "refused\n" * 8
    assert sorted(path.name for path in workspace.iterdir()) == [".git", ".trash"]
    assert sorted(path.name for path in (workspace / ".git").iterdir()) == ["HEAD", "config", "hooks"]
    assert not list((workspace / ".git" / "hooks").iterdir()) and not list((workspace / ".trash").iterdir())
    assert (workspace / ".git" / "config").read_text() == "[core]\n"


async def test_what_git_runs_is_kept_in_repositories_of_folders_too(bubblewrap: Sandbox, workspace: Path) -> None:
    for place in ("one", "group/two"):
        (workspace / place / ".git" / "hooks").mkdir(parents=True)
        (workspace / place / ".git" / "config").write_text("[core]\n")
    script = """
for place in ("one", "group/two"):
    for name in ("hooks/pre-commit", "config", "HEAD"):
        try:
            open(f"{place}/.git/{name}", "a")
            print("written", place, name)
        except OSError:
            pass
"""
    done = await python(bubblewrap, workspace, script)
    assert done.stdout.splitlines() == ["written one HEAD", "written group/two HEAD"]


async def test_many_folders_and_repositories_do_not_keep_a_program_from_starting(
    bubblewrap: Sandbox, workspace: Path
) -> None:
    for number in range(30):
        (workspace / f"{number:03}" / ".git" / "hooks").mkdir(parents=True)
    script = """
import os
refused = 0
for number in range(30):
    try:
        open(f"{number:03}/.git/hooks/x", "w")
    except OSError:
        refused += 1
print(refused, sorted(os.listdir("/proc/self/fd")))
"""
    done = await python(bubblewrap, workspace, script)
    assert done.stdout == "20 ['0', '1', '2', '3']\n"


async def test_a_folder_that_is_a_link_is_not_looked_into(bubblewrap: Sandbox, workspace: Path, tmp_path: Path) -> None:
    (tmp_path / "outside" / ".git").mkdir(parents=True)
    (tmp_path / "outside" / ".git" / "config").write_text("s3cret")
    (workspace / "link").symlink_to(tmp_path / "outside")
    done = await shell(bubblewrap, workspace, "cat link/.git/config; ls -R")
    assert "s3cret" not in done.stdout


async def test_links_in_place_of_what_is_kept_are_not_followed(
    bubblewrap: Sandbox, workspace: Path, tmp_path: Path
) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "config").write_text("s3cret")
    (workspace / ".git").symlink_to(tmp_path / "outside")
    (workspace / ".trash").symlink_to(tmp_path / "outside")
    done = await shell(bubblewrap, workspace, "cat .git/config .trash/config; ls -R")
    assert "s3cret" not in done.stdout
