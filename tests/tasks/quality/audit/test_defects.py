"""Each planted defect is caught by the expectation named for it; clean data are not flagged."""

import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest

from blocks.accounts.account import USD_UNIT
from blocks.accounts.books import Books, Entry
from blocks.batch import BatchItem, BatchReport
from blocks.content import content_hash
from blocks.job import JobOptions
from blocks.language.pool import USER
from blocks.rows.report import RowsReport
from blocks.store.local import LocalFiles
from tasks.quality.audit.costs import read_booked
from tests.fakes import stored_jobs
from tests.fakes.stored_jobs import DAY, Fault, fill
from tests.tasks.quality.audit.auditing import audited, day_of, failed, gathered

JOBS = 25
SHARE = 0.2
ENOUGH = 50
"""Jobs from which on a day is compared with the day before."""


@pytest.mark.parametrize(
    ("fault", "caught_by"),
    [
        (stored_jobs.shift_times, "jobs/shifted-times"),
        (stored_jobs.repeat_phrases, "jobs/repeated-phrases"),
        (stored_jobs.speak_otherwise, "jobs/language"),
        (stored_jobs.truncate_audio, "jobs/truncated-audio"),
        (stored_jobs.double_cost, "jobs/doubled-cost"),
        (stored_jobs.empty_text, "jobs/no-empty-text"),
        (stored_jobs.break_off, "jobs/heard-to-the-end"),
        (stored_jobs.lose_file_end, "jobs/truncated-file"),
        (stored_jobs.empty_summary, "jobs/summary-schema"),
    ],
)
def test_a_planted_defect_is_caught(files: LocalFiles, fault: Fault, caught_by: str) -> None:
    fill(files, 3, JOBS, fault=fault, share=SHARE)
    report = audited(files)
    assert caught_by in failed(report)
    assert report.verdict == "failed"
    [one] = [one for one in report.bad if one.name == caught_by]
    assert (one.unexpected, one.rows > 0, len(one.samples)) == (5, True, 5)


def test_doubled_cost_is_caught_without_a_price(files: LocalFiles) -> None:
    def of_no_known_model(stored: stored_jobs.Stored) -> None:
        stored.result["versions"]["language"]["model"] = "by tier"

    def and_doubled(stored: stored_jobs.Stored) -> None:
        of_no_known_model(stored)
        stored_jobs.double_cost(stored)

    fill(files, 3, ENOUGH, DAY, of_no_known_model)
    gathered(files)
    fill(files, 3, ENOUGH, DAY + timedelta(days=1), and_doubled)
    report = audited(files, DAY + timedelta(days=1))
    assert {"period/cost-per-minute", "period/cost-per-token", "drift/drift"} <= failed(report)
    assert "jobs/doubled-cost" not in failed(report)


def books_of(files: LocalFiles, path: Path) -> str:
    """Address of books with the calls of all jobs of a day."""
    books = Books(url := f"sqlite:///{path}")
    for row in gathered(files).found.jobs:
        at, units = row.finished_at.timestamp(), round((row.cost_usd or 0) * USD_UNIT)
        books.write(
            Entry(at=at, account="first", model="small", user=USER, job=row.job_id, outcome="ok", cost_units=units)
        )
    books.close()
    return url


def test_a_call_that_is_booked_twice_is_caught(files: LocalFiles, tmp_path: Path) -> None:
    fill(files, 3, JOBS)
    url = books_of(files, tmp_path / "books.db")
    assert failed(audited(files, booked=read_booked(url, day_of(DAY)))) == set()
    with sqlite3.connect(tmp_path / "books.db") as database:
        names = [row[1] for row in database.execute("PRAGMA table_info(c500_calls)") if row[1] != "id"]
        columns = ", ".join(f'"{name}"' for name in names)
        database.execute(f"INSERT INTO c500_calls ({columns}) SELECT {columns} FROM c500_calls LIMIT 1")
    report = audited(files, booked=read_booked(url, day_of(DAY)))
    assert failed(report) == {"period/doubled-calls"}
    assert (report.period.books_faults, report.verdict) == (1, "failed")


def test_jobs_that_say_they_cost_twice_what_was_booked_are_caught_without_a_price(
    files: LocalFiles, tmp_path: Path
) -> None:
    fill(files, 3, JOBS)
    booked = read_booked(books_of(files, tmp_path / "books.db"), day_of(DAY))
    fill(files, 3, JOBS, fault=stored_jobs.double_cost, share=SHARE)
    report = audited(files, booked=booked)
    assert failed(report) == {"jobs/doubled-cost", "jobs/cost-over-books"}


def batch(files: LocalFiles, jobs: list[str], *, dropped: int = 0) -> None:
    options, sources = JobOptions(), [f"{job}.wav" for job in jobs]
    items = [BatchItem(source=source, outcome="done", job_id=job) for source, job in zip(sources, jobs, strict=True)]
    report = BatchReport(
        batch_id=content_hash([options, sources])[:16],
        options=options,
        items=tuple(items[dropped:]),
        finished_at=DAY + timedelta(hours=3),
    )
    files.put_bytes(f"batches/{report.batch_id}/report.json", report.model_dump_json().encode())


def swarm(files: LocalFiles, name: str, out: int) -> None:
    at = DAY + timedelta(hours=10)
    report = RowsReport(kind="swarm", report_id=name, rows=100, out=out, failed=3, finished_at=at)
    files.put_bytes(report.key, report.model_dump_json().encode())


def test_dropped_rows_are_caught(files: LocalFiles) -> None:
    fill(files, 3, 6)
    ids = [key.split("/")[1] for key in files.list("jobs/") if key.endswith("result.json")]
    batch(files, ids)
    swarm(files, "whole", out=97)
    assert failed(audited(files)) == set()

    swarm(files, "short", out=90)
    batch(files, ids[:4], dropped=1)
    files.delete(f"jobs/{ids[0]}/result.json")
    report = audited(files)
    assert {"batches/dropped-rows", "batches/missing-results", "batches/whole-list"} <= failed(report)
    [one] = [one for one in report.bad if one.name == "batches/dropped-rows"]
    assert [(sample.key, sample.value) for sample in one.samples] == [("short", "7")]


def test_clean_data_are_not_flagged(files: LocalFiles) -> None:
    clean(files, 1, ENOUGH)


def test_a_few_recordings_that_waited_for_a_model_say_nothing_of_the_service(files: LocalFiles) -> None:
    def wait_for_model(stored: stored_jobs.Stored) -> None:
        metrics = stored.result["metrics"]
        metrics["processing_time_s"] = 3 * metrics["input_duration_s"]
        metrics["rtf"] = 3.0

    fill(files, 1, 2, fault=wait_for_model)
    assert failed(audited(files)) == set()
    fill(files, 2, 20, DAY + timedelta(days=1), fault=wait_for_model)
    assert "period/real-time" in failed(audited(files, DAY + timedelta(days=1)))


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 120))
def test_twenty_clean_stores_are_not_flagged(files: LocalFiles, seed: int) -> None:
    """Three days each, so that two of them are compared with the day before."""
    clean(files, seed, 100, days=3)


def clean(files: LocalFiles, seed: int, number: int, days: int = 2) -> None:
    for day in (DAY + timedelta(days=count) for count in range(days)):
        fill(files, seed, number, day)
        report = audited(files, day)
        assert failed(report) == set()
        assert report.verdict == "passed"
    judged = {one.name for suite in report.suites for one in suite.expectations if one.outcome == "passed"}
    assert {"drift/drift", "jobs/shifted-times", "jobs/doubled-cost", "period/cost-per-minute"} <= judged
