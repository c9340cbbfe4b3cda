"""Downloads bring what is there, within their caps, and nothing elsewhere."""

import hashlib
import json
import subprocess
import sys
import unicodedata
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import PlainTextResponse, StreamingResponse

from blocks.errors import BadInput, EngineFailed, EngineUnavailable
from blocks.iiagent.download import DownloadLimits, download
from blocks.iiagent.downloaded import Manifest
from blocks.iiagent.named import listed
from blocks.iiagent.rest import AgentRest
from blocks.iiagent.server import AgentServer
from blocks.iiagent.workspace import MountedWorkspace, ServerWorkspace
from tests.blocks.iiagent.files import served
from tests.fakes.iiagent.hostile import HOSTILE_NAMES
from tests.fakes.serving import serve

KIB = 1024


def manifest_of(into: Path) -> Manifest:
    return Manifest.model_validate_json((into / "manifest.json").read_bytes())


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def reasons(into: Path) -> dict[str, str]:
    return {refusal.name: refusal.reason for refusal in manifest_of(into).refused}


async def test_files_come_whole_with_a_manifest(tmp_path: Path) -> None:
    async with served() as at:
        at.put("output.csv", "a,b\n")
        at.put("out/báo cáo #1 50%.md", "xin chào")
        names = [f"{at.folder}/output.csv", "./output.csv", "/workspace/out/báo cáo #1 50%.md"]
        done = await download(at.over_http(), tmp_path / "into", names)

    assert files_below(done.folder) == {"output.csv": b"a,b\n", "out/báo cáo #1 50%.md": "xin chào".encode()}
    manifest = manifest_of(tmp_path / "into")
    assert manifest.complete
    assert manifest.session_id == at.session_id
    record = next(one for one in manifest.files if one.name == "output.csv")
    assert (record.size_bytes, record.sha256) == (4, hashlib.sha256(b"a,b\n").hexdigest())
    assert record.etag
    assert done.refused == ()
    assert {one.name for one in (tmp_path / "into").iterdir()} == {"files", "manifest.json"}


async def test_a_second_download_fetches_only_what_changed(tmp_path: Path) -> None:
    async with served() as at:
        for name in ("a", "b", "c"):
            at.put(name, f"first {name}")
        workspace = at.over_http("a", "b", "c")
        await download(workspace, tmp_path)
        at.put("b", "second and longer")
        (tmp_path / "files" / "c").write_text("changed here")
        done = await download(workspace, tmp_path)

    assert (done.fetched, done.unchanged) == (("b", "c"), ("a",))
    assert files_below(done.folder) == {"a": b"first a", "b": b"second and longer", "c": b"first c"}


async def test_hostile_names_leave_nothing_outside(tmp_path: Path) -> None:
    into = tmp_path / "deep" / "into"
    async with served(serves_anything=b"hostile") as at:
        names = [*HOSTILE_NAMES, *(f"{at.folder}/{name}" for name in HOSTILE_NAMES)]
        done = await download(at.over_http(), into, names)

    files_here = into / "files"
    everywhere = {path for path in tmp_path.rglob("*") if path.is_file() and not path.is_relative_to(at.folder)}
    assert all(path.is_relative_to(files_here) or path == into / "manifest.json" for path in everywhere)
    assert {refusal.reason for refusal in done.refused} >= {"outside", "backslash", "characters", "colon", "long"}
    assert all(refusal.name.isprintable() and refusal.why and refusal.fix for refusal in done.refused)
    assert set(done.fetched) == {"%2e%2e/escape.txt", "a/b", "etc/passwd", "~/.ssh/authorized_keys"}


async def test_what_cannot_be_had_is_told_and_the_rest_comes(tmp_path: Path) -> None:
    async with served() as at:
        at.put("here.txt", "x")
        done = await download(at.over_http("gone.txt", "here.txt"), tmp_path)
    assert done.fetched == ("here.txt",)
    assert reasons(tmp_path) == {"gone.txt": "missing"}


async def test_a_copy_of_before_stays_and_is_said_to_be_stale(tmp_path: Path) -> None:
    async with served() as at:
        at.put("a.txt", "x")
        await download(at.over_http("a.txt"), tmp_path)
        (at.folder / "a.txt").unlink()
        await download(at.over_http("a.txt"), tmp_path)
        assert (tmp_path / "files" / "a.txt").read_text() == "x"
        assert [record.stale for record in manifest_of(tmp_path).files] == [True]
        at.put("a.txt", "x2")
        await download(at.over_http("a.txt"), tmp_path)
    assert [record.stale for record in manifest_of(tmp_path).files] == [False]


@pytest.mark.parametrize("mounted", [False, True], ids=["http", "mount"])
@pytest.mark.parametrize(
    ("limits", "came"),
    [
        (DownloadLimits(file_bytes=150 * KIB), ("b", "c")),
        (DownloadLimits(total_bytes=250 * KIB), ("a", "c")),
        (DownloadLimits(files=2), ("a", "b")),
    ],
    ids=["file", "total", "count"],
)
async def test_caps_hold(tmp_path: Path, limits: DownloadLimits, came: tuple[str, ...], mounted: bool) -> None:
    async with served() as at:
        for name, size in (("a", 200 * KIB), ("b", 100 * KIB), ("c", 10 * KIB)):
            at.put(name, b"x" * size)
        workspace = at.mounted() if mounted else at.over_http("a", "b", "c")
        done = await download(workspace, tmp_path, limits=limits)
    assert done.fetched == came
    assert set(files_below(done.folder)) == set(came)
    assert {refusal.reason for refusal in done.refused} == {"large"}
    assert done.total_bytes <= limits.total_bytes


async def test_a_file_whose_length_is_not_told_stops_at_the_cap(tmp_path: Path) -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield b"x" * KIB

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        there = scope["path"].endswith("/a.bin")
        response = StreamingResponse(endless()) if there else PlainTextResponse("", status_code=404)
        await response(scope, receive, send)

    with serve(answer) as url:
        server = AgentServer.model_validate({"name": "endless", "base_url": url, "model_keys": ["m"]})
        async with AgentRest(server) as rest:
            workspace = ServerWorkspace(rest, str(uuid.uuid4()), ["a.bin"])
            done = await download(workspace, tmp_path, limits=DownloadLimits(file_bytes=100 * KIB))
    assert [refusal.reason for refusal in done.refused] == ["large"]
    assert files_below(tmp_path / "files") == files_below(tmp_path / ".parts") == {}


async def test_names_that_differ_by_case_or_composition_are_not_written_over_each_other(tmp_path: Path) -> None:
    decomposed = unicodedata.normalize("NFD", "kết.txt")
    async with served() as at:
        for name in ("A.txt", "a.txt", "kết.txt", decomposed, "d"):
            at.put(name, name)
        names = ["A.txt", "a.txt", decomposed, "kết.txt", "d", "d/e"]
        done = await download(at.over_http(*names), tmp_path)
    assert files_below(done.folder) == {"A.txt": b"A.txt", "kết.txt": decomposed.encode(), "d": b"d"}
    assert set(reasons(tmp_path).values()) == {"twin"}


async def test_a_mounted_workspace_gives_all_its_plain_files_and_follows_no_link(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("of this machine")
    async with served() as at:
        at.put("out/a.txt", "a")
        (at.folder / "link.txt").symlink_to(secret)
        (at.folder / "folder").symlink_to(tmp_path)
        first = await download(at.mounted(), tmp_path / "into", ["link.txt", "folder/secret"])
        second = await download(at.mounted(), tmp_path / "into")
    assert files_below(first.folder) == {"out/a.txt": b"a"}
    assert {refusal.name: refusal.reason for refusal in first.refused} == {
        "link.txt": "blocked",
        "folder/secret": "blocked",
    }
    assert (second.fetched, second.unchanged) == ((), ("out/a.txt",))


async def test_a_session_folder_that_an_agent_made_a_link_is_not_entered(tmp_path: Path) -> None:
    session = str(uuid.uuid4())
    (tmp_path / "mount").mkdir()
    (tmp_path / "mount" / session).symlink_to("/etc")
    with pytest.raises(BadInput) as refused:
        await download(MountedWorkspace(tmp_path / "mount", session), tmp_path / "into")
    assert refused.value.code == "NOT_A_PLAIN_FILE"


async def test_links_that_were_put_into_the_target_lead_nowhere(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a.txt").write_text("mine")
    into = tmp_path / "into" / "files"
    into.mkdir(parents=True)
    (into / "folder").symlink_to(outside)
    (into / "b.txt").symlink_to(outside / "a.txt")
    async with served() as at:
        at.put("folder/a.txt", "theirs")
        at.put("b.txt", "theirs")
        await download(at.over_http("folder/a.txt", "b.txt"), tmp_path / "into")
    assert (outside / "a.txt").read_text() == "mine"
    assert (into / "b.txt").read_text() == "theirs"
    assert reasons(tmp_path / "into") == {"folder/a.txt": "blocked"}


async def test_names_that_lead_nowhere_are_not_asked_for_without_end(tmp_path: Path) -> None:
    async with served() as at:
        at.put("z", "x")
        names = [f"none-{number}" for number in range(40)]
        done = await download(at.over_http("z"), tmp_path, names, limits=DownloadLimits(files=5))
    assert len(at.fake.downloads) < 25
    assert done.fetched == ()
    assert {refusal.reason for refusal in done.refused} == {"missing", "large"}


async def test_files_that_were_asked_for_come_before_what_lies_there(tmp_path: Path) -> None:
    async with served() as at:
        at.put("deep/a", "x")
        at.put("b", "x")
        at.put("z", "x")
        limits = DownloadLimits(files=2)
        assert (await download(at.mounted(), tmp_path / "asked", ["z"], limits=limits)).fetched == ("z", "b")
        assert (await download(at.mounted(), tmp_path / "all", limits=limits)).fetched == ("b", "z")


async def test_a_lost_connection_ends_it_and_the_next_one_goes_on(tmp_path: Path) -> None:
    async with served() as at:
        for name in ("a", "b", "c"):
            at.put(name, name * 100 * KIB)
        workspace = at.over_http("a", "b", "c")
        await download(at.over_http("a"), tmp_path)
        at.put("a", "changed")
        at.fake.cut_download_after(3)
        with pytest.raises(EngineUnavailable):
            await download(workspace, tmp_path)
        assert not manifest_of(tmp_path).complete
        assert (tmp_path / "files" / "a").read_bytes() == b"a" * 100 * KIB
        done = await download(workspace, tmp_path)
    assert done.fetched == ("a", "b", "c")
    assert manifest_of(tmp_path).complete
    assert not (tmp_path / ".parts").exists()


def test_a_download_that_is_killed_anywhere_leaves_whole_files_and_goes_on(tmp_path: Path) -> None:
    told = subprocess.run(
        [sys.executable, "-m", "tests.blocks.iiagent.killed_download", str(tmp_path)], capture_output=True, text=True
    )
    assert told.returncode == 0, told.stderr
    killed = int(told.stdout)
    assert killed > 30  # so many places it was killed at


async def test_the_files_of_two_sessions_are_not_mixed(tmp_path: Path) -> None:
    async with served() as at:
        at.put("a", "x")
        await download(at.mounted(), tmp_path)
        other = str(uuid.uuid4())
        (at.folder.parent / other).mkdir()
        with pytest.raises(BadInput) as refused:
            await download(MountedWorkspace(at.folder.parent, other), tmp_path)
    assert refused.value.details["field"] == "into"


async def test_a_manifest_that_names_other_places_is_refused(tmp_path: Path) -> None:
    async with served() as at:
        at.put("a", "x")
        await download(at.mounted(), tmp_path)
        told = json.loads((tmp_path / "manifest.json").read_text())
        told["files"][0]["name"] = "../../a"
        (tmp_path / "manifest.json").write_text(json.dumps(told))
        with pytest.raises(BadInput):
            await download(at.mounted(), tmp_path)


@pytest.mark.parametrize("media_type", ["text/html", "application/json", "text/csv"])
async def test_what_answers_every_path_is_not_taken_for_the_files(media_type: str, tmp_path: Path) -> None:
    page = PlainTextResponse("a,b", media_type=media_type)
    with serve(page) as url:
        server = AgentServer.model_validate({"name": "ui", "base_url": url, "model_keys": ["m"]})
        async with AgentRest(server) as rest:
            with pytest.raises(EngineFailed) as refused:
                await download(ServerWorkspace(rest, str(uuid.uuid4()), ["a.csv"]), tmp_path)
    assert refused.value.details["field"] == "servers.ui.base_url"


async def test_files_that_differ_from_the_agents_list_are_refused(tmp_path: Path) -> None:
    async with served() as at:
        at.put("a", "x")
        at.put("b", "x")
        told = listed(json.dumps({"files": [{"name": "a", "sha256": "0" * 64}, {"path": "./b"}]}).encode())
        hashes = {one.name: one.sha256 for one in told if one.sha256}
        done = await download(at.over_http(), tmp_path, [one.name for one in told], hashes=hashes)
    assert done.fetched == ("b",)
    assert [refusal.reason for refusal in done.refused] == ["refused"]
