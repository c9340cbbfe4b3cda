"""An analysis that is killed with SIGKILL before or after whatever it keeps loses nothing and counts nothing twice."""

import asyncio
from functools import partial
from pathlib import Path

import pytest

from blocks.manifests import Held
from blocks.store import open_store
from blocks.store.local import LocalFiles
from tasks.ops.logs import analyse as module
from tasks.ops.logs.analyse import states
from tests.tasks.ops.killing import killed_at
from tests.tasks.ops.logs.conftest import Analyse
from tests.tasks.ops.logs.test_going_on import NEW, append, later, text

LINES = 6_000 + 1 + 14_000
FOUND = ["ERROR certificate of host <num> has run out"]
CALLS = ((Held, "put"), (LocalFiles, "put_bytes"))


@pytest.mark.parametrize("who", ["itself", "another run"])
def test_wherever_an_analysis_is_killed_it_is_gone_on_with(
    who: str, tmp_path: Path, analysed: Analyse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PIECE_BYTES", 1)
    monkeypatch.setattr(module, "KEEP_EVERY_BYTES", 1)
    moment, was_killed = 0, True
    while was_killed:
        moment += 1
        path, state = tmp_path / f"web-{moment}.log", f"web-{moment}"
        path.write_text(text(6_000) + NEW.format(n=1) + later(14_000, 10))
        was_killed = killed_at(moment, partial(analysed, path, run_id=f"cut-{moment}", state=state), *CALLS)
        kept = states(open_store()).find(state)
        had_ended = kept is not None and kept.ended and bool(kept.marks)
        goes_on = f"cut-{moment}" if who == "itself" else f"next-{moment}"
        report = asyncio.run(analysed(path, run_id=goes_on, state=state))
        if who == "itself" or not had_ended:
            assert (report.lines + report.base_lines, [one.template for one in report.new]) == (LINES, FOUND)
        append(path, later(10, 30))
        after = asyncio.run(analysed(path, run_id=f"after-{moment}", state=state))
        assert (after.lines, after.base_lines, after.new) == (10, LINES, ())
    assert moment > 6
