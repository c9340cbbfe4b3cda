"""Pulling from folders."""

from pathlib import Path

import pytest

from blocks.errors import BadInput, C500Error, EngineUnavailable, NotFound
from blocks.models.locate import locate
from blocks.models.pull import pull
from tests.blocks.models.conftest import REPO, content_of, lay, needed, whisper
from tests.fakes.hub import FakeHub


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
