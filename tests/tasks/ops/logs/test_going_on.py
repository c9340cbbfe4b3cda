"""Analyses that go on from earlier ones, while logs grow and are rotated."""

import gzip
import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from blocks.errors import Conflict
from blocks.redact import default_redactor
from blocks.store import open_store
from tasks.ops.logs import analyse as module
from tasks.ops.logs.analyse import LogWork, states
from tasks.ops.logs.report import report_of
from tasks.ops.logs.request import LogOptions
from tasks.ops.logs.saved import LogState
from tests.tasks.ops.logs.conftest import Analyse
from tests.tasks.ops.logs.logging_service import BEGIN, KINDS, text

NEW = "2026-11-22T09:00:00Z ERROR certificate of host {n} has run out\n"


def later(count: int, minutes: int) -> str:
    return text(count, seed=minutes, begin=BEGIN + timedelta(minutes=minutes))


@pytest.fixture
async def log(tmp_path: Path, analysed: Analyse) -> Path:
    """A log that was analysed."""
    path = tmp_path / "web.log"
    path.write_text(text(6_000))
    await analysed(path, run_id="first", state="web")
    return path


def append(path: Path, more: str) -> None:
    with path.open("a") as stream:
        stream.write(more)


async def test_only_what_is_new_is_read_and_all_before_is_usual(log: Path, analysed: Analyse) -> None:
    size = log.stat().st_size
    append(log, later(2_000, 10) + NEW.format(n=1))
    report = await analysed(log, run_id="second", state="web")
    assert (report.files[0].start, report.lines, report.base_lines) == (size, 2_001, 6_000)
    assert [one.template for one in report.new] == ["ERROR certificate of host <num> has run out"]
    append(log, later(500, 20) + NEW.format(n=2))
    third = await analysed(log, run_id="third", state="web")
    assert (third.lines, third.new, third.templates) == (501, (), len(KINDS) + 1)
    nothing = await analysed(log, run_id="fourth", state="web")
    assert (nothing.lines, nothing.base_lines) == (0, 8_502)


async def test_half_a_line_is_read_when_it_is_whole(log: Path, analysed: Analyse) -> None:
    append(log, NEW.format(n=1)[:30])
    assert (await analysed(log, run_id="second", state="web")).lines == 0
    append(log, NEW.format(n=1)[30:])
    assert (await analysed(log, run_id="third", state="web")).new[0].count == 1


@pytest.mark.parametrize("compressed", [False, True])
async def test_a_rotated_log_is_read_to_its_end_first(log: Path, compressed: bool, analysed: Analyse) -> None:
    append(log, NEW.format(n=1))
    if compressed:
        (log.parent / "web.log.1.gz").write_bytes(gzip.compress(log.read_bytes()))
        log.unlink()
    else:
        log.rename(log.parent / "web.log.1")
    log.write_text(later(1_000, 10))
    report = await analysed(log, run_id="second", state="web")
    assert report.lines == 1_001
    assert [one.count for one in report.new] == [1]
    assert "rotated" in report.files[0].note
    append(log, later(10, 20))
    assert (await analysed(log, run_id="third", state="web")).lines == 10


async def test_a_log_cut_back_to_nothing_is_read_from_its_beginning(log: Path, analysed: Analyse) -> None:
    log.write_text(later(100, 10))
    report = await analysed(log, run_id="second", state="web")
    assert (report.lines, report.files[0].start) == (100, 0)
    assert "begins anew" in report.files[0].note


async def test_a_log_cut_back_that_grew_beyond_is_seen_by_what_stands_there(log: Path, analysed: Analyse) -> None:
    first = log.read_text()[:1024]
    log.write_text(first + "\n" + later(9_000, 10))
    report = await analysed(log, run_id="second", state="web")
    assert report.files[0].start == 0


async def test_a_run_that_died_goes_on_where_it_kept_its_place(
    tmp_path: Path, analysed: Analyse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PIECE_BYTES", 1)
    monkeypatch.setattr(module, "KEEP_EVERY_BYTES", 1)
    path = tmp_path / "web.log"
    path.write_text(text(6_000) + NEW.format(n=1) + later(40_000, 10))
    whole = await analysed(shutil.copy(path, tmp_path / "copy.log"), run_id="whole", state="whole")
    files = open_store()
    with states(files).held("web", LogState()) as held:
        work = LogWork(LogOptions(state="web"), default_redactor(), "cut", held.state, held)
        work.begin([path])
        pieces = work.pieces()
        for _ in range(2):
            next(pieces)  # and no further: the process is gone
    report = await analysed(path, run_id="cut", state="web")
    assert 0 < report.files[0].start < path.stat().st_size
    assert report.lines + report.base_lines == 46_001
    assert [one.template for one in report.new] == [one.template for one in whole.new]


async def test_two_at_once_on_one_state_are_refused(log: Path, analysed: Analyse) -> None:
    with states(open_store()).held("web"), pytest.raises(Conflict):
        await analysed(log, run_id="second", state="web")


def test_an_empty_analysis_has_a_report() -> None:
    work = LogWork(LogOptions(), default_redactor(), "r", LogState(), None)
    work.begin([])
    assert list(work.pieces()) == []
    assert report_of(work.analysis, "r", work.read, 0).lines == 0
