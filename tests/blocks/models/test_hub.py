"""What the real client makes of a simulated hub: lost lines, refusals, tokens, strangers."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from blocks.errors import (
    C500Error,
    EngineUnavailable,
    NotAllowed,
    NotFound,
    Unsupported,
)
from blocks.models.locate import locate
from blocks.models.pull import pull
from tests.blocks.models.conftest import BIG, REPO, content_of, lay, needed, whisper
from tests.fakes.hub import FakeHub, fake_hub


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


def test_a_file_larger_than_the_client_fetches_is_unsupported_and_a_folder_helps(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    files = whisper()
    sha = hub.commit(REPO, files)
    monkeypatch.setattr("huggingface_hub.constants.MAX_HTTP_DOWNLOAD_SIZE", 4000)
    with pytest.raises(Unsupported, match=r"model\.bin of .* has 5,000 bytes") as caught:
        pull("tiny", mirror=hub.url)
    assert caught.value.fix == (
        f"hf download {REPO} --revision {sha} --local-dir FOLDER/{REPO}, then c500 models pull {REPO} --mirror FOLDER"
    )
    assert hub.bodies_sent("model.bin") == []
    lay(tmp_path / "FOLDER" / REPO, files)
    pull(REPO, mirror=str(tmp_path / "FOLDER"))
    assert content_of(locate("tiny").folder) == needed(files)
