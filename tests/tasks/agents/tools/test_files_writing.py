"""Writing, editing, deleting files of the workspace, and undoing it."""

import asyncio
import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.errors import BadInput, Conflict, NotAllowed, NotFound, TooLarge
from blocks.trash import Trash
from blocks.workspace import Workspace
from tasks.agents.tool import Place
from tasks.agents.tools import files
from tasks.agents.tools.files.versions import Versions, version_id_of
from tasks.agents.tools.files.writing import EditFile, edited
from tests.tasks.agents.tools.conftest import Hand, by_name

TOOLS = by_name(files.TOOLS)
WRITE, EDIT = TOOLS["write_file"], TOOLS["edit_file"]
DELETE, RESTORE = TOOLS["delete_file"], TOOLS["restore_file"]


async def test_a_file_is_written_with_its_folders_and_can_be_taken_back(hand: Hand, folder: Path) -> None:
    made = await hand.use(WRITE, path="a/b/c.txt", content="xin chào")
    assert (folder / "a/b/c.txt").read_text() == "xin chào"
    await hand.use(RESTORE, restore_id=made["restore_id"])
    assert not (folder / "a/b/c.txt").exists()


async def test_overwriting_keeps_mode_and_what_was_there(hand: Hand, folder: Path) -> None:
    script = folder / "run.sh"
    script.write_text("old")
    script.chmod(0o755)
    made = await hand.use(WRITE, path="run.sh", content="new")
    assert (script.read_text(), script.stat().st_mode & 0o777) == ("new", 0o755)
    await hand.use(RESTORE, restore_id=made["restore_id"])
    assert (script.read_text(), script.stat().st_mode & 0o777) == ("old", 0o755)


async def test_the_same_content_changes_nothing(hand: Hand, folder: Path) -> None:
    (folder / "a").write_text("same")
    before = (folder / "a").stat().st_mtime_ns
    assert (await hand.use(WRITE, path="a", content="same"))["unchanged"]
    assert (folder / "a").stat().st_mtime_ns == before


async def test_a_repeated_write_still_gives_back_the_first_content(hand: Hand, folder: Path) -> None:
    """A crash after the write and before it was noted: the call is made again."""
    (folder / "a").write_text("old")
    first = await hand.use(WRITE, "call-7", path="a", content="new")
    again = await hand.use(WRITE, "call-7", path="a", content="new")
    assert again == first
    await hand.use(RESTORE, restore_id=first["restore_id"])
    assert (folder / "a").read_text() == "old"


async def test_a_restore_does_not_undo_what_others_did_since(hand: Hand, folder: Path) -> None:
    (folder / "a").write_text("old")
    made = await hand.use(WRITE, path="a", content="new")
    (folder / "a").write_text("newer, by a person")
    with pytest.raises(Conflict):
        await hand.use(RESTORE, restore_id=made["restore_id"])
    assert (folder / "a").read_text() == "newer, by a person"


async def test_a_file_too_large_to_be_kept_is_not_overwritten(hand: Hand, folder: Path) -> None:
    with (folder / "big").open("wb") as big:
        big.truncate(17 << 20)
    with pytest.raises(TooLarge, match="undoing"):
        await hand.use(WRITE, path="big", content="x")


async def test_an_edit_replaces_the_one_place(hand: Hand, folder: Path) -> None:
    (folder / "a.py").write_text("a = 1\nb = 1\n")
    made = await hand.use(EDIT, path="a.py", old="a = 1\n", new="a = 2\n")
    assert (folder / "a.py").read_text() == "a = 2\nb = 1\n"
    await hand.use(RESTORE, restore_id=made["restore_id"])
    assert (folder / "a.py").read_text() == "a = 1\nb = 1\n"


@pytest.mark.parametrize(
    ("old", "new", "why"), [("x", "y", "not in"), ("= 1", "= 2", "more than once"), ("aa", "b", "more than once")]
)
async def test_an_edit_that_is_not_clear_is_refused(hand: Hand, folder: Path, old: str, new: str, why: str) -> None:
    (folder / "a.py").write_text("a = 1\nb = 1\naaa")
    with pytest.raises(BadInput, match=why):
        await hand.use(EDIT, path="a.py", old=old, new=new)
    assert (folder / "a.py").read_text() == "a = 1\nb = 1\naaa"


async def test_an_edit_keeps_line_ends_of_windows(hand: Hand, folder: Path) -> None:
    (folder / "a.txt").write_bytes(b"one\r\ntwo\r\nthree\r\n")
    await hand.use(EDIT, path="a.txt", old="one\ntwo\n", new="1\n2\n")
    assert (folder / "a.txt").read_bytes() == b"1\r\n2\r\nthree\r\n"


@given(
    content=st.text("ab\n", max_size=12), old=st.text("ab\n", min_size=1, max_size=3), new=st.text("ab\n", max_size=4)
)
def test_an_edit_changes_nothing_else(content: str, old: str, new: str) -> None:
    try:
        after = edited(content.encode(), EditFile(path="a", old=old, new=new)).decode()
    except BadInput:
        places = sum(content.startswith(old, at) for at in range(len(content)))
        assert places != 1 or old == new
    else:
        before, _, behind = content.partition(old)
        assert after == before + new + behind


@given(content=st.text("ab", max_size=8), old=st.text("ab", min_size=1, max_size=3), new=st.text("ab", max_size=4))
async def test_an_edit_that_is_repeated_after_a_crash_is_done_once(
    tmp_path_factory: pytest.TempPathFactory, content: str, old: str, new: str
) -> None:
    root = tmp_path_factory.mktemp("again")
    (root / "private").mkdir()
    (root / "a").write_text(content)
    place = Place(
        workspace=Workspace(root),
        sandbox=None,  # type: ignore[arg-type]
        trash=None,  # type: ignore[arg-type]
        redactor=None,  # type: ignore[arg-type]
        private=root / "private",
    )
    hand = Hand(place)
    try:
        first = await hand.use(EDIT, "call-1", path="a", old=old, new=new)
    except BadInput:
        return
    after = (root / "a").read_text()
    again = await hand.use(EDIT, "call-1", path="a", old=old, new=new)
    assert (root / "a").read_text() == after
    assert again["restore_id"] == first["restore_id"]


async def test_a_file_that_was_kept_but_not_written_is_written_by_the_next_attempt(hand: Hand, folder: Path) -> None:
    (folder / "a").write_text("one two")
    code = (
        "import sys, os; from pathlib import Path\n"
        "from blocks.workspace import Workspace\n"
        "from tasks.agents.tools.files.versions import Versions\n"
        "Workspace.write = lambda *a: os.kill(os.getpid(), 9)\n"
        "Versions(Path(sys.argv[2])).write(Workspace(Path(sys.argv[1])), 'a', b'one two', b'1 two', sys.argv[3])\n"
    )
    effect = hand.call("call-9").effect_id
    versions = hand.place.private / "versions"
    killed = await asyncio.create_subprocess_exec(sys.executable, "-c", code, folder, versions, effect)
    assert await killed.wait() == -9 and Versions(versions).known(effect) is not None
    await hand.use(EDIT, "call-9", path="a", old="one", new="1")
    assert (folder / "a").read_text() == "1 two"


async def test_an_attempt_does_not_write_over_what_others_wrote_meanwhile(hand: Hand, folder: Path) -> None:
    (folder / "a").write_text("one")
    await hand.use(EDIT, "call-3", path="a", old="one", new="two")
    (folder / "a").write_text("one, by a person")
    with pytest.raises(Conflict):
        await hand.use(EDIT, "call-3", path="a", old="one", new="two")


async def test_a_folder_is_deleted_and_restored(hand: Hand, folder: Path) -> None:
    (folder / "logs" / "old").mkdir(parents=True)
    (folder / "logs" / "old" / "a.log").write_text("x" * 10)
    deleted = await hand.use(DELETE, path="logs")
    assert deleted["files"] == 1 and deleted["size_bytes"] == 10 and not (folder / "logs").exists()
    await hand.use(RESTORE, restore_id=deleted["restore_id"])
    assert (folder / "logs" / "old" / "a.log").read_text() == "x" * 10


async def test_deleting_a_link_leaves_what_it_leads_to(hand: Hand, folder: Path) -> None:
    """The deleted symlinked logs: a cleaner followed a link and deleted the files of another service."""
    (folder.parent / "service").mkdir()
    (folder.parent / "service" / "app.log").write_text("precious")
    (folder / "logs").symlink_to(folder.parent / "service")
    deleted = await hand.use(DELETE, path="logs")
    assert deleted["kind"] == "link"
    assert (folder.parent / "service" / "app.log").read_text() == "precious"


async def test_a_repeated_deletion_gives_the_same_id(hand: Hand, folder: Path) -> None:
    (folder / "a").write_text("x")
    first = await hand.use(DELETE, "call-4", path="a")
    assert (await hand.use(DELETE, "call-4", path="a"))["restore_id"] == first["restore_id"]
    with pytest.raises(NotFound):
        await hand.use(DELETE, path="never-there")


async def test_nothing_of_another_workspace_is_restored(hand: Hand, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a").write_text("theirs")
    other = Workspace(tmp_path / "other")
    trashed = hand.place.trash.put(other, "a")
    version = Versions(hand.place.private / "versions").write(other, "b", None, b"x", "r/c")
    for restore_id in (trashed.trash_id, version.version_id):
        with pytest.raises(NotAllowed, match="another workspace"):
            await hand.use(RESTORE, restore_id=restore_id)
    assert not (tmp_path / "other" / "a").exists()


@pytest.mark.parametrize("restore_id", ["0" * 16, "v" + "0" * 16])
def test_what_was_never_deleted_is_not_restored(hand: Hand, restore_id: str) -> None:
    with pytest.raises(NotFound):
        hand.touches(RESTORE, restore_id=restore_id)


@pytest.mark.parametrize("path", ["../x", "/etc/x", "out/x", ".git/hooks/pre-commit", "sub/.git/config", ".", "hard"])
@pytest.mark.parametrize("tool", ["write_file", "edit_file"])
async def test_what_is_not_the_agent_s_is_not_written(hand: Hand, folder: Path, tool: str, path: str) -> None:
    (folder.parent / "elsewhere").mkdir()
    (folder / "out").symlink_to(folder.parent / "elsewhere")
    (folder.parent / "elsewhere" / "a").write_text("x")
    os.link(folder.parent / "elsewhere" / "a", folder / "hard")
    arguments = {"content": "y"} if tool == "write_file" else {"old": "x", "new": "y"}
    with pytest.raises(NotAllowed):
        hand.touches(TOOLS[tool], path=path, **arguments)
    with pytest.raises((NotAllowed, BadInput)):
        await TOOLS[tool].call(TOOLS[tool].arguments.model_validate({"path": path, **arguments}), hand.call())
    assert (folder.parent / "elsewhere" / "a").read_text() == "x"


def test_rules_see_what_would_be_written(hand: Hand, folder: Path) -> None:
    (folder / "real").mkdir()
    (folder / "link").symlink_to("real")
    touched = hand.touches(WRITE, path="link/a.txt", content="đ")
    assert (touched.writes, touched.size_bytes) == ((str(folder / "real" / "a.txt"),), 2)
    assert hand.touches(DELETE, path="link").removes == (str(folder / "link"),)


async def test_approvers_see_the_difference(hand: Hand, folder: Path) -> None:
    (folder / "a").write_text("one\ntwo\n")
    assert "-two\n+zwei\n" in await hand.preview(EDIT, path="a", old="two", new="zwei")
    assert "+three\n" in await hand.preview(WRITE, path="a", content="one\ntwo\nthree\n")
    shown = await hand.preview(WRITE, path="b", content="x\n" * 100_000)
    assert len(shown) < 10_000
    assert (folder / "a").read_text() == "one\ntwo\n"


def test_old_versions_are_forgotten(tmp_path: Path) -> None:
    (tmp_path / "w").mkdir()
    workspace, versions = Workspace(tmp_path / "w"), Versions(tmp_path / "v")
    version = versions.write(workspace, "a", None, b"x", "r/1")
    os.utime(tmp_path / "v" / version.version_id, (0, 0))
    versions.write(workspace, "a", b"x", b"y", "r/2")
    assert versions.purge(3600) == 1
    with pytest.raises(NotFound):
        versions.restore(workspace, Trash(tmp_path / "t"), version.version_id)
    assert versions.restore(workspace, Trash(tmp_path / "t"), version_id_of("r/2")).name == "a"
