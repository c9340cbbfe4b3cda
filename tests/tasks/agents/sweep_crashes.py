"""Killed while sweeping: nothing is half gone that could be gone on with, and the next sweep comes to the same end."""

import os
from pathlib import Path

from blocks.store import LocalFiles
from blocks.trash import Trash
from tasks.agents.retired import retired
from tests.tasks.agents.left_behind import LeftBehind

RUN = "a" * 16

os.fsync = lambda _handle: None  # who is killed loses nothing that was written; only a machine that dies does


def _prepare(place: Path) -> None:
    LeftBehind.at(place).run(RUN, begun=40, ended=39)


def _sweep(place: Path) -> None:
    _left(place).sweep()


def _finished(place: Path, _killed: bool) -> None:
    left = _left(place)
    if retired(left.files, RUN) is None:
        assert all(len(list((left.home / name / RUN).iterdir())) == 2 for name in ("results", "runs"))
    left.sweep()
    assert retired(left.files, RUN) is not None
    assert left.has("results") == left.has("runs") == left.has("workspaces") == set()
    [trashed] = Trash(left.home / "trash").list()
    Trash(left.home / "trash").restore(trashed.trash_id)
    assert (left.home / "workspaces" / RUN / "made.txt").read_text() == "work"


def _left(place: Path) -> LeftBehind:
    return LeftBehind((place / "agents").resolve(), LocalFiles(place / "store"))


CASES = [(_prepare, _sweep, _finished)]
