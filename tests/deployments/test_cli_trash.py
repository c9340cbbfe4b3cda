"""`c500 trash`: what agents deleted is listed, had back, and deleted for good when somebody says so."""

import json
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from blocks.errors import BadInput, Conflict
from blocks.settings import settings
from blocks.trash import Trash, Trashed
from blocks.workspace import Workspace
from deployments.cli import app, trash

assert trash.commands


def c500(*arguments: str, stdin: str | None = None) -> Result:
    """Run a command in this process; what it raises is in `exception`."""
    return CliRunner().invoke(app, ["trash", *arguments], input=stdin)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    (tmp_path / "work").mkdir()
    return Workspace(tmp_path / "work")


@pytest.fixture
def deleted(workspace: Workspace) -> Trashed:
    """A file of five bytes."""
    (workspace.root / "notes.txt").write_text("notes")
    return Trash(settings().agents_home / "trash").put(workspace, "notes.txt")


def test_what_was_deleted_is_listed_also_as_json(deleted: Trashed) -> None:
    line = c500("list").stdout
    assert deleted.trash_id in line
    assert f"notes.txt  in {deleted.root}" in line
    assert json.loads(c500("list", "--json").stdout) == [deleted.model_dump(mode="json")]


def test_an_empty_trash_is_said() -> None:
    assert "the trash is empty" in c500("list").stderr
    assert json.loads(c500("list", "--json").stdout) == []


def test_a_name_that_an_agent_chose_cannot_move_the_cursor(workspace: Workspace) -> None:
    root = workspace.root / "a\x1b[2Jb"
    root.mkdir()
    (root / "file").write_text("x")
    Trash(settings().agents_home / "trash").put(Workspace(root), "file")
    assert "\x1b" not in c500("list").stdout
    assert "a\\x1b[2Jb" in c500("list").stdout


def test_it_is_put_back_by_the_beginning_of_its_id(deleted: Trashed) -> None:
    told = c500("restore", deleted.trash_id[:5])
    assert told.stdout == f"notes.txt is back in {deleted.root}\n"
    assert Path(deleted.root, "notes.txt").read_text() == "notes"
    assert "the trash is empty" in c500("list").stderr


def test_what_has_taken_its_place_is_not_overwritten(deleted: Trashed) -> None:
    Path(deleted.root, "notes.txt").write_text("newer")
    assert isinstance(c500("restore", deleted.trash_id).exception, Conflict)
    assert Path(deleted.root, "notes.txt").read_text() == "newer"
    assert deleted.trash_id in c500("list").stdout


@pytest.mark.parametrize("trash_id", ["", "../../etc", "nothing"])
def test_an_id_that_there_is_not_is_refused(deleted: Trashed, trash_id: str) -> None:
    assert isinstance(c500("restore", trash_id).exception, BadInput)


def test_two_ids_that_begin_alike_are_told_apart(workspace: Workspace) -> None:
    for number in range(17):  # of 17 ids two begin with the same digit
        (workspace.root / str(number)).write_text("x")
        Trash(settings().agents_home / "trash").put(workspace, str(number))
    ids = [one["trash_id"] for one in json.loads(c500("list", "--json").stdout)]
    twice = next(one[0] for one in ids if sum(other[0] == one[0] for other in ids) > 1)
    assert "begin with" in str(c500("restore", twice).exception)


def test_nothing_is_deleted_for_good_before_its_time(deleted: Trashed) -> None:
    assert "0 things" in c500("purge").stderr
    assert "0 things" in c500("purge", "--older-than-days", "1", "--yes").stderr
    assert deleted.trash_id in c500("list").stdout


def test_deleting_for_good_is_asked_about_once(deleted: Trashed) -> None:
    refused = c500("purge", "--older-than-days", "0", stdin="n\n")
    assert refused.exit_code == 1
    assert "delete 1 things, 5 bytes, for good?" in refused.stderr
    assert deleted.trash_id in c500("list").stdout
    assert "1 things, 5 bytes, are gone" in c500("purge", "--older-than-days", "0", stdin="y\n").stderr
    assert "the trash is empty" in c500("list").stderr


def test_scripts_delete_for_good_without_being_asked(deleted: Trashed) -> None:
    gone = json.loads(c500("purge", "--older-than-days", "0", "--yes", "--json").stdout)
    assert [one["trash_id"] for one in gone] == [deleted.trash_id]
    assert json.loads(c500("purge", "--older-than-days", "0", "--yes", "--json").stdout) == []
