"""Reports of work over many rows, kept and read again."""

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from blocks.rows.report import FOLDERS, Kind, RowsReport, keep_rows, rows_reports
from blocks.settings import settings
from blocks.store import open_store

NOW = datetime.now(UTC)


def report(kind: Kind = "swarm", name: str = "a", **facts: int) -> RowsReport:
    return RowsReport(kind=kind, report_id=name, **{"rows": 10, "out": 7, **facts}, finished_at=NOW)  # pyright: ignore[reportArgumentType]


async def test_reports_of_all_kinds_are_read_as_they_were_kept() -> None:
    for kind in FOLDERS:
        await keep_rows(report(kind))
    await keep_rows(report(failed=3))
    files = open_store()
    files.put_bytes("swarms/b/report.json", b"{}")
    files.put_bytes("swarms/c/more/report.json", b"no report")
    found = dict(rows_reports(files, NOW - timedelta(hours=1)))
    assert isinstance(found.pop("swarms/b/report.json"), ValidationError)
    assert found == {
        "swarms/a/report.json": report(failed=3),
        **{f"{FOLDERS[kind]}/a/report.json": report(kind) for kind in FOLDERS if kind != "swarm"},
    }
    assert list(rows_reports(files, NOW + timedelta(hours=1))) == []


def test_what_a_report_says_nothing_of_is_lost() -> None:
    assert report(failed=1, left=2).lost == 0
    assert report(failed=1, missing=2).lost == 2
    assert report().lost == 3


async def test_a_store_that_is_away_ends_no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    settings().audio_dir.parent.mkdir(parents=True, exist_ok=True)
    settings().audio_dir.write_bytes(b"a file where the store should be")
    await keep_rows(report())
