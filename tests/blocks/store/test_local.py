"""The folder store: no way out of it, nothing half-written, no litter of the dead."""

import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from blocks.errors import NotAllowed, StoreFailed
from blocks.store import LocalFiles

WRITE_AND_DIE = """
import os, signal, sys
from pathlib import Path
from blocks.store import LocalFiles
files = LocalFiles(Path(sys.argv[1]))
with files.lock("held"), files.scratch("big") as path:
    path.write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
HOLD = """
import sys
from pathlib import Path
from blocks.store import LocalFiles
with LocalFiles(Path(sys.argv[1])).scratch("live") as path:
    path.write_bytes(b"live")
    print("ready", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "files"


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_symlink_out_of_the_store_is_refused(root: Path, tmp_path: Path, kind: str) -> None:
    files = LocalFiles(root)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    if kind == "file":
        (root / "link").symlink_to(outside / "secret")
        key = "link"
    else:
        (root / "jobs").symlink_to(outside)
        key = "jobs/secret"
    for use in (files.read_bytes, lambda key: files.put_bytes(key, b"x"), files.exists, files.delete):
        with pytest.raises(NotAllowed, match="symbolic link"):
            use(key)
    assert (outside / "secret").read_text() == "secret"


def test_a_killed_writer_leaves_the_old_content_and_no_litter(root: Path) -> None:
    LocalFiles(root).put_bytes("x", b"old")
    died = subprocess.run([sys.executable, "-c", WRITE_AND_DIE, str(root)])
    assert died.returncode == -signal.SIGKILL
    files = LocalFiles(root)
    assert files.read_bytes("x") == b"old"
    assert not list((root / ".scratch").iterdir())
    with files.lock("held", wait=False) as free:
        assert free
    assert not list((root / ".locks").iterdir())


def test_the_scratch_file_of_a_living_process_is_left_alone(root: Path) -> None:
    LocalFiles(root)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout and holder.stdout.readline() == "ready\n"
    LocalFiles(root).sweep()
    assert [path.read_bytes() for path in (root / ".scratch").glob("*-live")] == [b"live"]
    holder.communicate("")
    assert not list((root / ".scratch").iterdir())


def test_a_full_disk_is_a_typed_error_and_leaves_nothing(root: Path) -> None:
    files = LocalFiles(root)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(StoreFailed, match="big"):
            files.put_bytes("big", bytes(5000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert not files.exists("big")
    assert not list((root / ".scratch").iterdir())


def test_a_folder_that_cannot_be_made_is_a_typed_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreFailed, match="folder"):
        LocalFiles(tmp_path / "file" / "store")


def test_deleting_the_last_file_removes_its_folders(root: Path) -> None:
    files = LocalFiles(root)
    files.put_bytes("jobs/a/x", b"1")
    files.delete("jobs/a/x")
    assert sorted(path.name for path in root.iterdir()) == [".locks", ".scratch"]
