"""Killed at any point of an effect: it happens at most once, and one that may be repeated happens."""

import asyncio
import os
from pathlib import Path

from blocks.effects import EffectLedger, InDoubt


def _nothing(_place: Path) -> None:
    pass


def _times(place: Path) -> int:
    happened = place / "happened"
    return len(happened.read_text()) if happened.exists() else 0


def _once(place: Path, *, repeatable: bool) -> object:
    async def perform() -> object:
        handle = os.open(place / "happened", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(handle, b"x")
        os.close(handle)
        return {"answer": 42}

    return asyncio.run(EffectLedger(place / "effects").once("run/call", perform, repeatable=repeatable))


def _do(place: Path) -> None:
    _once(place, repeatable=False)


def _do_repeatable(place: Path) -> None:
    _once(place, repeatable=True)


def _at_most_once(place: Path, killed: bool) -> None:
    try:
        assert _once(place, repeatable=False) == {"answer": 42}
        assert _times(place) == 1
    except InDoubt:
        assert killed
        assert _times(place) <= 1
        EffectLedger(place / "effects").settle("run/call", {"answer": 42})
        assert _once(place, repeatable=False) == {"answer": 42}
        assert _times(place) <= 1


def _at_least_once(place: Path, _killed: bool) -> None:
    assert _once(place, repeatable=True) == {"answer": 42}
    assert 1 <= _times(place) <= 2


CASES = [(_nothing, _do, _at_most_once), (_nothing, _do_repeatable, _at_least_once)]
