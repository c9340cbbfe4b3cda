"""The ledger: an effect happens at most once, and its outcome is kept."""

import asyncio
import fcntl
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from blocks import effects as effects_module
from blocks.effects import RESULT_BYTES, EffectLedger, InDoubt, _lock
from blocks.errors import BadInput, C500Error, Conflict, EngineFailed, NotFound, Stopped, StoreFailed, TooLarge


class Doing:
    """An effect that counts how often it happens."""

    def __init__(self, gives: Any = None, fails: BaseException | None = None) -> None:
        self.times, self._gives, self._fails = 0, gives, fails

    async def __call__(self) -> Any:
        self.times += 1
        await asyncio.sleep(0)
        if self._fails:
            raise self._fails
        return self._gives


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "effects"


@pytest.fixture
def ledger(folder: Path) -> EffectLedger:
    return EffectLedger(folder, wait_s=5)


@pytest.mark.parametrize("gives", [None, 0, "text", [1, 2], {"a": {"b": [None, "é\ud800"]}}, (1, (2,)), {1: 2}])
async def test_an_effect_happens_once_and_gives_the_same(ledger: EffectLedger, folder: Path, gives: Any) -> None:
    doing = Doing(gives)
    first = await ledger.once("run/call", doing)
    assert first == json.loads(json.dumps(gives))
    assert await EffectLedger(folder).once("run/call", doing) == first
    assert doing.times == 1


async def test_effects_with_other_ids_are_others(ledger: EffectLedger) -> None:
    doing = Doing(1)
    for effect_id in ("run/1", "run/2", "run2/1", "../run/1", "rün/1", "run/1\n", "x" * 5000):
        await ledger.once(effect_id, doing)
    assert doing.times == 7


async def test_of_many_at_once_one_does_it_and_all_get_it(folder: Path) -> None:
    doing = Doing("given")
    given = await asyncio.gather(*(EffectLedger(folder, wait_s=5).once("run/call", doing) for _ in range(8)))
    assert given == ["given"] * 8
    assert doing.times == 1


async def test_another_that_does_not_come_to_an_end_is_told(ledger: EffectLedger, folder: Path) -> None:
    doing, other = Doing(1), EffectLedger(folder, wait_s=0)

    async def meanwhile() -> None:
        with pytest.raises(Conflict):
            await other.once("run/call", doing)
        with pytest.raises(Conflict):
            other.settle("run/call", 2)
        with pytest.raises(Conflict):
            other.release("run/call")

    await ledger.once("run/call", meanwhile)
    assert doing.times == 0


async def test_a_typed_error_is_kept_and_raised_again(ledger: EffectLedger) -> None:
    doing = Doing(fails=TooLarge("too much", fix="take less", field="size", path=Path("a/b")))
    for _ in range(2):
        with pytest.raises(TooLarge) as raised:
            await ledger.once("run/call", doing)
        assert (raised.value.message, raised.value.fix) == ("too much", "take less")
        assert raised.value.details == {"field": "size", "path": "a/b"}
    assert doing.times == 1


async def test_an_error_whose_class_is_not_loaded_is_raised_as_ours(ledger: EffectLedger, folder: Path) -> None:
    with pytest.raises(BadInput):
        await ledger.once("run/call", Doing(fails=BadInput("m", fix="f")))
    [record] = folder.rglob("*.json")
    record.write_text(record.read_text().replace('"BAD_INPUT"', '"GONE"'))
    with pytest.raises(C500Error, match="m"):
        await ledger.once("run/call", Doing())


async def test_a_slow_disk_stops_nobody_else(ledger: EffectLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a disk that goes on only when the event loop does
    turned = threading.Event()
    real = effects_module.write_whole

    def slow(path: Path, content: bytes) -> None:
        assert turned.wait(10), "the event loop stood still"
        real(path, content)

    monkeypatch.setattr(effects_module, "write_whole", slow)
    asyncio.get_running_loop().call_later(0.01, turned.set)
    assert await ledger.once("run/call", Doing(1)) == 1


async def test_a_cancellation_gives_the_lock_back_after_the_writing(
    ledger: EffectLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given one that is cancelled twice while its end is written
    writing, go_on = threading.Event(), threading.Event()
    real = effects_module.write_whole

    def held(path: Path, content: bytes) -> None:
        if b'"done"' in content:
            writing.set()
            assert go_on.wait(10)
        real(path, content)

    monkeypatch.setattr(effects_module, "write_whole", held)
    first = asyncio.create_task(ledger.once("run/call", Doing("first")))
    assert await asyncio.to_thread(writing.wait, 10)
    for _ in range(2):
        first.cancel()
        await asyncio.sleep(0)
    with _lock(ledger._path("run/call")) as mine:
        assert not mine
    # When the disk goes on
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await first
    # Then its end is known
    assert await ledger.once("run/call", Doing("second")) == "first"


@pytest.mark.parametrize("fails", [ValueError("x"), asyncio.CancelledError(), Stopped("s", fix="f"), TimeoutError()])
async def test_after_anything_else_it_is_in_doubt(ledger: EffectLedger, fails: BaseException) -> None:
    with pytest.raises(type(fails)) as raised:
        await ledger.once("run/call", Doing(fails=fails))
    assert raised.value is fails
    doing = Doing(1)
    with pytest.raises(InDoubt, match="run/call") as doubt:
        await ledger.once("run/call", doing)
    assert doubt.value.code == "IN_DOUBT"
    assert doing.times == 0
    assert [effect.effect_id for effect in ledger.begun()] == ["run/call"]


async def test_a_deadline_in_the_middle_leaves_it_in_doubt(ledger: EffectLedger) -> None:
    async def endless() -> None:
        await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await ledger.once("run/call", endless)
    with pytest.raises(InDoubt):
        await ledger.once("run/call", Doing())


async def test_what_may_be_repeated_is(ledger: EffectLedger) -> None:
    with pytest.raises(ValueError, match="x"):
        await ledger.once("run/call", Doing(fails=ValueError("x")), repeatable=True)
    doing = Doing("second")
    assert await ledger.once("run/call", doing, repeatable=True) == "second"
    assert await ledger.once("run/call", doing, repeatable=True) == "second"
    assert doing.times == 1


async def test_a_person_says_that_it_happened(ledger: EffectLedger) -> None:
    with pytest.raises(ValueError, match="x"):
        await ledger.once("run/call", Doing(fails=ValueError("x")))
    settled = ledger.settle("run/call", {"sent": True})
    assert (settled.state, settled.settled) == ("done", True)
    assert await ledger.once("run/call", Doing()) == {"sent": True}
    assert ledger.begun() == ()
    with pytest.raises(Conflict):
        ledger.settle("run/call", {"sent": False})


async def test_a_person_says_that_it_did_not_happen(ledger: EffectLedger) -> None:
    with pytest.raises(ValueError, match="x"):
        await ledger.once("run/call", Doing(fails=ValueError("x")))
    ledger.release("run/call")
    doing = Doing("now")
    assert await ledger.once("run/call", doing) == "now"
    with pytest.raises(Conflict):
        ledger.release("run/call")
    assert doing.times == 1


def test_what_never_began_cannot_be_settled(ledger: EffectLedger) -> None:
    for use in (lambda: ledger.settle("run/call", 1), lambda: ledger.release("run/call")):
        with pytest.raises(NotFound):
            use()
    assert ledger.look("run/call") is None


@pytest.mark.parametrize("gives", [object(), float("nan"), b"bytes", {(1,): 2}])
async def test_what_is_no_json_fails_and_is_not_done_again(ledger: EffectLedger, gives: Any) -> None:
    doing = Doing(gives)
    for _ in range(2):
        with pytest.raises(EngineFailed, match="no JSON"):
            await ledger.once("run/call", doing)
    assert doing.times == 1


async def test_what_is_too_large_fails_and_is_not_done_again(ledger: EffectLedger) -> None:
    assert len(await ledger.once("run/fits", Doing("x" * (RESULT_BYTES - 2)))) == RESULT_BYTES - 2
    doing = Doing("x" * (RESULT_BYTES - 1))
    for _ in range(2):
        with pytest.raises(TooLarge):
            await ledger.once("run/call", doing)
    assert doing.times == 1


async def test_a_damaged_record_is_told_and_nothing_is_done(ledger: EffectLedger, folder: Path) -> None:
    await ledger.once("run/call", Doing(1))
    [record] = folder.rglob("*.json")
    record.write_text("{")
    doing = Doing()
    with pytest.raises(StoreFailed, match="damaged"):
        await ledger.once("run/call", doing)
    assert doing.times == 0


async def test_what_cannot_be_written_down_is_not_done(ledger: EffectLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(effects_module, "write_whole", full)
    doing = Doing()
    with pytest.raises(StoreFailed, match="No space left"):
        await ledger.once("run/call", doing)
    assert doing.times == 0


async def test_an_end_that_cannot_be_written_down_leaves_it_in_doubt(
    ledger: EffectLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def filling() -> int:
        monkeypatch.setattr(effects_module, "write_whole", full)
        return 1

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(StoreFailed):
        await ledger.once("run/call", filling)
    monkeypatch.undo()
    with pytest.raises(InDoubt):
        await ledger.once("run/call", Doing())


async def test_old_outcomes_are_purged_and_doubts_kept(ledger: EffectLedger, folder: Path) -> None:
    await ledger.once("run/done", Doing(1))
    with pytest.raises(BadInput):
        await ledger.once("run/failed", Doing(fails=BadInput("m", fix="f")))
    with pytest.raises(ValueError, match="x"):
        await ledger.once("run/doubt", Doing(fails=ValueError("x")))
    half = next(folder.rglob("*.json")).with_name(".half.json.0123")
    half.write_text("")
    assert ledger.purge(3600) == 0
    assert half.exists()
    assert ledger.purge(-1) == 2
    assert not half.exists()
    assert [effect.effect_id for effect in ledger.begun()] == ["run/doubt"]
    assert len(list(folder.rglob("*.lock"))) == 1


async def test_a_damaged_record_keeps_no_other_from_being_purged(ledger: EffectLedger, folder: Path) -> None:
    for number in range(5):
        await ledger.once(f"run/{number}", Doing(number))
    damaged = next(ledger._files())
    damaged.write_text("{")
    with pytest.raises(StoreFailed, match="damaged"):
        ledger.purge(-1)
    assert [*folder.rglob("*.json")] == [damaged]


async def test_who_waits_while_its_effect_is_purged_does_it(ledger: EffectLedger) -> None:
    # Given a waiter that has opened the lock of an old effect
    await ledger.once("run/call", Doing("old"))
    path = ledger._path("run/call")
    with _lock(path) as mine:
        assert mine
        doing = Doing("new")
        waiting = asyncio.create_task(ledger.once("run/call", doing))
        await asyncio.sleep(0.01)
        # When it is purged
        path.unlink()
        path.with_suffix(".lock").unlink()
    # Then the waiter does not go on with a lock that nobody else sees
    assert await waiting == "new"
    assert path.with_suffix(".lock").exists()


def test_a_lock_that_was_purged_before_we_held_it_is_none(
    ledger: EffectLedger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, path = fcntl.flock, tmp_path / "record.json"

    def purged_first(handle: int, operation: int) -> None:
        path.with_suffix(".lock").unlink()
        real(handle, operation)

    monkeypatch.setattr(fcntl, "flock", purged_first)
    with _lock(path) as mine:
        assert not mine


async def test_records_are_for_our_user_only(ledger: EffectLedger, folder: Path) -> None:
    await ledger.once("run/call", Doing("secret"))
    assert folder.stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in folder.rglob("*") if path.is_file())


def test_killed_at_any_point_it_happens_at_most_once(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.blocks.crashes", "tests.blocks.effect_crashes", str(tmp_path / "crashes")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
    assert [int(points) >= 8 for points in done.stdout.split()] == [True, True]
