"""Messages of a team: written once, in one order, whoever dies in between."""

import asyncio
from pathlib import Path

import pytest

from blocks.errors import StoreFailed
from blocks.store import LocalFiles
from tasks.agents.team.message_log import MessageLog
from tests.tasks.agents.team.making import Recorded


async def test_messages_are_numbered_in_order_also_when_told_at_once(tmp_path: Path) -> None:
    log = MessageLog(LocalFiles(tmp_path), "agents/teams/t1", Recorded())
    await asyncio.gather(*(log.post(f"r{n}", f"t{n}", "lead", "worker", "task", f"Do {n}.") for n in range(8)))
    assert [one.seq for one in await log.all()] == list(range(1, 9))
    assert {one.chars for one in await log.all()} == {5}


async def test_a_message_is_told_once(tmp_path: Path) -> None:
    files, record = LocalFiles(tmp_path), Recorded()
    first = await MessageLog(files, "agents/teams/t1", record).post("r", "t", "lead", "worker", "task", "Do it.")
    again = MessageLog(files, "agents/teams/t1", record)
    assert await again.post("r", "t", "lead", "worker", "task", "Do it.") == first
    await again.post("r", "t", "worker", "lead", "result", "Done.")
    assert [(one.seq, one.kind) for one in await again.all()] == [(1, "task"), (2, "result")]
    assert list(record.entries) == ["message/r/t/task", "message/r/t/result"]
    phase, facts = record.entries["message/r/t/task"]
    assert phase == "message"
    assert facts["details"]["body_sha256"] == first.body_sha256


async def test_what_says_something_else_in_its_place_ends_it_and_is_not_audited(tmp_path: Path) -> None:
    files, record = LocalFiles(tmp_path), Recorded()
    await MessageLog(files, "f", Recorded()).post("r", "t", "lead", "worker", "task", "Do it.")
    for sender, body in (("eve", "Do it."), ("lead", "Do it otherwise.")):
        with pytest.raises(StoreFailed, match="message 1"):
            await MessageLog(files, "f", record).post("r", "t", sender, "worker", "task", body)
    assert not record.entries


async def test_messages_that_do_not_count_on_are_not_read(tmp_path: Path) -> None:
    files = LocalFiles(tmp_path)
    await MessageLog(files, "f", Recorded()).post("r", "t", "lead", "worker", "task", "Do it.")
    files.put_bytes("f/messages/000003.json", files.read_bytes("f/messages/000001.json"))
    with pytest.raises(StoreFailed, match="number 1"):
        await MessageLog(files, "f", Recorded()).all()


async def test_what_another_hand_wrote_meanwhile_is_not_written_over(tmp_path: Path) -> None:
    files = LocalFiles(tmp_path)
    ours, theirs = (MessageLog(files, "agents/teams/t1", Recorded()) for _ in range(2))
    await ours.all()
    await theirs.post("r1", "a", "lead", "worker", "task", "A")
    await ours.post("r2", "b", "lead", "worker", "task", "B")
    assert [(one.seq, one.task_id) for one in await ours.all()] == [(1, "a"), (2, "b")]


async def test_a_message_that_was_told_but_not_audited_is_audited_by_the_next_attempt(tmp_path: Path) -> None:
    async def dies(*_: object, **__: object) -> None:
        raise StoreFailed("no disk", fix="free some")

    files, record = LocalFiles(tmp_path), Recorded()
    with pytest.raises(StoreFailed):
        await MessageLog(files, "f", dies).post("r", "t", "lead", "worker", "task", "Do it.")
    await MessageLog(files, "f", record).post("r", "t", "lead", "worker", "task", "Do it.")
    assert list(record.entries) == ["message/r/t/task"]


async def test_a_damaged_message_is_no_message(tmp_path: Path) -> None:
    files = LocalFiles(tmp_path)
    files.put_bytes("f/messages/000001.json", b"{")
    with pytest.raises(StoreFailed, match="000001"):
        await MessageLog(files, "f", Recorded()).all()
