"""Pulling models with the real client, from a simulated hub over real HTTP and from folders."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import namedtuple
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from blocks.errors import BadInput, C500Error, EngineUnavailable, NotAllowed, NotFound, Stopped, StoreFailed
from blocks.models.locate import PULLING, find, locate
from blocks.models.manifest import MANIFEST, read_manifest
from blocks.models.pull import pull
from blocks.settings import settings
from tests.fakes.hub import FakeHub, Files, fake_hub

REPO = "Systran/faster-whisper-tiny"
BIG = 26_000_000
"""More than two of the client's blocks of 10 MB: it loses what it has of an unfinished one."""


@pytest.fixture(autouse=True)
def models_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty MODELS_DIR, and no token of this machine's user."""
    monkeypatch.setenv("MODELS_DIR", str(tmp_path / "models"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    settings.cache_clear()
    return tmp_path / "models"


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    """A running hub."""
    with fake_hub() as running:
        yield running


def whisper(size_bytes: int = 5000) -> Files:
    weights = os.urandom(size_bytes)
    return {"config.json": b"{}", "model.bin": weights, "vocabulary.txt": b"a\nb\n", "README.md": b"# read me"}


def content_of(folder: Path) -> Files:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != MANIFEST}


def needed(files: Files) -> Files:
    return {path: data for path, data in files.items() if path != "README.md"}


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


def test_a_lost_connection_goes_on_where_it_was_cut(hub: FakeHub) -> None:
    files = whisper(BIG)
    hub.commit(REPO, files)
    hub.drop_after["model.bin"] = 15_000_000
    pull("tiny", mirror=hub.url)
    first, second = hub.bodies_sent("model.bin")
    assert first.range is None
    assert second.range is not None
    assert int(second.range.removeprefix("bytes=").removesuffix("-")) >= 10_000_000
    assert content_of(locate("tiny").folder) == needed(files)


def test_a_reset_connection_is_tried_again_for_as_long_as_bytes_come(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    import httpx2
    from huggingface_hub import file_download

    files = whisper()
    hub.commit(REPO, files)
    real, bytes_before_reset = file_download.http_get, [1000, 500, 0]

    def flaky(url: str, stream: BinaryIO, *, resume_size: int, **options: Any) -> None:
        if not url.endswith("model.bin") or not bytes_before_reset:
            return real(url, stream, resume_size=resume_size, **options)
        stream.write(files["model.bin"][resume_size : resume_size + bytes_before_reset.pop(0)])
        raise httpx2.ReadError("connection reset by peer")  # the client itself does not try this again

    monkeypatch.setattr(file_download, "http_get", flaky)
    with pytest.raises(EngineUnavailable, match="reset by peer"):
        pull("tiny", mirror=hub.url)
    assert bytes_before_reset == []
    pull("tiny", mirror=hub.url)
    assert hub.bodies_sent("model.bin")[-1].range == "bytes=1500-"
    assert content_of(locate("tiny").folder) == needed(files)


def test_a_killed_pull_leaves_no_manifest_and_the_next_goes_on(hub: FakeHub, models_dir: Path) -> None:
    files = whisper(BIG)
    hub.commit(REPO, files)
    hub.piece_pause_s = 0.02
    code = f"from blocks.models.pull import pull; pull('tiny', mirror='{hub.url}')"
    child = subprocess.Popen([sys.executable, "-c", code])
    parts = models_dir / PULLING / "Systran--faster-whisper-tiny"
    wait_until(lambda: any(part.stat().st_size > 10_000_000 for part in parts.glob("*")))
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert find("tiny") is None
    with pytest.raises(NotFound, match="incomplete"):
        locate("tiny")

    hub.piece_pause_s = 0
    pull("tiny", mirror=hub.url)
    assert hub.bodies_sent("model.bin")[-1].range is not None
    assert content_of(locate("tiny").folder) == needed(files)


def wait_until(true: Callable[[], bool], timeout_s: float = 30) -> None:
    ends = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < ends, "it did not happen"
        time.sleep(0.01)


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


@pytest.mark.parametrize(
    ("repo", "revision", "kind"), [("org/none", "main", NotFound), (REPO, "v9", NotFound), ("none", "main", NotFound)]
)
def test_what_does_not_exist_is_not_found(hub: FakeHub, repo: str, revision: str, kind: type[C500Error]) -> None:
    hub.commit(REPO, whisper())
    with pytest.raises(kind):
        pull(repo, revision=revision, mirror=hub.url)


def test_a_gated_model_asks_for_licence_and_token(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.commit(REPO, whisper())
    hub.gated.add(REPO)
    with pytest.raises(NotAllowed) as caught:
        pull("tiny", mirror=hub.url)
    assert "licence" in caught.value.fix
    assert "HF_TOKEN" in caught.value.fix

    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    pull("tiny", mirror=hub.url)
    assert {seen.authorization for seen in hub.seen if "/resolve/" in seen.path} == {None, "Bearer hf_secret"}
    assert {seen.authorization for seen in hub.seen if seen.path.startswith("/cdn/")} == {None}


def test_a_saved_login_is_not_shown_to_a_mirror(hub: FakeHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    hub.commit(REPO, whisper())
    (tmp_path / "token").write_text("hf_saved")
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "token"))
    pull("tiny", mirror=hub.url)
    assert {seen.authorization for seen in hub.seen} == {None}


@pytest.mark.parametrize(
    ("status", "kind"), [(401, NotAllowed), (403, NotAllowed), (404, NotFound), (502, EngineUnavailable)]
)
def test_each_refusal_has_its_error(hub: FakeHub, status: int, kind: type[C500Error]) -> None:
    hub.status = status
    with pytest.raises(kind) as caught:
        pull("tiny", mirror=hub.url)
    assert type(caught.value) is kind


def test_an_unreachable_hub_is_transient() -> None:
    with pytest.raises(EngineUnavailable, match=r"127\.0\.0\.1 cannot be reached") as caught:
        pull("tiny", mirror="http://127.0.0.1:9")
    assert caught.value.transient
    assert "--mirror" in caught.value.fix


def test_a_server_that_is_no_hub_is_named(hub: FakeHub) -> None:
    hub.commit(REPO, whisper())
    hub.unlisted.add("model.bin")
    with pytest.raises(EngineUnavailable, match="does not answer like a hub"):
        pull("tiny", mirror=hub.url)


def test_a_hub_cannot_write_outside_the_folder(hub: FakeHub, models_dir: Path) -> None:
    hub.commit("org/evil", {"../../evil": b"x"})
    with pytest.raises(EngineUnavailable, match="no path within a model"):
        pull("org/evil", mirror=hub.url)
    assert not (models_dir.parent / "evil").exists()


def test_the_users_offline_switch_is_obeyed(hub: FakeHub) -> None:
    hub.commit(REPO, whisper())
    code = f"from blocks.models.pull import pull; pull('tiny', mirror='{hub.url}')"
    run = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"HF_HUB_OFFLINE": "1"}, capture_output=True, text=True
    )
    assert "NotAllowed: HF_HUB_OFFLINE forbids the network" in run.stderr
    assert hub.seen == []


def test_a_mirror_means_that_nobody_else_is_asked(hub: FakeHub, tmp_path: Path) -> None:
    hub.commit(REPO, whisper())
    with fake_hub() as public:
        environment = os.environ | {"HF_ENDPOINT": public.url, "HF_HOME": str(tmp_path / "hf")}
        code = f"import huggingface_hub; from blocks.models.pull import pull; pull('tiny', mirror='{hub.url}')"
        subprocess.run([sys.executable, "-c", code], env=environment, check=True)
        assert public.seen == []
    assert not (tmp_path / "hf").exists()


def test_without_a_mirror_the_clients_own_endpoint_is_asked(hub: FakeHub, tmp_path: Path) -> None:
    sha = hub.commit(REPO, whisper())
    code = "from blocks.models.pull import pull; print(pull('tiny').revision)"
    run = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"HF_ENDPOINT": hub.url}, capture_output=True, text=True
    )
    assert run.stdout.strip() == sha, run.stderr


def test_importing_does_not_load_the_client() -> None:
    code = "import sys, blocks.models.pull, blocks.models.locate; print('huggingface_hub' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout.strip() == "False", run.stderr


def lay(folder: Path, files: Files) -> None:
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)


def test_a_folder_serves_as_mirror(tmp_path: Path) -> None:
    files = whisper()
    lay(tmp_path / "usb" / REPO, files | {".git/config": b"x"})
    first = pull("tiny", mirror=str(tmp_path / "usb"))
    assert content_of(locate("tiny").folder) == needed(files)
    assert len(first.revision) == 64
    assert pull("tiny", mirror=str(tmp_path / "usb")) == first
    lay(tmp_path / "usb" / REPO, {"config.json": b"[]"})
    assert pull("tiny", mirror=str(tmp_path / "usb")).revision != first.revision


def test_another_machines_models_dir_serves_as_mirror_and_keeps_the_commit(
    hub: FakeHub, models_dir: Path, tmp_path: Path
) -> None:
    sha = hub.commit(REPO, whisper())
    first = pull("tiny", mirror=hub.url)
    models_dir.rename(tmp_path / "usb")
    second = pull("tiny", mirror=str(tmp_path / "usb"))
    assert (second.revision, second.sha256) == (sha, first.sha256)


def test_a_copy_from_a_folder_goes_on_and_is_checked(hub: FakeHub, models_dir: Path, tmp_path: Path) -> None:
    hub.commit(REPO, whisper())
    pull("tiny", mirror=hub.url)
    usb = tmp_path / "usb"
    models_dir.rename(usb)
    weights = usb / "Systran--faster-whisper-tiny" / "model.bin"
    good = weights.read_bytes()
    weights.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    with pytest.raises(EngineUnavailable, match=r"model\.bin of .* came damaged"):
        pull("tiny", mirror=str(usb))
    weights.write_bytes(good)
    assert pull("tiny", mirror=str(usb)).verify(locate("tiny").folder) == []


@pytest.mark.parametrize(
    ("mirror", "kind"), [("nowhere", NotFound), ("s3://bucket/models", BadInput), ("ftp://host/x", BadInput)]
)
def test_a_mirror_that_is_none_is_refused(mirror: str, kind: type[C500Error]) -> None:
    with pytest.raises(kind):
        pull("tiny", mirror=mirror)


def test_a_folder_has_no_revision_but_its_own(tmp_path: Path) -> None:
    lay(tmp_path / "usb" / REPO, whisper())
    with pytest.raises(NotFound, match="not v2"):
        pull("tiny", revision="v2", mirror=str(tmp_path / "usb"))


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
