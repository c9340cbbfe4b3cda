"""What led healing astray once: links, hosts that are lost, stops, runs that go on."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from blocks.errors import EngineUnavailable, Stopped
from blocks.hosts import Inventory, Machine
from blocks.hosts.local import LocalHost
from blocks.settings import settings
from blocks.switches import FOLDER, Switch, open_switches
from tasks.ops.disk.findings import Looking
from tasks.ops.disk.rules import Place
from tasks.ops.disk.usage import filesystem_of, usage_of
from tests.fakes.recording_program import Recorder
from tests.tasks.ops.disk.conftest import MB, Heal, fill, removing


async def test_a_link_to_a_folder_is_on_the_disk_to_which_it_leads(heal: Heal, disk: Path, tmp_path: Path) -> None:
    fill(disk / "cache/a", 40 * MB)
    link = tmp_path / "link"
    link.symlink_to(disk / "cache")
    action = removing(disk / "cache", when={"finding": "linked"}) | {"place": str(link)}
    rules = {"filesystems": [str(link)], "findings": [{"name": "linked", "paths": [str(link)]}]}
    (healed,) = await heal(action, rules=rules)
    assert (healed.status, healed.mount) == ("healed", str(disk)), healed
    assert healed.steps[0].expected_bytes == pytest.approx(40 * MB, rel=0.01)


async def test_what_was_done_is_told_though_the_host_is_lost(
    heal: Heal, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(disk / "cache/a", 10 * MB), fill(disk / "work/b", 35 * MB)
    run, is_gone = LocalHost.run, False

    async def lost(host: LocalHost, argv: Sequence[str], **more: Any) -> Any:
        nonlocal is_gone
        if is_gone:
            raise EngineUnavailable("the connection broke", fix="look at the network")
        done = await run(host, argv, **more)
        is_gone = argv[:2] == ("stat", "-f") and not (disk / "cache/a").exists()
        return done

    monkeypatch.setattr(LocalHost, "run", lost)
    (found,) = await heal(removing(disk / "cache"), removing(disk / "work"))
    assert (found.status, found.why) == ("unknown", "the connection broke") and found.before and found.findings
    assert [(one.action, one.status) for one in found.steps] == [("cache", "done")]


async def test_an_action_that_was_lost_is_in_doubt_where_it_must_not_be_repeated(
    heal: Heal, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(disk / "cache/a", 40 * MB)
    run = LocalHost.run

    async def lost(host: LocalHost, argv: Sequence[str], **more: Any) -> Any:
        if argv[-1] == "-delete":
            raise EngineUnavailable("the connection broke", fix="look at the network")
        return await run(host, argv, **more)

    monkeypatch.setattr(LocalHost, "run", lost)
    (found,) = await heal(removing(disk / "cache", repeatable=False))
    assert (found.status, found.steps[0].status) == ("exhausted", "in_doubt")


async def test_a_run_that_goes_on_tells_all_that_was_done(heal: Heal, disk: Path) -> None:
    for name in ("cache", "other", "old"):
        fill(disk / name / "a", 15 * MB)
    actions = [
        removing(disk / "cache"),
        removing(disk / "other", when={"used_percent_above": 99}),
        removing(disk / "old"),
    ]
    (first,) = await heal(*actions, rules={"target_percent": 40})
    assert [one.status for one in first.steps] == ["done", "skipped", "done"]
    (again,) = await heal(*actions, rules={"target_percent": 40})
    assert [one for one in first.steps if one.status == "done"] == list(again.steps) and again.status == "healed"
    assert (disk / "other/a").exists()


async def test_a_stop_is_told_as_one(heal: Heal, disk: Path) -> None:
    fill(disk / "cache/a", 40 * MB)
    open_switches("", settings().agents_home / FOLDER).set(Switch(scope="agent", name="test-flow", by="ann"))
    with pytest.raises(Stopped):
        await heal(removing(disk / "cache"), inventory=Inventory([Machine(name="one"), Machine(name="two")]))
    assert (disk / "cache/a").exists()


@pytest.mark.parametrize("told", ["no JSON", "null", '{"Kind": "Images"}'])
async def test_what_docker_says_stops_no_healing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: str) -> None:
    docker = Recorder(tmp_path, "docker")
    docker.says("info", stdout=f"{tmp_path}\n")
    docker.says("df", stdout=f"{told}\n")
    monkeypatch.setattr("blocks.hosts.local.PATH", f"{tmp_path}:/usr/bin:/bin")
    looking = await looking_at(str(tmp_path))
    assert await looking._docker() is None and "docker" in looking.gaps[0]


async def test_a_place_that_we_are_not_let_into_is_a_gap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looking = await looking_at(str(tmp_path))
    places = [Place(name="gone", paths=(f"{tmp_path}/none",)), Place(name="shut", paths=("/shut",))]
    assert await looking._place(places[0]) is None and looking.gaps == []
    Recorder(tmp_path, "stat").says("/shut", stderr="stat: cannot statx '/shut': Permission denied\n", code=1)
    monkeypatch.setattr("blocks.hosts.local.PATH", f"{tmp_path}:/usr/bin:/bin")
    assert await looking._place(places[1]) is None
    assert looking.gaps == ["shut: stat: cannot statx '/shut': Permission denied"]


async def looking_at(place: str) -> Looking:
    host = LocalHost()
    on = await filesystem_of(host, place)
    assert on is not None
    return Looking(host, on, await usage_of(host, place), 60, become=False)
