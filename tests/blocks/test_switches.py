"""Stop switches: whatever is set stops, whoever cannot tell stops too."""

import asyncio
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from blocks.errors import BadInput, StoreFailed
from blocks.switches import FileSwitches, Run, Scope, Switch, Switches, open_switches, watch
from blocks.switches.redis import RedisSwitches
from tests.databases import redis_server
from tests.processes import eventually, free_port

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
REASON = "it deploys again and again – стоп"


@pytest.fixture(params=["files", "redis", "both"])
def switches(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Switches]:
    """Switches of each kind, none of them set."""
    if request.param == "files":
        yield FileSwitches(tmp_path / "switches")
        return
    url: str = request.getfixturevalue("redis_url")
    Redis.from_url(url).flushdb()
    yield RedisSwitches(url) if request.param == "redis" else open_switches(url, tmp_path / "switches")
    Redis.from_url(url).flushdb()


def stop_of(scope: Scope, name: str = "") -> Switch:
    return Switch(scope=scope, name=name, by="ann", at=AT, reason=REASON)


@pytest.mark.parametrize(("scope", "name"), [("all", ""), ("agent", "ops"), ("run", "8a0f33c1")])
async def test_a_switch_stops_whom_it_names_and_says_who_set_it_when_and_why(
    switches: Switches, scope: Scope, name: str
) -> None:
    assert await switches.stopped("ops", "8a0f33c1") is None
    switches.set(stop_of(scope, name))
    assert await switches.stopped("ops", "8a0f33c1") == stop_of(scope, name)
    other = await switches.stopped("other", "00000000")
    assert (other is not None) == (scope == "all")
    assert switches.list() == (stop_of(scope, name),)


async def test_what_is_cleared_stops_nobody_and_is_given_back(switches: Switches) -> None:
    switches.set(stop_of("agent", "ops"))
    assert switches.clear("agent", "ops") == stop_of("agent", "ops")
    assert switches.clear("agent", "ops") is None
    assert await switches.stopped("ops", "1") is None
    assert switches.list() == ()


async def test_the_widest_stop_is_the_one_that_is_named(switches: Switches) -> None:
    for scope, name in (("run", "1"), ("agent", "ops"), ("all", "")):
        switches.set(stop_of(scope, name))
    assert await switches.stopped("ops", "1") == stop_of("all")
    switches.clear("all")
    assert await switches.stopped("ops", "1") == stop_of("agent", "ops")


async def test_one_look_tells_of_many_runs(switches: Switches) -> None:
    switches.set(stop_of("agent", "ops"))
    switches.set(stop_of("run", "3"))
    runs: list[Run] = [("ops", "1"), ("other", "2"), ("other", "3")]
    assert await switches.look(runs) == {runs[0]: stop_of("agent", "ops"), runs[2]: stop_of("run", "3")}


@pytest.mark.parametrize("name", ["", "..", ".hidden", "a/b", "../all", "a b", "ä", "a\n", "a" * 129, "-x"])
async def test_a_name_that_could_mean_another_place_is_refused(switches: Switches, name: str) -> None:
    with pytest.raises(BadInput):
        switches.set(stop_of("agent", name))
    with pytest.raises(BadInput):
        switches.clear("run", name)
    with pytest.raises(BadInput):
        await switches.stopped(name, "1")
    with pytest.raises(BadInput):
        await switches.stopped("ops", name)


def made_by_hand(folder: Path, what: str) -> None:
    path = folder / "agent" / "ops"
    match what:
        case "folder":
            path.mkdir()
        case "fifo":
            os.mkfifo(path)
        case "link to nothing":
            path.symlink_to(folder / "nothing")
        case "device":
            path.symlink_to("/dev/zero")
        case _:
            path.write_bytes(what.encode("latin-1"))


@pytest.mark.parametrize(
    "what",
    [
        *("", "0", "false", "{", '{"scope": "run"}', '{"scope": "all", "reason": "x", "surprise": 1}'),
        *("\xff\xfe\x00", "[" * 100_000, "folder", "fifo", "link to nothing", "device"),
    ],
)
async def test_whatever_lies_under_the_name_stops(tmp_path: Path, what: str) -> None:
    switches = FileSwitches(tmp_path)
    made_by_hand(tmp_path, what)
    found = await switches.stopped("ops", "1")
    assert found is not None
    assert (found.scope, found.name, found.away) == ("agent", "ops", False)
    assert found.at is not None
    assert found.by
    assert [one.name for one in switches.list()] == ["ops"]


async def test_a_file_cannot_say_that_it_stops_somebody_else(tmp_path: Path) -> None:
    switches = FileSwitches(tmp_path)
    lie = Switch(scope="agent", name="x", by="ann", at=AT, away=True)
    (tmp_path / "run" / "1").write_text(lie.model_dump_json())
    assert await switches.stopped("ops", "1") == Switch(scope="run", name="1", by="ann", at=AT)


async def test_files_that_name_nobody_stop_nobody(tmp_path: Path) -> None:
    switches = FileSwitches(tmp_path)
    for name in (".ops.0123", "ops~", "ops.bak"):
        (tmp_path / "agent" / name).touch()
    (tmp_path / "all.txt").touch()
    assert await switches.stopped("ops", "1") is None
    assert [one.name for one in switches.list()] == ["ops.bak"]


async def test_a_folder_that_went_away_stops_all(tmp_path: Path) -> None:
    switches = FileSwitches(tmp_path / "mounted")
    shutil.rmtree(tmp_path / "mounted")
    found = await switches.stopped("ops", "1")
    assert found is not None
    assert (found.scope, found.away) == ("all", True)
    assert "mounted" in found.reason


async def test_a_folder_that_cannot_be_looked_into_stops_all(tmp_path: Path) -> None:
    switches = FileSwitches(tmp_path)
    (tmp_path / "agent").rmdir()
    (tmp_path / "agent").touch()
    found = await switches.stopped("ops", "1")
    assert found is not None
    assert found.away
    with pytest.raises(StoreFailed):
        switches.list()
    with pytest.raises(StoreFailed):
        switches.set(stop_of("agent", "ops"))


async def test_a_stop_is_set_also_where_the_folder_for_it_was_removed(tmp_path: Path) -> None:
    switches = FileSwitches(tmp_path)
    (tmp_path / "agent").rmdir()
    assert await switches.stopped("ops", "1") is None
    switches.set(stop_of("agent", "ops"))
    assert await switches.stopped("ops", "1") == stop_of("agent", "ops")


def test_the_folder_is_for_its_owner_alone(tmp_path: Path) -> None:
    FileSwitches(tmp_path / "home" / "switches").set(stop_of("run", "1"))
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "home").rglob("*")}
    assert modes == {"switches": 0o700, "agent": 0o700, "run": 0o700, "1": 0o600}


@pytest.mark.parametrize("command", ["SET {} 1", "SET {} 0", "SET {} ''", "SADD {} x", "RPUSH {} x", "SETBIT {} 7 1"])
async def test_any_redis_key_of_the_name_stops(redis_url: str, command: str) -> None:
    redis = Redis.from_url(redis_url)
    redis.flushdb()
    redis.execute_command(
        *(b"\xff" if part == "''" else part for part in command.format("kill_switch:agent:ops").split())
    )
    switches = RedisSwitches(redis_url)
    found = await switches.stopped("ops", "1")
    assert found == Switch(scope="agent", name="ops", by="redis") == switches.list()[0]
    assert switches.clear("agent", "ops") == found
    assert await switches.stopped("ops", "1") is None
    await switches.close()


async def test_keys_that_name_nobody_are_not_listed(redis_url: str) -> None:
    redis = Redis.from_url(redis_url)
    redis.flushdb()
    redis.mset({"kill_switch:": 1, "kill_switch:agent": 1, "kill_switch:all:x": 1, "kill_switch:flow:x": 1})
    switches = RedisSwitches(redis_url)
    assert switches.list() == ()
    assert await switches.stopped("agent", "1") is None
    await switches.close()


async def test_a_redis_that_does_not_answer_stops_all_and_one_that_does_again_stops_none(tmp_path: Path) -> None:
    with redis_server() as server:
        switches = RedisSwitches(server.url)
        assert await switches.stopped("ops", "1") is None
        with server.frozen():
            frozen = await switches.stopped("ops", "1")
        assert await switches.stopped("ops", "1") is None
        server.kill()
        gone = await switches.stopped("ops", "1")
        await switches.close()
    assert frozen and gone
    assert frozen.away and gone.away


async def test_a_stop_while_redis_is_away_holds_on_this_machine_and_is_told(tmp_path: Path) -> None:
    switches = open_switches(f"redis://127.0.0.1:{free_port()}/0", tmp_path)
    with pytest.raises(StoreFailed, match="this machine only"):
        switches.set(stop_of("all"))
    assert await FileSwitches(tmp_path).stopped("ops", "1") == stop_of("all")
    assert await switches.stopped("ops", "1") == stop_of("all")


async def test_a_file_stops_beside_redis_and_clearing_clears_both(redis_url: str, tmp_path: Path) -> None:
    Redis.from_url(redis_url).flushdb()
    switches = open_switches(redis_url, tmp_path)
    (tmp_path / "all").touch()
    switches.set(stop_of("all").model_copy(update={"paused": ("agents",)}))
    assert [one.paused for one in switches.list()] == [("agents",)]
    cleared = switches.clear("all")
    assert cleared is not None
    assert cleared.paused == ("agents",)
    assert await switches.stopped("ops", "1") is None


@pytest.mark.parametrize("url", ["http://x", "sqlite:///x", "redis://:secret@host:port/0"])
def test_a_url_of_no_redis_is_refused_without_its_secret(url: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput) as refused:
        open_switches(url, tmp_path)
    assert "secret" not in refused.value.message


def test_switches_work_in_one_event_loop_after_the_other(redis_url: str) -> None:
    Redis.from_url(redis_url).flushdb()
    switches = RedisSwitches(redis_url)

    async def look_twice() -> None:
        assert await switches.stopped("ops", "1") is None
        assert await switches.stopped("ops", "1") is None
        await switches.close()

    asyncio.run(look_twice())
    asyncio.run(look_twice())


class Counting:
    """Switches that count the looks, and may fail."""

    def __init__(self, folder: Path) -> None:
        self.files, self.looks, self.error = FileSwitches(folder), list[set[Run]](), None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.files, name)

    async def look(self, runs: Any) -> Any:
        self.looks.append(set(runs))
        if self.error:
            raise self.error
        return await self.files.look(runs)


async def ended(tasks: "list[asyncio.Task[Switch]]") -> None:
    for task in tasks:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_all_runs_of_a_process_share_the_looks(tmp_path: Path) -> None:
    switches: Any = Counting(tmp_path)
    waiting = [asyncio.create_task(watch(switches, "ops", str(number))) for number in range(50)]
    await eventually(lambda: len(switches.looks) >= 3)
    assert switches.looks[-1] == {("ops", str(number)) for number in range(50)}
    switches.files.set(stop_of("agent", "ops"))
    assert await asyncio.gather(*waiting) == [stop_of("agent", "ops")] * 50


async def test_only_the_run_that_is_stopped_stops_waiting(tmp_path: Path) -> None:
    switches = FileSwitches(tmp_path)
    first, second = (asyncio.create_task(watch(switches, "ops", run_id)) for run_id in ("1", "2"))
    await asyncio.sleep(0)
    switches.set(stop_of("run", "1"))
    assert await first == stop_of("run", "1")
    assert not second.done()
    await ended([second])


async def test_a_stop_of_the_run_it_works_for_stops_it(tmp_path: Path) -> None:
    switches = FileSwitches(tmp_path)
    child = asyncio.create_task(watch(switches, "ops", "child", parents=["parent"]))
    await asyncio.sleep(0)
    switches.set(stop_of("run", "parent"))
    assert await child == stop_of("run", "parent")


async def test_nobody_looks_when_nobody_waits(tmp_path: Path) -> None:
    switches: Any = Counting(tmp_path)
    for _ in range(3):
        task = asyncio.create_task(watch(switches, "ops", "1"))
        await asyncio.sleep(0.01)
        await ended([task])
    looks = len(switches.looks)
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    await asyncio.gather(*others)
    assert len(switches.looks) == looks


async def test_those_who_wait_hear_of_a_failure_of_the_looks_and_the_next_are_watched_again(tmp_path: Path) -> None:
    switches: Any = Counting(tmp_path)
    switches.error = RuntimeError("a bug")
    with pytest.raises(RuntimeError, match="a bug"):
        await watch(switches, "ops", "1")
    switches.error = None
    switches.files.set(stop_of("all"))
    assert await watch(switches, "ops", "1") == stop_of("all")


async def test_a_wrong_name_fails_alone(tmp_path: Path) -> None:
    switches = FileSwitches(tmp_path)
    waiting = asyncio.create_task(watch(switches, "ops", "1"))
    with pytest.raises(BadInput):
        await watch(switches, "ops", "../x")
    switches.set(stop_of("all"))
    assert await waiting == stop_of("all")


def test_a_switch_reads_as_a_sentence() -> None:
    assert str(stop_of("agent", "ops")) == f"agent ops stopped by ann at 2026-03-01 12:00:00 UTC: {REASON}"
    assert str(Switch(scope="all")) == "all agents stopped"


def test_what_is_kept_is_json_for_people(tmp_path: Path) -> None:
    FileSwitches(tmp_path).set(stop_of("all"))
    kept = json.loads((tmp_path / "all").read_text())
    assert (kept["by"], kept["reason"], kept["at"]) == ("ann", REASON, "2026-03-01T12:00:00Z")
