"""The key is made once, whoever comes first, and is its owner's alone."""

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from blocks.audit import open_key
from blocks.audit.key import read_key
from blocks.errors import NotAllowed, NotFound, StoreFailed

ROOT = Path(__file__).parents[3]


def test_a_key_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "agents" / "audit.key"
    key = open_key(path)
    assert len(key) == 32
    assert open_key(path) == read_key(path) == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["audit.key"]


def test_processes_that_come_at_once_get_the_same_key(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from blocks.audit import open_key; print(open_key(Path(sys.argv[1])))"
    command = [sys.executable, "-c", code, str(tmp_path / "key")]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) for _ in range(3)]
    assert len({process.communicate()[0] for process in processes}) == 1


def test_a_key_made_meanwhile_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "key"
    first = open_key(path)
    found = iter([False])  # at the first look there is none
    monkeypatch.setattr(Path, "exists", lambda _path: next(found, True))
    assert open_key(path) == first


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    open_key(path)
    path.chmod(0o640)
    with pytest.raises(NotAllowed, match="others may read"):
        open_key(path)


def test_a_link_to_a_key_is_refused(tmp_path: Path) -> None:
    open_key(tmp_path / "key")
    (tmp_path / "link").symlink_to(tmp_path / "key")
    with pytest.raises(StoreFailed):
        open_key(tmp_path / "link")


def test_what_is_no_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"short")
    path.chmod(0o600)
    with pytest.raises(StoreFailed, match="5 bytes"):
        open_key(path)


def test_reading_makes_no_key(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        read_key(tmp_path / "key")
    assert not (tmp_path / "key").exists()
