"""The history of figures: what an audit puts there, again and again."""

from datetime import UTC, datetime, timedelta

import pytest

from blocks.contracts.broken import ContractBroken
from blocks.store import Files, LocalFiles
from tasks.quality.audit.history import (
    PeriodRow,
    forget_jobs,
    keep_jobs,
    keep_period,
    read_jobs,
    read_period,
    read_periods,
)
from tasks.quality.audit.job_row import JobRow
from tasks.quality.audit.period import Period, named
from tests.fakes.stored_jobs import DAY

WEEK = named("week", "2026-W10")
MONDAY = named("day", "2026-03-02")


def row(hours: float, **facts: object) -> JobRow:
    finished_at = DAY + timedelta(hours=hours)
    fields = {"job_id": f"{hours}", "kind": "text", "status": "complete", "words": 7, **facts}
    return JobRow.model_validate(fields | {"finished_at": finished_at})


def period_row(name: str, **facts: object) -> PeriodRow:
    period = named("day", name)
    fields = {"name": name, "since": period.since, "until": period.until, "audited_at": period.until, "jobs": 3}
    return PeriodRow.model_validate(fields | facts)


def test_what_is_kept_is_read(files: LocalFiles) -> None:
    rows = [row(1), row(5, language_agrees=False, cost_usd=0.25), row(30)]
    keep_jobs(files, WEEK, rows)
    assert read_jobs(files, WEEK) == (rows, [])
    assert read_jobs(files, MONDAY) == (rows[:2], [])
    assert read_jobs(files, WEEK.previous) == ([], [])


def test_a_period_takes_the_place_of_itself_alone(files: LocalFiles) -> None:
    keep_jobs(files, WEEK, [row(1), row(5), row(30)])
    before = {key: files.read_bytes(key) for key in files.list("quality/")}
    keep_jobs(files, WEEK, [row(30), row(5), row(1)])
    assert {key: files.read_bytes(key) for key in files.list("quality/")} == before

    morning = Period(since=DAY, until=DAY + timedelta(hours=4))
    keep_jobs(files, morning, [row(2), row(3)])
    assert [one.job_id for one in read_jobs(files, WEEK)[0]] == ["2", "3", "5", "30"]
    keep_jobs(files, MONDAY, [])
    assert [one.job_id for one in read_jobs(files, WEEK)[0]] == ["30"]


def test_damaged_lines_are_told_and_the_others_read(files: LocalFiles) -> None:
    keep_jobs(files, MONDAY, [row(1), row(5)])
    key = "quality/history/jobs/2026-03-02.jsonl"
    wrong = row(6).model_copy(update={"processing_s": -1.0}).model_dump_json().encode()
    files.put_bytes(key, files.read_bytes(key) + b'{"half\n' + wrong + b"\n")
    rows, unreadable = read_jobs(files, MONDAY)
    assert [one.job_id for one in rows] == ["1", "5"]
    assert [one.key for one in unreadable] == [key, key]
    assert unreadable[0].why.startswith("line 3 is damaged")
    assert "processing_s" in unreadable[1].why


def test_a_row_that_breaks_the_contract_is_not_kept(files: LocalFiles) -> None:
    with pytest.raises(ContractBroken, match="cost_usd"):
        keep_jobs(files, MONDAY, [row(1, cost_usd=-1.0)])
    with pytest.raises(ContractBroken, match="coverage"):
        keep_period(files, period_row("2026-03-02", coverage=1.5))
    assert list(files.list("quality/")) == []


def test_a_job_is_forgotten(files: LocalFiles) -> None:
    keep_jobs(files, WEEK, [row(1), row(30), row(31)])
    assert forget_jobs(files, {"1", "31"}) == 2
    assert [one.job_id for one in read_jobs(files, WEEK)[0]] == ["30"]
    assert forget_jobs(files, {"1"}) == 0


def test_periods_are_kept_by_name(files: LocalFiles) -> None:
    for name in ("2026-03-03", "2026-03-02"):
        keep_period(files, period_row(name))
    keep_period(files, period_row("2026-03-03", jobs=4, verdict="passed"))
    files.put_bytes("quality/history/periods/2026-03-01.json", b"{}")
    assert [(one.name, one.jobs) for one in read_periods(files)] == [("2026-03-02", 3), ("2026-03-03", 4)]
    found = read_period(files, "2026-03-03")
    assert found is not None and found.since == datetime(2026, 3, 3, tzinfo=UTC)
    assert read_period(files, "2026-03-01") is None


def test_the_history_lies_in_s3_as_well(s3_files: Files) -> None:
    keep_jobs(s3_files, WEEK, [row(1), row(30)])
    keep_period(s3_files, period_row("2026-03-02"))
    assert [one.job_id for one in read_jobs(s3_files, WEEK)[0]] == ["1", "30"]
    assert [one.name for one in read_periods(s3_files)] == ["2026-03-02"]
