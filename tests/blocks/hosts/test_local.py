"""Commands on this machine."""

import asyncio
import os
from contextlib import suppress
from pathlib import Path

import pytest

from blocks.errors import BadInput, NotFound, TooLarge
from blocks.hosts.local import LocalHost

HOST = LocalHost()


async def test_words_arrive_as_they_are_and_the_environment_is_bare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN_OF_OURS", "secret")
    done = await HOST.run(["sh", "-c", 'printf "%s|" "$@"; env', "x", "a b", "$(id)", "*"], env={"MORE": "1"})
    assert done.stdout.startswith("a b|$(id)|*|")
    assert "MORE=1" in done.stdout and "TOKEN_OF_OURS" not in done.stdout


async def test_exit_codes_are_those_of_shells() -> None:
    assert (await HOST.run(["sh", "-c", "exit 3"])).exit_code == 3
    assert (await HOST.run(["no-such-program-here"])).exit_code == 127
    assert (await HOST.run(["sh", "-c", "kill -9 $$"])).exit_code == 137


async def test_what_takes_too_long_is_killed_with_its_children(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    done = await HOST.run(["sh", "-c", f"sleep 600 & echo $! > {pid}; wait"], timeout_s=0.5)
    assert done.timed_out and not done.ok
    with pytest.raises(ProcessLookupError):
        while True:  # killed; until its parent has read that, it is there
            os.kill(int(pid.read_text()), 0)
            await asyncio.sleep(0.01)


async def test_a_daemon_that_holds_the_pipes_open_is_not_waited_for() -> None:
    done = await HOST.run(["sh", "-c", "setsid sleep 20 & echo begun"], timeout_s=15)
    assert (done.exit_code, done.timed_out, done.stdout) == (0, False, "begun\n")


async def test_cancelled_commands_are_killed(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    running = asyncio.create_task(HOST.run(["sh", "-c", f"echo $$ > {pid}; exec sleep 600"]))
    while not pid.exists() or not pid.read_text():  # noqa: ASYNC110 - another process writes it
        await asyncio.sleep(0.01)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


async def test_the_end_of_a_long_output_is_kept() -> None:
    done = await HOST.run(["sh", "-c", "seq 1 1000000"])
    assert done.truncated and done.stdout.endswith("1000000\n") and len(done.stdout) <= 1_000_000


async def test_bad_commands_are_named() -> None:
    for argv in ([], [""], ["a\x00b"]):
        with pytest.raises(BadInput):
            await HOST.run(argv)
    with pytest.raises(BadInput, match="folder"):
        await HOST.run(["true"], cwd="/no/such/folder")


async def test_files(tmp_path: Path) -> None:
    path = tmp_path / "a.conf"
    await HOST.write_file(str(path), b"x = 1\n", mode=0o640)
    assert await HOST.read_file(str(path)) == b"x = 1\n" and path.stat().st_mode & 0o777 == 0o640
    with pytest.raises(TooLarge):
        await HOST.read_file(str(path), most_bytes=3)
    with pytest.raises(NotFound):
        await HOST.read_file(str(tmp_path / "none"))
    with pytest.raises(NotFound):
        await HOST.write_file(str(tmp_path / "none" / "x"), b"")
