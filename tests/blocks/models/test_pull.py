"""Pulls that succeed, break off, repeat and mend, from a simulated hub over real HTTP."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from blocks.errors import (
    EngineUnavailable,
    NotFound,
    Stopped,
    StoreFailed,
)
from blocks.models.locate import PULLING, find, locate
from blocks.models.manifest import MANIFEST, read_manifest, write_manifest
from blocks.models.pull import pull
from tests.blocks.models.conftest import BIG, REPO, content_of, needed, whisper
from tests.fakes.hub import FakeHub
from tests.processes import until


def test_a_pull_brings_the_needed_files_and_then_the_manifest(hub: FakeHub, models_dir: Path) -> None:
    files = whisper()
    sha = hub.commit(REPO, files)
    shares: list[float] = []
    manifest = pull("tiny", mirror=hub.url, on_progress=shares.append)
    assert (manifest.name, manifest.repo, manifest.revision) == ("tiny", REPO, sha)
    found = locate("tiny")
    assert (found.revision, found.sha256) == (sha, manifest.sha256)
    assert content_of(found.folder) == needed(files)
    assert manifest.verify(found.folder) == []
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert list((models_dir / PULLING).iterdir()) == []


def test_files_in_folders_of_the_repository_keep_their_place(hub: FakeHub) -> None:
    hub.commit("org/deep", {"onnx/fp16/model.onnx": os.urandom(3000), "empty.txt": b""})
    pull("org/deep", mirror=hub.url)
    folder = locate("org/deep").folder
    assert (folder / "onnx" / "fp16" / "model.onnx").stat().st_size == 3000
    assert (folder / "empty.txt").read_bytes() == b""


def test_a_killed_pull_leaves_no_manifest_and_the_next_goes_on(hub: FakeHub, models_dir: Path) -> None:
    files = whisper(BIG)
    hub.commit(REPO, files)
    hub.piece_pause_s = 0.02
    code = f"from blocks.models.pull import pull; pull('tiny', mirror='{hub.url}')"
    child = subprocess.Popen([sys.executable, "-c", code])
    parts = models_dir / PULLING / "Systran--faster-whisper-tiny"
    until(lambda: any(part.stat().st_size > 10_000_000 for part in parts.glob("*")))
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert find("tiny") is None
    with pytest.raises(NotFound, match="incomplete"):
        locate("tiny")

    hub.piece_pause_s = 0
    pull("tiny", mirror=hub.url)
    assert hub.bodies_sent("model.bin")[-1].range is not None
    assert content_of(locate("tiny").folder) == needed(files)


@pytest.mark.parametrize("file", ["model.bin", "config.json"], ids=["sha256", "git-sha1"])
def test_a_damaged_file_is_refused_and_fetched_again_later(hub: FakeHub, models_dir: Path, file: str) -> None:
    hub.commit(REPO, whisper())
    hub.damaged.add(file)
    with pytest.raises(EngineUnavailable, match=f"{file} of {REPO} came damaged") as caught:
        pull("tiny", mirror=hub.url)
    assert "--mirror" in caught.value.fix
    assert find("tiny") is None
    hub.damaged.clear()
    assert pull("tiny", mirror=hub.url).verify(locate("tiny").folder) == []


def test_a_repeat_fetches_nothing_and_a_lost_file_only_itself(hub: FakeHub) -> None:
    hub.commit(REPO, whisper())
    first = pull("tiny", mirror=hub.url)
    before = len(hub.seen)
    assert pull("tiny", mirror=hub.url) == first
    assert len(hub.seen) == before + 1  # the listing
    (locate("tiny").folder / "config.json").unlink()
    pull("tiny", mirror=hub.url)
    assert len(hub.bodies_sent("config.json")) == 2
    assert len(hub.bodies_sent("model.bin")) == 1


def test_a_commit_that_is_here_is_not_asked_for(hub: FakeHub) -> None:
    sha = hub.commit(REPO, whisper())
    first = pull("tiny", mirror=hub.url)
    assert pull("tiny", revision=sha, mirror="http://127.0.0.1:9") == first


@pytest.mark.parametrize("file", ["model.bin", "config.json"], ids=["sha256", "git-sha1"])
@pytest.mark.parametrize("by_commit", [False, True])
def test_a_repeat_finds_a_damaged_file_of_the_right_size_and_fetches_only_that(
    hub: FakeHub, file: str, by_commit: bool
) -> None:
    files = whisper()
    sha = hub.commit(REPO, files)
    first = pull("tiny", mirror=hub.url)
    folder = locate("tiny").folder
    (folder / file).write_bytes(bytes(len(files[file])))
    again = pull("tiny", revision=sha if by_commit else "main", mirror=hub.url)
    assert content_of(folder) == needed(files)
    assert again.sha256 == first.sha256
    assert {path: len(hub.bodies_sent(path)) - 1 for path in needed(files)} == {
        p: int(p == file) for p in needed(files)
    }


def test_a_damaged_file_stays_where_it_is_until_its_successor_is_whole(hub: FakeHub) -> None:
    hub.commit(REPO, whisper())
    first = pull("tiny", mirror=hub.url)
    (locate("tiny").folder / "model.bin").write_bytes(bytes(5000))
    hub.damaged.add("model.bin")
    with pytest.raises(EngineUnavailable):
        pull("tiny", mirror=hub.url)
    assert read_manifest(locate("tiny").folder) == first
    hub.damaged.clear()
    assert pull("tiny", mirror=hub.url).verify(locate("tiny").folder) == []


def test_a_file_that_cannot_be_read_is_fetched_again(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.commit(REPO, whisper())
    pull("tiny", mirror=hub.url)
    weights = locate("tiny").folder / "model.bin"
    real = Path.open

    def bad_sector(path: Path, *arguments: Any, **options: Any) -> Any:
        if path == weights:
            raise OSError(errno.EIO, "Input/output error", str(path))
        return real(path, *arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", bad_sector)
        manifest = pull("tiny", mirror=hub.url)
    assert len(hub.bodies_sent("model.bin")) == 2
    assert manifest.verify(weights.parent) == []


def test_a_manifest_that_names_other_hashes_is_written_anew_without_fetching(hub: FakeHub) -> None:
    hub.commit(REPO, whisper())
    first = pull("tiny", mirror=hub.url)
    folder = locate("tiny").folder
    wrong = tuple(file.model_copy(update={"sha256": "0" * 64}) for file in first.files)
    write_manifest(folder, first.model_copy(update={"files": wrong}))
    assert pull("tiny", mirror=hub.url).verify(folder) == []
    assert len(hub.bodies_sent("model.bin")) == 1


def test_progress_tells_of_files_that_are_here_as_they_are_checked(hub: FakeHub) -> None:
    hub.commit(REPO, whisper())
    pull("tiny", mirror=hub.url)
    shares: list[float] = []
    pull("tiny", mirror=hub.url, on_progress=shares.append)
    assert len(shares) == 3
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_a_new_revision_replaces_the_old_and_a_commit_can_be_named(hub: FakeHub) -> None:
    old = whisper()
    sha = hub.commit(REPO, old | {"vocabulary.json": b"[]"})
    pull("tiny", mirror=hub.url)
    (locate("tiny").folder / "vocabulary.txt").unlink()
    new = old | {"model.bin": os.urandom(6000)}
    hub.commit(REPO, new)
    pull("tiny", mirror=hub.url)
    assert content_of(locate("tiny").folder) == needed(new)
    assert len(hub.bodies_sent("config.json")) == 1  # unchanged, so kept
    assert pull("tiny", revision=sha, mirror=hub.url).revision == sha
    assert content_of(locate("tiny").folder) == needed(old | {"vocabulary.json": b"[]"})


def test_the_old_revision_stays_usable_when_the_new_one_fails(hub: FakeHub) -> None:
    hub.commit(REPO, whisper())
    first = pull("tiny", mirror=hub.url)
    hub.commit(REPO, whisper())
    hub.damaged.add("model.bin")
    with pytest.raises(EngineUnavailable):
        pull("tiny", mirror=hub.url)
    assert locate("tiny").revision == first.revision
    assert first.verify(locate("tiny").folder) == []


def test_two_pulls_at_once_fetch_every_file_once(hub: FakeHub) -> None:
    files = whisper(3_000_000)
    hub.commit(REPO, files)
    hub.piece_pause_s = 0.02
    with ThreadPoolExecutor(2) as pool:
        one, two = pool.map(lambda _: pull("tiny", mirror=hub.url), range(2))
    assert one == two
    assert len(hub.bodies_sent("model.bin")) == 1
    assert content_of(locate("tiny").folder) == needed(files)


def test_a_damaged_manifest_is_mended_by_a_pull_without_fetching(hub: FakeHub) -> None:
    hub.commit(REPO, whisper())
    first = pull("tiny", mirror=hub.url)
    folder = locate("tiny").folder
    (folder / MANIFEST).write_text("{")
    assert pull("tiny", mirror=hub.url).sha256 == first.sha256
    assert len(hub.bodies_sent("model.bin")) == 1
    assert read_manifest(folder) is not None


def test_a_stopped_pull_keeps_what_it_has(hub: FakeHub) -> None:
    hub.commit(REPO, whisper(BIG))

    def stop_later(share: float) -> None:
        if share > 0.6:
            raise Stopped("enough", fix="go on later")

    with pytest.raises(Stopped):
        pull("tiny", mirror=hub.url, on_progress=stop_later)
    pull("tiny", mirror=hub.url)
    assert hub.bodies_sent("model.bin")[-1].range is not None


def test_a_full_disk_is_noticed_before_the_first_byte(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.commit(REPO, whisper())
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(9000, 8000, 1000))
    with pytest.raises(StoreFailed) as caught:
        pull("tiny", mirror=hub.url)
    assert caught.value.details == {"needed_bytes": 5006, "free_bytes": 1000}
    assert "5,006 bytes more" in caught.value.message
    assert hub.bodies_sent("model.bin") == []


def test_a_disk_that_fills_on_the_way_is_a_store_error(hub: FakeHub, models_dir: Path) -> None:
    hub.commit(REPO, whisper(BIG))
    code = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (5_000_000, 5_000_000))\n"  # EFBIG instead of ENOSPC
        "from blocks.models.pull import pull; from blocks.errors import StoreFailed\n"
        f"try: pull('tiny', mirror='{hub.url}')\n"
        "except StoreFailed as error: print(error.message)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "File too large" in run.stdout, run.stderr
    assert find("tiny") is None


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_a_store_error(hub: FakeHub, models_dir: Path) -> None:
    models_dir.mkdir(mode=0o500)
    with pytest.raises(StoreFailed, match="Permission denied"):
        pull("tiny", mirror=hub.url)


def test_a_models_dir_that_is_a_file_is_a_store_error(hub: FakeHub, models_dir: Path) -> None:
    models_dir.write_text("")
    with pytest.raises(StoreFailed) as caught:
        pull("tiny", mirror=hub.url)
    assert "MODELS_DIR" in caught.value.fix


def test_readers_see_the_model_whole_or_not_at_all_while_it_is_updated(hub: FakeHub) -> None:
    hub.commit(REPO, whisper(200_000))
    pull("tiny", mirror=hub.url)
    ended = threading.Event()
    wrong: list[str] = []

    def read() -> None:
        while not ended.is_set():
            found = find("tiny")
            manifest = read_manifest(found.folder) if found else None
            if found and manifest and manifest.verify(found.folder) and read_manifest(found.folder) == manifest:
                wrong.append(manifest.revision)

    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(read)
        for _ in range(10):
            hub.commit(REPO, whisper(200_000))
            pull("tiny", mirror=hub.url)
        ended.set()
        reader.result()
    assert wrong == []
