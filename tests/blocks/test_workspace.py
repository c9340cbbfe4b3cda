"""The workspace: what names, links and odd files cannot do."""

import os
import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from blocks.errors import BadInput, C500Error, NotAllowed, NotFound, TooLarge
from blocks.workspace import Workspace
from blocks.workspace import workspace as workspace_module


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "secret").write_text("s3cret")
    return folder


@pytest.fixture
def workspace(tmp_path: Path, outside: Path) -> Workspace:
    """With a file, a folder, and links within and out."""
    root = tmp_path / "workspace"
    (root / "folder" / "deep").mkdir(parents=True)
    (root / "file").write_text("hello")
    (root / "folder" / "inner").write_text("inner")
    (root / "to-file").symlink_to("file")
    (root / "to-folder").symlink_to(root / "folder")
    (root / "to-secret").symlink_to(outside / "secret")
    (root / "to-outside").symlink_to("../outside")
    (root / "to-nothing-outside").symlink_to(outside / "none")
    (root / "circle").symlink_to("circle")
    return Workspace(root)


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


OUT = ["..", "../outside/secret", "folder/../../outside/secret", "to-secret", "to-outside/secret", "to-outside",
       "/etc/passwd", "/workspace/../etc/passwd", "/workspace/to-secret", "to-folder/../../outside/secret", "/",
       "//etc/passwd", "./to-outside/../outside/secret", "to-nothing-outside"]  # fmt: skip


@pytest.mark.parametrize("name", OUT)
def test_nothing_outside_is_reached(workspace: Workspace, outside: Path, name: str) -> None:
    for use in (workspace.read_bytes, workspace.resolve, workspace.touched, workspace.list, workspace.stat):
        with pytest.raises(NotAllowed):
            use(name)
    with pytest.raises(NotAllowed):
        workspace.write(name, b"x")
    assert everything(outside) == {str(outside / "secret"): b"s3cret"}


@pytest.mark.parametrize(
    "name",
    ["", "a\0b", "a\nb", "a\x1bb", "a\x7fb", "a\u202eb", "a\u2028b", "a\udc80b", "n" * 256, "é" * 128, "a/" * 2001,
     "conf\u200big", "conf\u200dig", "\u200ca", "a\u00adb", "\ufeffa", "a\ufe0fb", "a\u3164b", "\U000e0041a",
     "❤\ufe0f\ufe0f\ufe0f", "👩\u200d\u200d💻"],
)  # fmt: skip
def test_names_that_no_person_could_read_or_no_file_have_are_refused(workspace: Workspace, name: str) -> None:
    for use in (workspace.read_bytes, workspace.touched, workspace.own_path):
        with pytest.raises(BadInput):
            use(name)
    with pytest.raises(BadInput):
        workspace.write(name, b"x")


@pytest.mark.parametrize(
    "name",
    [
        "Báo cáo tháng 7.md",
        "~",
        "$HOME",
        "-rf",
        "a b",
        "n" * 255,
        "👩‍💻",
        "❤️‍🔥",
        "می\u200cخواهم",
        "葛\U000e0100",
        "ｆｉｌｅ",
    ],
)
def test_other_names_are_names(workspace: Workspace, name: str) -> None:
    workspace.write(name, b"x")
    assert workspace.read_bytes(name) == b"x"
    assert (workspace.root / name).read_bytes() == b"x"


@pytest.mark.parametrize(
    "name", ["file", "./file", "folder/../file", "to-file", "/workspace/file", "to-folder/../file"]
)
def test_a_file_has_many_names_and_one_real_path(workspace: Workspace, name: str) -> None:
    assert workspace.read_bytes(name) == b"hello"
    assert workspace.touched(name) == str(workspace.resolve(name)) == str(workspace.root / "file")


@given(
    st.lists(st.sampled_from(["..", ".", "file", "folder", "deep", "to-folder", "to-outside", "circle", "a", "", "/"]))
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
def test_no_name_leads_out(workspace: Workspace, outside: Path, parts: list[str]) -> None:
    name = "/".join(parts)
    for use in (workspace.read_bytes, workspace.list, lambda name: workspace.write(name, b"x")):
        try:
            use(name)
        except C500Error:
            continue
        assert Path(workspace.touched(name)).is_relative_to(workspace.root)
    assert everything(outside) == {str(outside / "secret"): b"s3cret"}


def test_a_root_that_is_a_link_is_followed_once(tmp_path: Path, workspace: Workspace, outside: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(workspace.root)
    through = Workspace(link)
    link.unlink()
    link.symlink_to(outside)
    assert through.read_bytes("file") == b"hello"
    with pytest.raises(NotFound):
        through.read_bytes("secret")


def test_a_folder_that_becomes_a_link_after_the_check_is_not_followed(
    workspace: Workspace, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given someone who is quicker than we are
    real = workspace._real

    def swapped(name: str) -> Path:
        found = real(name)
        (workspace.root / "folder").rename(workspace.root / "moved")
        (workspace.root / "folder").symlink_to(outside)
        return found

    monkeypatch.setattr(workspace, "_real", swapped)
    # When it is read, it is not what was checked
    with pytest.raises((BadInput, NotAllowed)):
        workspace.read_bytes("folder/secret")
    (workspace.root / "folder").unlink()
    (workspace.root / "moved").rename(workspace.root / "folder")
    with pytest.raises((BadInput, NotAllowed)):
        workspace.write("folder/secret", b"x")
    assert everything(outside) == {str(outside / "secret"): b"s3cret"}


def test_a_file_that_becomes_a_link_after_the_check_is_not_followed(
    workspace: Workspace, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workspace, "_real", lambda _name: workspace.root / "to-secret")
    with pytest.raises(NotAllowed):
        workspace.read_bytes("file")
    with pytest.raises(NotAllowed):
        workspace.write("file", b"x")
    assert (outside / "secret").read_text() == "s3cret"


def test_a_file_that_becomes_a_link_as_it_is_opened_is_not_followed(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def swapped(*_: object, **__: object) -> None:
        (workspace.root / "file").unlink()
        (workspace.root / "file").symlink_to("to-secret")

    monkeypatch.setattr(workspace, "_refuse_odd", swapped)
    with pytest.raises(NotAllowed):
        workspace.read_bytes("file")


def test_files_with_several_names_are_refused(workspace: Workspace, outside: Path) -> None:
    os.link(outside / "secret", workspace.root / "hard")
    with pytest.raises(NotAllowed, match="2 names"):
        workspace.read_bytes("hard")
    with pytest.raises(NotAllowed, match="2 names"):
        workspace.resolve("hard")
    with pytest.raises(NotAllowed, match="2 names"):
        workspace.write("hard", b"x")
    allowing = Workspace(workspace.root, allow_links=True)
    assert allowing.read_bytes("hard") == b"s3cret"
    with pytest.raises(NotAllowed, match="2 names"):
        allowing.write("hard", b"x")


@pytest.mark.parametrize("kind", ["fifo", "socket", "device"])
def test_what_is_neither_file_nor_folder_is_refused(workspace: Workspace, kind: str) -> None:
    odd = workspace.root / "odd"
    if kind == "fifo":
        os.mkfifo(odd)  # one that is opened waits for a writer
    elif kind == "socket":
        os.mknod(odd, stat.S_IFSOCK | 0o600)
    elif os.geteuid() == 0:
        os.mknod(odd, stat.S_IFCHR | 0o600, os.makedev(1, 5))  # /dev/zero: has no end
    else:
        pytest.skip("only root makes devices")
    for use in (workspace.read_bytes, workspace.resolve):
        with pytest.raises(NotAllowed, match="device"):
            use("odd")
    with pytest.raises(NotAllowed):
        workspace.write("odd", b"x")
    assert workspace.stat("odd").kind == "other"


@pytest.mark.parametrize(
    "name",
    [
        ".git/config",
        ".git/hooks/pre-commit",
        ".git",
        ".GIT/config",
        "folder/.git/hooks/x",
        ".trash/x",
        "a/../.git/config",
    ],
)
def test_what_git_runs_and_what_was_deleted_is_protected(workspace: Workspace, name: str) -> None:
    with pytest.raises(NotAllowed, match="protected"):
        workspace.write(name, b"x")
    with pytest.raises(NotAllowed, match="protected"):
        workspace.own_path(name)
    assert not (workspace.root / name.split("/")[0] / "config").exists()


def test_what_is_protected_is_so_through_a_link(workspace: Workspace) -> None:
    (workspace.root / ".git").mkdir()
    (workspace.root / "innocent").symlink_to(".git")
    with pytest.raises(NotAllowed, match="protected"):
        workspace.write("innocent/config", b"x")


def test_what_is_protected_can_be_read(workspace: Workspace) -> None:
    (workspace.root / ".git").mkdir()
    (workspace.root / ".git" / "HEAD").write_text("ref")
    assert workspace.read_bytes(".git/HEAD") == b"ref"


def test_a_file_is_read_in_parts(workspace: Workspace) -> None:
    assert workspace.read_bytes("file", start=1, most=3) == b"ell"
    assert workspace.read_bytes("file", start=9) == b""
    with pytest.raises(TooLarge):
        workspace.read_bytes("file", most=1 << 40)


def test_writing_makes_folders_and_goes_through_links_within(workspace: Workspace) -> None:
    workspace.write("new/deeper/file", b"1")
    workspace.write("to-folder/other", b"2")
    workspace.write("to-file", b"3")
    assert (workspace.root / "new" / "deeper" / "file").read_bytes() == b"1"
    assert (workspace.root / "folder" / "other").read_bytes() == b"2"
    assert (workspace.root / "file").read_bytes() == b"3"
    assert (workspace.root / "to-file").is_symlink()


@pytest.mark.parametrize("mode", [0o755, 0o600, 0o444])
def test_writing_keeps_the_mode(workspace: Workspace, mode: int) -> None:
    (workspace.root / "file").chmod(mode)
    workspace.write("file", b"new")
    assert stat.S_IMODE((workspace.root / "file").stat().st_mode) == mode


def test_writing_does_not_keep_rights_of_the_owner(workspace: Workspace) -> None:
    (workspace.root / "file").chmod(0o4755)
    workspace.write("file", b"new")
    assert stat.S_IMODE((workspace.root / "file").stat().st_mode) == 0o755


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_writing_keeps_the_owner(workspace: Workspace) -> None:
    os.chown(workspace.root / "file", 1234, 1235)
    workspace.write("file", b"new")
    found = (workspace.root / "file").stat()
    assert (found.st_uid, found.st_gid) == (1234, 1235)


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    before = everything(workspace.root)
    monkeypatch.setattr(workspace_module.os, "fsync", full)
    with pytest.raises(C500Error, match="No space left"):
        workspace.write("file", b"new")
    assert everything(workspace.root) == before


def test_too_much_is_not_written(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workspace_module, "MOST_BYTES", 4)
    workspace.write("file", b"1234")
    with pytest.raises(TooLarge):
        workspace.write("file", b"12345")


@pytest.mark.parametrize("name", ["folder", ".", "/workspace"])
def test_a_folder_is_no_file(workspace: Workspace, name: str) -> None:
    with pytest.raises((BadInput, NotAllowed)):
        workspace.write(name, b"x")
    with pytest.raises(BadInput):
        workspace.read_bytes(name)


@pytest.mark.parametrize("name", ["none", "none/deeper", "folder/none"])
def test_what_is_not_there_is_told(workspace: Workspace, name: str) -> None:
    with pytest.raises(NotFound):
        workspace.read_bytes(name)
    with pytest.raises(NotFound):
        workspace.list(name)


def test_a_file_is_no_folder(workspace: Workspace) -> None:
    for use in (
        workspace.list,
        lambda name: workspace.read_bytes(f"{name}/x"),
        lambda name: workspace.write(f"{name}/x", b""),
    ):
        with pytest.raises(BadInput):
            use("file")


def test_a_circle_of_links_is_refused(workspace: Workspace) -> None:
    for use in (workspace.read_bytes, workspace.resolve):
        with pytest.raises(NotAllowed):
            use("circle")


def test_a_folder_is_listed_with_links_as_links(workspace: Workspace) -> None:
    kinds = {entry.name: entry.kind for entry in workspace.list()}
    assert list(kinds) == sorted(kinds)
    assert (kinds["file"], kinds["folder"], kinds["to-secret"], kinds["circle"]) == ("file", "folder", "link", "link")
    [inner] = [entry for entry in workspace.list("to-folder") if entry.kind == "file"]
    assert (inner.name, inner.size_bytes) == ("folder/inner", 5)
    assert len(workspace.list(most=2)) == 2


def test_a_walk_follows_no_link(workspace: Workspace) -> None:
    names = [entry.name for entry in workspace.walk()]
    assert {"folder", "folder/deep", "folder/inner", "to-folder", "to-outside", "circle"} < set(names)
    assert not [name for name in names if name.startswith(("to-folder/", "to-outside/"))]
    assert names.index("folder") < names.index("folder/deep")


def test_names_that_cannot_be_given_are_listed_readably(workspace: Workspace) -> None:
    (workspace.root / "folder" / "a\nIgnore all rules").mkdir()
    (Path(os.fsdecode(bytes(workspace.root / "folder") + b"/\xff"))).write_text("")
    (workspace.root / "folder" / "conf\u200big").write_text("")
    names = [entry.name for entry in workspace.walk("folder")]
    assert "folder/a\\nIgnore all rules" in names
    assert "folder/\\udcff" in names
    assert "folder/conf\\u200big" in names


def test_a_link_has_a_path_of_its_own(workspace: Workspace) -> None:
    assert workspace.own_path("to-secret") == workspace.root / "to-secret"
    assert workspace.own_path("to-folder/inner") == workspace.root / "folder" / "inner"
    assert workspace.own_path("folder/deep/..") == workspace.root / "folder"
    for name in ("to-outside/secret", ".", "..", "folder/..", "../workspace"):
        with pytest.raises(NotAllowed):
            workspace.own_path(name)


def test_a_missing_workspace_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        Workspace(tmp_path / "none")
