"""Records of a run: made once, found by later attempts."""

from pathlib import Path

import pytest

from blocks.errors import EngineFailed, StoreFailed
from blocks.model import Frozen
from tasks.agents.kept import Kept


class Note(Frozen):
    text: str


async def test_a_record_is_made_once(tmp_path: Path) -> None:
    made: list[str] = []

    async def make() -> Note:
        made.append("x")
        return Note(text="first")

    assert await Kept(tmp_path).once(Note, "a", make) == Note(text="first")
    assert await Kept(tmp_path).once(Note, "a", make) == Note(text="first")
    assert len(made) == 1


async def test_what_could_not_be_made_is_made_next_time(tmp_path: Path) -> None:
    async def fail() -> Note:
        raise EngineFailed("no", fix="again")

    async def make() -> Note:
        return Note(text="second")

    with pytest.raises(EngineFailed):
        await Kept(tmp_path).once(Note, "a", fail)
    assert (await Kept(tmp_path).once(Note, "a", make)).text == "second"


def test_names_of_any_form_stay_in_the_folder(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    for name in ("../up", "a/b", "x" * 5000, "call\n1"):
        kept.put(name, Note(text=name[:10]))
        assert kept.find(Note, name) == Note(text=name[:10])
    assert {path.parent for path in tmp_path.rglob("*") if path.is_file()} == {tmp_path}


def test_a_damaged_record_is_not_taken_for_none(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.put("a", Note(text="x"))
    [path] = tmp_path.iterdir()
    path.write_text("{")
    with pytest.raises(StoreFailed, match="cannot be read"):
        kept.find(Note, "a")
