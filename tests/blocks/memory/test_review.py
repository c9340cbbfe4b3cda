"""What people do with memories: list, release, forget, erase, read as a page."""

import multiprocessing
import sqlite3
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from blocks.errors import BadInput, Conflict, NotFound
from blocks.memory import Memory, Namespace
from blocks.memory.file import MemoryFile
from blocks.memory.notes import notes
from tests.blocks.memory.conftest import ANN, BEN, Clock, call

MARKER = "zanzibarmarker"


def bytes_of(path: Path) -> bytes:
    return b"".join(one.read_bytes() for one in path.parent.iterdir())


async def test_what_an_agent_forgets_can_be_had_back_for_30_days(memory: Memory, clock: Clock) -> None:
    record = (await memory.remember(ANN, "The port is 5432.", origin=call())).record
    forgotten = await memory.forget(record.memory_id, "operator, run r", ANN)
    assert forgotten.state == "forgotten"
    assert (await memory.recall(ANN, "port 5432", least=0)).found == ()
    clock.days(29)
    await memory.tidy()
    assert (await memory.release(record.memory_id, "carol")).is_recalled
    await memory.forget(record.memory_id, "carol")
    clock.days(31)
    assert (await memory.tidy()).erased == 1
    with pytest.raises(NotFound):
        await memory.record(record.memory_id)


async def test_an_agent_forgets_only_what_is_its_own(memory: Memory) -> None:
    record = (await memory.remember(ANN, "The port is 5432.", origin=call())).record
    with pytest.raises(NotFound):
        await memory.forget(record.memory_id, "operator, run r", BEN)
    assert (await memory.record(record.memory_id)).state == "active"


@pytest.mark.parametrize("by", ["", "  "])
async def test_who_decides_must_be_named(memory: Memory, by: str) -> None:
    record = (await memory.remember(ANN, "x", origin=call(0, "run", "untrusted"))).record
    with pytest.raises(BadInput):
        await memory.release(record.memory_id, by)


async def test_what_is_recalled_needs_no_release(memory: Memory) -> None:
    record = (await memory.remember(ANN, "x", origin=call())).record
    with pytest.raises(Conflict):
        await memory.release(record.memory_id, "carol")


async def test_lists_and_exports_hold_every_state_in_the_order_of_writing(memory: Memory) -> None:
    for number in range(7):
        await memory.remember(ANN, f"fact {number}", origin=call(number, "run", *(["untrusted"] if number % 2 else [])))
    await memory.remember(BEN, "fact of ben", origin=call(8))
    everything = [one async for one in memory.every()]
    assert [one.text for one in everything] == [*(f"fact {number}" for number in range(7)), "fact of ben"]
    assert everything == await memory.records()
    assert [one.text async for one in memory.every(user="ben")] == ["fact of ben"]
    assert [one.text for one in await memory.records(states=["quarantined"])] == ["fact 1", "fact 3", "fact 5"]
    assert [one.text for one in await memory.records(agent="operator", user="ann", most=2)] == ["fact 0", "fact 1"]
    assert await memory.namespaces() == [ANN, BEN]


async def test_of_an_erased_user_no_byte_is_left(memory: Memory, path: Path) -> None:
    for number in range(30):
        await memory.remember(ANN, f"{MARKER}{number} likes tea number {number}", origin=call(number))
        await memory.remember(BEN, f"ben likes coffee number {number}", origin=call(number, "of-ben"))
    await memory.recall(ANN, f"{MARKER}3 tea", run_id="run", call_id="start")
    assert MARKER.encode() in bytes_of(path)
    erased = await memory.erase(user="ann")
    assert (erased.memories, erased.residue) == (30, False)
    assert MARKER.encode() not in bytes_of(path)
    assert b"ann" not in bytes_of(path)
    assert await memory.namespaces() == [BEN]
    assert (await memory.recall(BEN, "coffee number 7")).found[0].record.text.endswith("number 7")
    with sqlite3.connect(path) as database:
        assert database.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        assert database.execute("SELECT count(*) FROM vectors").fetchone()[0] == 30


async def test_a_call_that_is_repeated_does_not_bring_back_what_was_erased(memory: Memory) -> None:
    await memory.remember(ANN, MARKER, origin=call(1))
    await memory.erase(user="ann")
    with pytest.raises(NotFound, match="erased"):
        await memory.remember(ANN, MARKER, origin=call(1))
    assert await memory.records() == []


async def test_an_erasure_must_name_whom(memory: Memory) -> None:
    with pytest.raises(BadInput):
        await memory.erase()
    with pytest.raises(NotFound):
        await memory.erase(memory_id="0" * 16)


def read_until_told(path: str, told: Connection) -> None:
    """Another process that looks at the memory."""
    with MemoryFile(Path(path)).read() as database:
        database.execute("SELECT count(*) FROM memories").fetchone()
        told.send("reading")
        told.recv()


async def test_that_a_reader_keeps_traces_is_said_and_the_night_clears_them(
    memory: Memory, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("blocks.memory.file.CLEAR_S", 0.1)
    await memory.remember(ANN, MARKER, origin=call())
    here, there = multiprocessing.Pipe()
    reader = multiprocessing.get_context("spawn").Process(target=read_until_told, args=(str(path), there))
    reader.start()
    assert here.recv() == "reading"
    assert (await memory.erase(user="ann")).residue
    here.send("enough")
    reader.join()
    await memory.tidy()
    assert MARKER.encode() not in bytes_of(path)


async def test_the_page_shows_what_is_recalled_by_kind_and_cannot_be_forged(memory: Memory) -> None:
    await memory.remember(
        ANN, "likes *short* answers\n# Not a heading", origin=call(1), kind="preference", importance=6
    )
    await memory.remember(ANN, "uses vim", origin=call(2), kind="preference", importance=7)
    await memory.remember(ANN, "db-3 is primary", origin=call(3))
    await memory.remember(ANN, "from a web page", origin=call(4, "run", "untrusted"))
    page = notes(ANN, await memory.records())
    lines = page.splitlines()
    assert lines[0] == "# Memory of operator for ann"
    assert [line for line in lines if line.startswith("#")] == [lines[0], "## Preferences", "## Facts"]
    assert page.index("uses vim") < page.index("likes \\*short\\* answers \\# Not a heading") < page.index("db-3")
    assert "web page" not in page
    assert "1 more wait for a person" in page


async def test_the_page_of_nothing_says_so(memory: Memory) -> None:
    assert "Nothing yet." in notes(Namespace(agent="a", user=""), await memory.records())


async def test_erasing_and_writing_go_on_side_by_side(opened: Callable[..., Memory]) -> None:
    one, other = opened(), opened()
    for number in range(10):
        await one.remember(ANN, f"fact {number}", origin=call(number))
        await other.remember(BEN, f"fact {number}", origin=call(number, "of-ben"))
        await one.erase(user="ann")
    assert [record.namespace for record in await one.records()] == [BEN] * 10
