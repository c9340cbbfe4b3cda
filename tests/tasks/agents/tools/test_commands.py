"""Programs of agents in the sandbox, and what rules see of them."""

import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from blocks.errors import BadInput, NotAllowed
from blocks.sandbox import SandboxLimits
from tasks.agents.tools import commands
from tasks.agents.tools.commands.argument_paths import touched_by
from tests.tasks.agents.tools.conftest import Hand

[RUN] = commands.tools()


async def test_a_program_runs_in_the_workspace(hand: Hand, folder: Path) -> None:
    (folder / "a b.txt").write_text("x\n")
    assert await hand.use(RUN, argv=["cat", "a b.txt"]) == {"exit_code": 0, "stdout": "x\n"}


async def test_what_it_reads_writes_and_says_comes_through(hand: Hand, folder: Path) -> None:
    done = await hand.use(RUN, argv=["tee", "/dev/stderr", "out.txt"], stdin="chào")
    assert done == {"exit_code": 0, "stdout": "chào", "stderr": "chào"}
    assert (folder / "out.txt").read_text() == "chào"


async def test_a_failure_is_a_result(hand: Hand) -> None:
    assert (await hand.use(RUN, argv=["false"]))["exit_code"] == 1
    missing = await hand.use(RUN, argv=["no-such-program"])
    assert missing["exit_code"] == 127


async def test_a_program_that_takes_too_long_is_ended(hand: Hand) -> None:
    done = await hand.use(RUN, argv=["sleep", "1000"], timeout_s=1)
    assert "1 s" in done["killed"]


async def test_of_endless_output_beginning_and_end_are_kept(hand: Hand) -> None:
    done = await hand.use(RUN, argv=["seq", "1", "100000"])
    assert done["stdout"].startswith("1\n2\n") and done["stdout"].endswith("100000\n")
    assert "truncated" in done and len(done["stdout"]) < 13_000


async def test_limits_of_the_operator_hold(hand: Hand, folder: Path) -> None:
    [small] = commands.tools(SandboxLimits(file_bytes=1000))
    done = await hand.use(small, argv=["dd", "if=/dev/zero", "of=big", "bs=100000", "count=1"])
    assert done["exit_code"] != 0 and (folder / "big").stat().st_size <= 1000


async def test_no_shell_reads_the_arguments(hand: Hand, folder: Path) -> None:
    done = await hand.use(RUN, argv=["echo", "$(touch hacked); `id` * $HOME"])
    assert done["stdout"] == "$(touch hacked); `id` * $HOME\n"
    assert not (folder / "hacked").exists()


@pytest.mark.parametrize("argv", ["ls -la", "ls | wc"])
def test_a_command_line_as_text_is_refused_with_the_fix(argv: str) -> None:
    with pytest.raises(ValidationError, match="give argv as a list"):
        RUN.arguments.model_validate({"argv": argv})


@pytest.mark.parametrize(
    ("argv", "why"),
    [
        (["ls -la /"], r'write it as \["ls","-la","/"\]'),
        (["echo 'unclosed"], "quotes"),
        (["cat", "a", "|", "wc"], "only a shell"),
        (["echo", "x", ">", "a"], "only a shell"),
        (["make", "&&", "make", "test"], "only a shell"),
        ([" "], "no program"),
    ],
)
def test_what_was_meant_for_a_shell_is_refused_with_the_fix(hand: Hand, argv: list[str], why: str) -> None:
    with pytest.raises(BadInput, match=why) as caught:
        hand.touches(RUN, argv=argv)
    assert caught.value.fix


def test_unknown_fields_and_nul_are_refused() -> None:
    for arguments in ({"argv": ["ls"], "cwd": "/"}, {"argv": ["ls", "a\0b"]}, {"argv": []}):
        with pytest.raises(ValidationError):
            RUN.arguments.model_validate(arguments)


def test_rules_see_real_paths_hosts_and_argv(hand: Hand, folder: Path) -> None:
    (folder / "real").mkdir()
    (folder / "real" / "a").touch()
    (folder / "link").symlink_to("real")
    touched = hand.touches(RUN, argv=["cp", "link/a", "--target-directory=real", "new.txt"])
    assert touched.argv == ("cp", "link/a", "--target-directory=real", "new.txt")
    assert touched.writes == (str(folder / "real" / "a"), str(folder / "real"), str(folder / "new.txt"))
    reading = hand.touches(RUN, argv=["grep", "-ne", "x/y", "link/a", "-Ireal/a"])
    assert reading.writes == ()
    assert reading.reads == (str(folder / "x/y"), str(folder / "real/a"))
    wget = ["wget", "https://Example.com./x"]
    assert hand.touches(RUN, argv=wget).hosts == ()  # in bubblewrap there is no network
    assert touched_by(wget, folder, "restricted", 0).hosts == ("example.com:443",)


@pytest.mark.parametrize(
    ("argv", "path"),
    [
        (["cat", "/etc/shadow"], "/etc/shadow"),
        (["tar", "--file=/etc/shadow"], "/etc/shadow"),
        (["dd", "if=/etc/shadow"], "/etc/shadow"),
        (["grep", "-f/etc/shadow", "x"], "/etc/shadow"),
        (["curl", "-d@/etc/shadow"], "/etc/shadow"),
        (["sh", "-c", "cat '/etc/shadow'|wc"], "/etc/shadow"),
        (["cat", "//etc/./shadow"], "/etc/shadow"),
        (["cat", "/etc/../etc/shadow"], "/etc/shadow"),
    ],
)
def test_paths_outside_are_seen_however_they_are_given(hand: Hand, argv: list[str], path: str) -> None:
    assert path in hand.touches(RUN, argv=argv).reads


@pytest.mark.parametrize("path", ["../x", "sub/../../x", "link", "link/x", "--file=../x", "-f../x", "/workspace/../x"])
def test_a_way_out_of_the_workspace_is_refused(hand: Hand, folder: Path, path: str) -> None:
    (folder / "sub").mkdir()
    (folder / "link").symlink_to(folder.parent)
    with pytest.raises(NotAllowed, match="out of the workspace"):
        hand.touches(RUN, argv=["cat", path])


def test_a_path_does_not_hide_among_thousands(hand: Hand) -> None:
    with pytest.raises(BadInput, match="more than 5000 paths"):
        hand.touches(RUN, argv=["sh", "-c", " ".join(f"a/{number}" for number in range(5001)) + " /etc/shadow"])


def test_the_workspace_is_known_by_its_name_in_the_sandbox(hand: Hand, folder: Path) -> None:
    (folder / "a").touch()
    assert hand.touches(RUN, argv=["cat", "/workspace/a"]).reads == (str(folder / "a"),)


def test_the_sandbox_s_own_places_reach_nobody(hand: Hand) -> None:
    assert hand.touches(RUN, argv=["tee", "/tmp/x", "/dev/null"]).reads == ()


def test_without_a_boundary_all_paths_count_as_written(folder: Path) -> None:
    touched = touched_by(["cp", "a.txt", "/etc/motd"], folder, "restricted", 0)
    assert touched.writes == (str(folder / "a.txt"), "/etc/motd")
    assert touched_by(["tee", "/workspace/x"], folder, "restricted", 0).writes == ("/workspace/x",)


@pytest.mark.parametrize(
    "argument",
    ["=" * 50_000, "-" * 90_000, "a=" * 40_000, "http://" * 10_000, "(" * 99_999, "a" * 99_999, "." * 99_999],
)
def test_looking_through_odd_arguments_ends(hand: Hand, argument: str) -> None:
    try:
        assert hand.touches(RUN, argv=["echo", argument]).argv
    except BadInput as error:
        assert "address" in error.message


async def test_approvers_see_one_line_as_a_shell_would_quote_it(hand: Hand) -> None:
    assert await hand.preview(RUN, argv=["rm", "a b"], stdin="xy") == "rm 'a b'\nwith 2 characters on its input"


async def test_nothing_of_our_environment_is_there(hand: Hand, monkeypatch: Any) -> None:
    monkeypatch.setenv("SECRET_API_KEY", "s3cr3t")
    assert "s3cr3t" not in (await hand.use(RUN, argv=["env"]))["stdout"]


def test_a_network_counts_as_outside() -> None:
    assert [tool.outside for tool in (*commands.tools(network=True), *commands.tools())] == [True, False]


async def test_python_of_the_workspace_runs(hand: Hand, folder: Path) -> None:
    (folder / "a.py").write_text("print(6 * 7)")
    python = next((p for p in ("/usr/bin/python3",) if Path(p).exists()), None)
    if python is None:
        pytest.skip(f"no system python beside {sys.executable}")
    assert (await hand.use(RUN, argv=[python, "a.py"]))["stdout"] == "42\n"
