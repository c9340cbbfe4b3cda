"""The trash: what is deleted can be had back, and links take nothing with them."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from blocks import trash as trash_module
from blocks.errors import BadInput, Conflict, NotAllowed, NotFound, StoreFailed, Unsupported
from blocks.trash import MOST_DEEP, Trash
from blocks.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    root = tmp_path / "workspace"
    (root / "folder" / "deep").mkdir(parents=True)
    (root / "file").write_text("hello")
    (root / "folder" / "deep" / "inner").write_text("inner")
    return Workspace(root)


@pytest.fixture
def trash(tmp_path: Path) -> Trash:
    return Trash(tmp_path / "trash")


def left(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "trash").iterdir() if path.name != ".lock")


@pytest.mark.parametrize("name", ["file", "folder", "folder/deep/inner"])
def test_what_is_deleted_can_be_had_back(workspace: Workspace, trash: Trash, tmp_path: Path, name: str) -> None:
    trashed = trash.put(workspace, name)
    assert not (workspace.root / name).exists()
    assert trash.list() == (trashed,)
    assert (trashed.name, trashed.root, trashed.files, trashed.size_bytes) == (name, str(workspace.root), 1, 5)
    assert trash.restore(trashed.trash_id) == trashed
    assert (workspace.root / "file").read_text() == "hello"
    assert (workspace.root / "folder" / "deep" / "inner").read_text() == "inner"
    assert left(tmp_path) == []


def test_deleted_links_take_nothing_with_them(workspace: Workspace, trash: Trash, tmp_path: Path) -> None:
    # Given old deployments, of which some are links: to logs, and to settings that are in use
    logs = tmp_path / "var-log"
    logs.mkdir()
    (logs / "three-months.log").write_text("evidence")
    (workspace.root / "folder" / "logs").symlink_to(logs)
    (workspace.root / "old-deployment").symlink_to(logs)
    # When they are deleted, and for good
    inside = trash.put(workspace, "folder")
    itself = trash.put(workspace, "old-deployment")
    trash.restore(inside.trash_id)
    assert (workspace.root / "folder" / "logs").is_symlink()
    trash.put(workspace, "folder")
    trash.purge(-1)
    # Then only the links are gone
    assert (inside.kind, itself.kind) == ("folder", "link")
    assert (logs / "three-months.log").read_text() == "evidence"
    assert left(tmp_path) == []


def test_what_lies_behind_a_link_out_cannot_be_deleted(workspace: Workspace, trash: Trash, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_text("mine")
    (workspace.root / "link").symlink_to(tmp_path / "outside")
    for name in ("link/file", "../outside/file", "../workspace-evil", str(tmp_path / "outside")):
        with pytest.raises(NotAllowed):
            trash.put(workspace, name)
    assert (tmp_path / "outside" / "file").exists()


@pytest.mark.parametrize("name", [".", "..", "folder/..", ".git", ".git/config", "folder/.git/hooks", ".trash"])
def test_the_workspace_and_what_is_protected_cannot_be_deleted(workspace: Workspace, trash: Trash, name: str) -> None:
    (workspace.root / ".git").mkdir()
    (workspace.root / ".git" / "config").write_text("")
    with pytest.raises(NotAllowed):
        trash.put(workspace, name)
    assert (workspace.root / ".git" / "config").exists()
    assert trash.list() == ()


def test_what_is_not_there_cannot_be_deleted(workspace: Workspace, trash: Trash, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        trash.put(workspace, "none")
    assert left(tmp_path) == []


def test_a_folder_with_the_trash_in_it_cannot_be_deleted(workspace: Workspace) -> None:
    with pytest.raises(NotAllowed, match="trash"):
        Trash(workspace.root / "folder" / "bin").put(workspace, "folder")


def test_restoring_overwrites_nothing(workspace: Workspace, trash: Trash) -> None:
    for name, again in (("file", "new"), ("folder", None)):
        trashed = trash.put(workspace, name)
        (workspace.root / name).write_text(again) if again else (workspace.root / name).mkdir()
        with pytest.raises(Conflict):
            trash.restore(trashed.trash_id)
        assert trashed in trash.list()
    assert (workspace.root / "file").read_text() == "new"
    (workspace.root / "file").unlink()
    trash.restore(trash.list()[-1].trash_id)
    assert (workspace.root / "file").read_text() == "hello"


def test_restoring_makes_folders_again_and_follows_no_link(workspace: Workspace, trash: Trash, tmp_path: Path) -> None:
    trashed = trash.put(workspace, "folder/deep/inner")
    trash.put(workspace, "folder")
    (tmp_path / "outside" / "deep").mkdir(parents=True)
    (workspace.root / "folder").symlink_to(tmp_path / "outside")
    with pytest.raises((BadInput, NotAllowed)):
        trash.restore(trashed.trash_id)
    assert not list((tmp_path / "outside" / "deep").iterdir())
    (workspace.root / "folder").unlink()
    trash.restore(trashed.trash_id)
    assert (workspace.root / "folder" / "deep" / "inner").read_text() == "inner"


@pytest.mark.parametrize("trash_id", ["0" * 16, "..", "../../etc", ".lock", ""])
def test_unknown_ids_are_told(trash: Trash, trash_id: str) -> None:
    with pytest.raises(BadInput):
        trash.restore(trash_id)


def test_a_workspace_that_is_gone_is_told_and_nothing_is_lost(workspace: Workspace, trash: Trash) -> None:
    trashed = trash.put(workspace, "file")
    workspace.root.rename(workspace.root.with_name("elsewhere"))
    with pytest.raises(NotFound):
        trash.restore(trashed.trash_id)
    assert trash.list() == (trashed,)


def test_only_what_is_old_is_purged(workspace: Workspace, trash: Trash, monkeypatch: pytest.MonkeyPatch) -> None:
    class Yesterday(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:
            return datetime(2020, 1, 1, tzinfo=UTC)

    monkeypatch.setattr(trash_module, "datetime", Yesterday)
    old = trash.put(workspace, "file")
    monkeypatch.undo()
    new = trash.put(workspace, "folder")
    assert trash.list() == (new, old)
    assert trash.purge(3600) == (old,)
    assert trash.list() == (new,)


def test_what_cannot_be_deleted_keeps_nothing_else_from_it(workspace: Workspace, tmp_path: Path) -> None:
    trash = Trash(tmp_path / "trash")
    stuck, other = trash.put(workspace, "folder"), trash.put(workspace, "file")
    path = tmp_path / "trash" / stuck.trash_id / "content" / "deep" / "inner"
    if subprocess.run(["chattr", "+i", path], capture_output=True).returncode:
        pytest.skip("files cannot be made immutable here")
    try:
        with pytest.raises((NotAllowed, StoreFailed)):
            trash.purge(-1)
        assert other.trash_id not in left(tmp_path)
        Trash(tmp_path / "trash")  # opens all the same
    finally:
        subprocess.run(["chattr", "-i", path], check=True)
    assert [one.trash_id for one in Trash(tmp_path / "trash").purge(-1)] in ([stuck.trash_id], [])
    assert left(tmp_path) == []


def test_folders_that_were_made_read_only_are_purged(workspace: Workspace, tmp_path: Path) -> None:
    # Root may write anywhere, unless it gives that up.
    (workspace.root / "folder" / "deep").chmod(0o555)
    script = (
        "import sys; from pathlib import Path; from blocks.trash import Trash; from blocks.workspace import Workspace\n"
        "trash = Trash(Path(sys.argv[2])); trash.put(Workspace(Path(sys.argv[1])), 'folder'); trash.purge(-1)"
    )
    weak = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search", "--"] if os.geteuid() == 0 else []
    command = [*weak, sys.executable, "-c", script, str(workspace.root), str(tmp_path / "trash")]
    subprocess.run(command, check=True, cwd=Path(__file__).parents[2])
    assert left(tmp_path) == []


def test_the_trash_is_for_our_user_only(trash: Trash, workspace: Workspace, tmp_path: Path) -> None:
    trash.put(workspace, "file")
    assert (tmp_path / "trash").stat().st_mode & 0o077 == 0


def test_another_file_system_is_refused(workspace: Workspace) -> None:
    shared = Path("/dev/shm")
    if not shared.is_dir() or shared.stat().st_dev == workspace.root.stat().st_dev:
        pytest.skip("there is no second file system")
    folder = shared / f"c500-test-{os.getpid()}"
    try:
        with pytest.raises(Unsupported, match="different file systems"):
            Trash(folder).put(workspace, "file")
    finally:
        (folder / ".lock").unlink()
        folder.rmdir()
    assert (workspace.root / "file").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts and makes devices")
def test_mounts_and_devices_are_not_deleted(workspace: Workspace, trash: Trash, tmp_path: Path) -> None:
    os.mknod(workspace.root / "folder" / "null", 0o20600, os.makedev(1, 3))
    with pytest.raises(NotAllowed, match="device"):
        trash.put(workspace, "folder")
    (workspace.root / "folder" / "null").unlink()
    # A folder of the same file system, seen at a second place, in mounts of a process of its own
    script = (
        "import sys; from pathlib import Path; from blocks.trash import Trash; from blocks.workspace import Workspace\n"
        "Trash(Path(sys.argv[2])).put(Workspace(Path(sys.argv[1])), 'folder')"
    )
    (tmp_path / "data").mkdir()
    mount = f'mount --bind "{tmp_path}/data" "{workspace.root}/folder/deep" && exec "$@"'
    command = ["unshare", "--mount", "sh", "-c", mount, "sh", sys.executable, "-c", script]
    done = subprocess.run(
        [*command, str(workspace.root), str(tmp_path / "trash")],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert "is mounted there" in done.stderr
    assert (workspace.root / "folder" / "deep" / "inner").exists()


def test_folders_too_deep_to_be_deleted_are_refused(workspace: Workspace, trash: Trash) -> None:
    deep = workspace.root / "folder"
    for _ in range(MOST_DEEP + 1):
        deep = deep / "d"
    deep.mkdir(parents=True)
    with pytest.raises(NotAllowed, match="deep"):
        trash.put(workspace, "folder")


def test_a_damaged_manifest_is_told_and_deletes_nothing(workspace: Workspace, trash: Trash, tmp_path: Path) -> None:
    trashed = trash.put(workspace, "file")
    (tmp_path / "trash" / trashed.trash_id / "manifest.json").write_text("{")
    again = Trash(tmp_path / "trash")
    for use in (again.list, lambda: again.restore(trashed.trash_id), lambda: again.purge(-1)):
        with pytest.raises(StoreFailed, match="damaged"):
            use()
    assert (tmp_path / "trash" / trashed.trash_id / "content").read_text() == "hello"
    assert again.put(workspace, "folder").name == "folder"


def test_killed_at_any_point_nothing_is_lost(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.blocks.crashes", "tests.blocks.trash_crashes", str(tmp_path / "crashes")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
    assert all(int(points) >= 10 for points in done.stdout.split())
    assert len(done.stdout.split()) == 3
