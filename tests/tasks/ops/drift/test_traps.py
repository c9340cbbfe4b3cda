"""What led drift astray once: paths written in two ways, names with blanks, hosts that are lost, stops."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from blocks.errors import BadInput, EngineUnavailable, Stopped
from blocks.hosts import Inventory, Machine
from blocks.hosts.inventory import ONLY_HERE
from blocks.hosts.local import LocalHost
from blocks.settings import settings
from blocks.store import open_store
from blocks.switches import FOLDER, Switch, open_switches
from tasks.ops.drift.correct import corrections_of, take_back
from tasks.ops.drift.declared import read_declared
from tests.fakes.recording_program import Recorder
from tests.tasks.ops.conftest import MakePerformer
from tests.tasks.ops.drift.conftest import Detect, of
from tests.tasks.ops.drift.test_files import wrote
from tests.tasks.ops.drift.test_others import RESOURCE, WEB, applied, cluster, programs

__all__ = ["applied", "programs"]


@pytest.mark.parametrize("folder", ["{}/conf.d", "{}/conf.d/", "{}//conf.d", "{}/./conf.d"])
async def test_a_declared_file_is_never_put_away(detect: Detect, tmp_path: Path, folder: str) -> None:
    kept, inner = wrote(tmp_path / "conf.d/a.conf", "a"), wrote(tmp_path / "conf.d/sub/b.conf", "b")
    files = [{"path": str(kept), "content": "a"}, {"path": f"{inner.parent}//b.conf", "content": "b"}]
    only = {"path": folder.format(tmp_path), "correct": True}
    found = await detect(of(files=files, only_declared=[only]))
    assert [(one.name, one.state) for one in found] == [(str(kept), "same"), (str(inner), "same")]
    assert kept.exists() and inner.exists()


def test_paths_that_lead_up_are_refused(tmp_path: Path) -> None:
    path = wrote(tmp_path / "d.yaml", "targets: [{name: a, files: [{path: /etc/../x}]}]\n")
    with pytest.raises(BadInput, match=r"no \.\. may be in it"):
        read_declared(path)
    path.write_text("targets: [{name: a, files: [{path: /x}, {path: /x/}]}]\n")
    with pytest.raises(BadInput, match="declared twice"):
        read_declared(path)


@pytest.mark.parametrize("kind", ["link", "file"])
async def test_what_is_no_folder_is_not_known(detect: Detect, tmp_path: Path, kind: str) -> None:
    wrote(tmp_path / "real/stray", "x")
    place = tmp_path / "place"
    place.symlink_to(tmp_path / "real") if kind == "link" else wrote(place, "x")
    (found,) = await detect(of(only_declared=[{"path": f"{place}/", "correct": True}]))
    assert found.state == "unknown" and kind in found.why and (tmp_path / "real/stray").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="the files of others belong to others")
async def test_groups_with_blanks_in_their_names_are_read(detect: Detect, programs: Path, tmp_path: Path) -> None:
    stat = programs / "stat"
    stat.write_text("#!/bin/sh\n/usr/bin/stat \"$@\" | sed -E 's/root([ :])root([ :])/root\\1domain users\\2/'\n")
    stat.chmod(0o755)
    path = wrote(tmp_path / "a", "x")
    (found,) = await detect(of(files=[{"path": str(path), "content": "x", "group": "root"}]))
    assert [(one.field, one.actual) for one in found.differences] == [("group", "domain users")]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
async def test_owners_without_names_are_told_and_kept(detect: Detect, tmp_path: Path) -> None:
    path, folder = wrote(tmp_path / "a", "old"), tmp_path / "folder"
    folder.mkdir()
    os.chown(path, 54_321, 54_322), os.chown(folder, 54_321, 54_322)
    files = [
        {"path": str(path), "content": "new", "owner": "54321", "correct": True},
        {"path": str(folder), "kind": "folder", "owner": "54321", "group": "54322"},
    ]
    found = await detect(of(files=files))
    assert (found[0].correction, found[1].state) == ("done", "same"), found
    assert (path.read_text(), path.stat().st_uid, path.stat().st_gid) == ("new", 54_321, 54_322)


async def test_only_what_is_asked_for_is_read(detect: Detect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, run, words = wrote(tmp_path / "a", "x"), LocalHost.run, list[str]()

    async def noted(host: LocalHost, argv: Any, **more: Any) -> Any:
        words.append(argv[0])
        return await run(host, argv, **more)

    monkeypatch.setattr(LocalHost, "run", noted)
    (found,) = await detect(of(files=[{"path": str(path), "mode": "0644"}]))
    assert found.state == "same" and words == ["stat"]


async def test_without_stat_nothing_is_taken_for_absent(detect: Detect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("blocks.hosts.local.PATH", "/nowhere")
    (found,) = await detect(of(files=[{"path": "/etc/passwd", "state": "absent"}]))
    assert found.state == "unknown"


async def test_ends_of_lines_are_compared_and_written_as_they_are(detect: Detect, tmp_path: Path) -> None:
    (tmp_path / "wanted").write_bytes(b"a\r\nb\r")
    path = tmp_path / "there"
    path.write_bytes(b"a\nb\n")
    state = of(files=[{"path": str(path), "content_from": "wanted", "correct": True}])
    (found,) = await detect(state)
    assert found.correction == "done" and path.read_bytes() == b"a\r\nb\r"
    (found,) = await detect(state, run_id="run-2")
    assert found.state == "same"


async def test_what_is_written_goes_through_no_link_that_is_put_there_meanwhile(
    detect: Detect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside, path, run = wrote(tmp_path / "outside", "precious"), wrote(tmp_path / "conf/a", "old"), LocalHost.run

    async def swapped(host: LocalHost, argv: Any, **more: Any) -> Any:
        if argv[0] == "dd":
            new = Path(argv[1].removeprefix("of="))
            new.unlink()
            new.symlink_to(outside)
        return await run(host, argv, **more)

    monkeypatch.setattr(LocalHost, "run", swapped)
    (found,) = await detect(of(files=[{"path": str(path), "content": "new", "correct": True}]))
    assert (found.correction, outside.read_text(), path.read_text()) == ("failed", "precious", "old")


async def test_a_link_is_not_put_back_over_what_somebody_wrote(
    detect: Detect, tmp_path: Path, make_performer: MakePerformer
) -> None:
    link = tmp_path / "link"
    link.symlink_to("/nowhere")
    await detect(of(files=[{"path": str(link), "content": "new", "correct": True}]))
    link.write_text("by a person")
    (outcome,) = await take_back(make_performer(run_id="back"), ONLY_HERE, corrections_of(open_store(), "run-1"))
    assert outcome.status == "failed" and link.read_text() == "by a person"
    link.write_text("new")
    (outcome,) = await take_back(make_performer(run_id="back-2"), ONLY_HERE, corrections_of(open_store(), "run-1"))
    assert outcome.status == "done" and link.is_symlink()


async def test_the_latest_correction_is_taken_back_first(
    detect: Detect, tmp_path: Path, make_performer: MakePerformer
) -> None:
    folders = [{"path": str(tmp_path / ("d/" * depth)), "kind": "folder", "correct": True} for depth in (1, 2, 3, 4)]
    files = [*folders, {"path": str(tmp_path / "d/d/d/d/file"), "content": "x", "correct": True}]
    assert {one.correction for one in await detect(of(files=files))} == {"done"}
    outcomes = await take_back(make_performer(run_id="back"), ONLY_HERE, corrections_of(open_store(), "run-1"))
    assert {one.status for one in outcomes} == {"done"} and not (tmp_path / "d").exists()


async def test_what_was_corrected_is_told_though_the_host_is_lost(
    detect: Detect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, run = wrote(tmp_path / "a", "old"), LocalHost.run

    async def lost(host: LocalHost, argv: Any, **more: Any) -> Any:
        if argv[0] == "dpkg-query":
            raise EngineUnavailable("the connection broke", fix="look at the network")
        return await run(host, argv, **more)

    monkeypatch.setattr(LocalHost, "run", lost)
    state = of(files=[{"path": str(path), "content": "new", "correct": True}], packages=[{"name": "bash"}])
    found = await detect(state)
    assert [(one.kind, one.state, one.correction) for one in found] == [
        ("file", "drifted", "done"),
        ("target", "unknown", ""),
    ]


async def test_a_stop_is_told_as_one_and_cuts_off_no_other_host(
    detect: Detect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    switches, run, stopped = open_switches("", settings().agents_home / FOLDER), LocalHost.run, list[Any]()
    path, whole = wrote(tmp_path / "a", "old"), tmp_path / "whole"

    async def while_it_is_stopped(host: LocalHost, argv: Any, **more: Any) -> Any:
        if host.name == "one" and not stopped:
            stopped.append(asyncio.current_task())
            switches.set(Switch(scope="agent", name="test-flow", by="ann"))
        while host.name == "two" and not (stopped and stopped[0].done()):  # noqa: ASYNC110 - its end has no event
            await asyncio.sleep(0.01)
        done = await run(host, argv, **more)
        whole.touch() if host.name == "two" else None
        return done

    monkeypatch.setattr(LocalHost, "run", while_it_is_stopped)
    inventory = Inventory([Machine(name="one"), Machine(name="two")])
    with pytest.raises(Stopped):
        await detect(of(files=[{"path": str(path), "content": "new", "correct": True}]), inventory)
    assert whole.exists() and path.read_text() == "old"


async def test_people_whose_names_hold_line_ends_are_seen(detect: Detect, programs: Path) -> None:
    Recorder(programs, "getent").says("passwd", stdout="eve:x:1001:1001:Eve\u2028:/home/eve:/bin/sh\n")
    (found,) = await detect(of(only_users=True))
    assert (found.name, found.state) == ("eve", "unexpected")


async def test_names_in_manifests_are_texts_as_in_the_cluster(detect: Detect, programs: Path, tmp_path: Path) -> None:
    services = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "tcp"}, "data": {9000: "a", True: "b"}}
    there = services | {"data": {"9000": "x", "true": "b"}}
    Recorder(programs, "kubectl").says("get", "ConfigMap", stdout=json.dumps(there))
    (found,) = await detect(cluster(tmp_path, services))
    assert [one.field for one in found.differences] == ["data.9000"]


@pytest.mark.parametrize("text", ["a: 2024-02-30\n", "? [a]\n: b\n", "- [\n", "[" * 5000])
def test_manifests_that_cannot_be_read_are_told(tmp_path: Path, text: str) -> None:
    wrote(tmp_path / "web.yaml", text)
    path = wrote(tmp_path / "d.yaml", "kubernetes: [{name: shop, manifests: [web.yaml]}]\n")
    with pytest.raises(BadInput, match=r"web\.yaml"):
        read_declared(path)


async def test_of_two_kinds_of_one_name_the_right_one_is_deleted(
    detect: Detect, programs: Path, tmp_path: Path, make_performer: MakePerformer
) -> None:
    kubectl = Recorder(programs, "kubectl")
    kubectl.says("get", stdout="")
    service = WEB | {"apiVersion": "serving.knative.dev/v1", "kind": "Service"}
    await detect(cluster(tmp_path, yaml.safe_load(yaml.safe_dump(service)), correct=True))
    await take_back(make_performer(run_id="back"), ONLY_HERE, corrections_of(open_store(), "run-1"))
    deleted = kubectl.calls[-1]["argv"]
    assert deleted[deleted.index("delete") + 1] == "Service.serving.knative.dev" and "--ignore-not-found" in deleted


async def test_a_plan_that_only_moves_is_not_no_drift(detect: Detect, applied: Path) -> None:
    moved = "moved {\n  from = terraform_data.a\n  to = terraform_data.z\n}\n"
    (applied / "main.tf").write_text(RESOURCE.format("z", "one") + RESOURCE.format("b", "one") + moved)
    (found,) = await detect({"terraform": [{"name": "net", "folder": str(applied)}]})
    assert (found.name, found.state) == (str(applied), "drifted") and found.why
