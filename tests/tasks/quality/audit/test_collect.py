"""What is read of a period, and what is known of its costs."""

import json
import os
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from blocks.accounts.account import USD_UNIT
from blocks.accounts.books import Books, Entry
from blocks.accounts.ledger_retention import Held, sum_up
from blocks.accounts.schema import open_engine
from blocks.batch import BatchReport
from blocks.content import content_hash
from blocks.job import JobOptions
from blocks.language.pool import USER
from blocks.rows.report import RowsReport
from blocks.store import Files, LocalFiles
from blocks.subjects.subject import Subject, Traces
from tasks.personal_data.stored import without
from tasks.quality.audit.audit import gather
from tasks.quality.audit.collect import Collected, collect
from tasks.quality.audit.costs import Booked, dearest_usd, read_booked
from tasks.quality.audit.sums import period_row
from tests.fakes.stored_jobs import ACCOUNTS, DAY, fill
from tests.tasks.quality.audit.auditing import NOW, day_of, gathered, known

MONDAY = day_of(DAY)


def collected(files: LocalFiles, now: datetime = NOW, kept: timedelta | None = None) -> Collected:
    return collect(files, MONDAY, replace(known(), results_kept=kept), {"excused"}, now)


def begun(files: LocalFiles, job_id: str, hours: float) -> None:
    files.put_bytes(f"jobs/{job_id}/source.wav", b"a recording")
    moment = (DAY + timedelta(hours=hours)).timestamp()
    os.utime(files.root / "jobs" / job_id / "source.wav", (moment, moment))


def test_a_job_whose_files_are_damaged_is_told_and_counted(files: LocalFiles) -> None:
    fill(files, 1, 3)
    first, second, _ = sorted({key.split("/")[1] for key in files.list("jobs/")})
    files.put_bytes(f"jobs/{first}/transcript.json", b"{}")
    files.delete(f"jobs/{second}/speech.json")
    files.put_bytes("batches/broken/report.json", b"{")
    found = collected(files)
    assert [one.key for one in found.unreadable] == [
        f"jobs/{first}/transcript.json",
        f"jobs/{second}/speech.json",
        "batches/broken/report.json",
    ]
    assert (len(found.jobs), found.jobs[0].words, found.jobs[1].alignment) == (3, None, None)
    assert found.jobs[0].rtf is not None
    assert gathered(files).row.unreadable == 3


def test_both_kinds_of_stores_are_read_alike(files: LocalFiles, s3_files: Files) -> None:
    for store in (files, s3_files):
        fill(store, 4, 5)
        store.put_bytes("jobs/0000000000000001/result.json", b"{}")
    found = [collect(store, MONDAY, known(), (), NOW) for store in (files, s3_files)]
    assert found[0] == found[1]
    assert (len(found[0].jobs), found[0].unreadable_count) == (5, 1)


def test_a_figure_that_no_job_can_have_is_told(files: LocalFiles) -> None:
    def surer_than_sure(stored: object) -> None:
        stored.result["metrics"]["asr_confidence_avg"] = 1.5  # type: ignore[attr-defined]

    fill(files, 1, 4, fault=surer_than_sure, share=0.25)
    found = collected(files)
    assert len(found.jobs) == 3
    assert "confidence" in found.unreadable[0].why


def test_jobs_without_a_result_are_lost_unless_there_is_a_reason(files: LocalFiles) -> None:
    begun(files, "lost", 1)
    begun(files, "excused", 1)
    begun(files, "before", -1)
    begun(files, "after", 25)
    files.put_bytes("jobs/nothing/audio.wav", b"of a job whose source was cleaned up")
    assert collected(files).lost == ("lost",)
    assert collected(files, DAY + timedelta(hours=24)).lost == (), "it may be at work"
    nobody_asked = gather(files, MONDAY, known(), excused=None, booked=Booked(), now=NOW)
    assert (nobody_asked.found.lost, nobody_asked.row.lost_jobs) == ((), 0)
    assert "knows no runs" in nobody_asked.notes[0]


def test_a_batch_of_an_older_version_is_whole(files: LocalFiles) -> None:
    options = JobOptions().model_dump(mode="json")
    del options["hints"]  # as if they came with this version
    batch_id = content_hash([options, ["a.wav", "b.wav"]])[:16]
    items = [{"source": name, "outcome": "failed", "code": "BAD_AUDIO"} for name in ("a.wav", "b.wav")]
    report = {"batch_id": batch_id, "options": options, "items": items, "finished_at": "2026-03-02T10:00:00Z"}
    files.put_bytes(f"batches/{batch_id}/report.json", json.dumps(report).encode())
    [row] = collected(files).batches
    assert (row.is_whole, row.rows_in, row.rows_out, row.rows_failed, row.rows_lost) == (True, 2, 0, 2, 0)


def test_rows_that_are_lost_or_missing_are_told_and_reports_of_other_days_are_not(files: LocalFiles) -> None:
    for name, facts in {
        "later": {"finished_at": DAY + timedelta(days=1)},
        "short": {"left": 5},
        "torn": {"out": 9, "missing": 2},
    }.items():
        given = {"rows": 10, "out": 3, "failed": 1, "finished_at": DAY + timedelta(hours=10)} | facts
        report = RowsReport.model_validate({"kind": "batch of prompts", "report_id": name, **given})
        files.put_bytes(report.key, report.model_dump_json().encode())
    files.put_bytes("swarms/damaged/report.json", b"{}")
    found = collected(files)
    assert [(row.batch_id, row.kind, row.rows_lost) for row in found.batches] == [
        ("short", "batch of prompts", 1),
        ("torn", "batch of prompts", 2),
    ]
    assert [one.key for one in found.unreadable] == ["swarms/damaged/report.json"]


def test_a_batch_of_which_a_person_had_a_recording_erased_is_whole(files: LocalFiles) -> None:
    fill(files, 1, 3)
    jobs = [key.split("/")[1] for key in files.list("jobs/") if key.endswith("result.json")]
    options = JobOptions()
    items = [{"source": f"{job}.wav", "outcome": "done", "job_id": job} for job in jobs]
    batch_id = content_hash([options, [item["source"] for item in items]])[:16]
    at = DAY + timedelta(hours=10)
    report = BatchReport.model_validate({"batch_id": batch_id, "options": options, "items": items, "finished_at": at})
    content = report.model_dump_json(indent=2).encode()
    erased = Traces(subject=Subject(kind="job", id=jobs[1]), jobs=(jobs[1],))
    left = without("batches/b/report.json", content, erased, "erased")
    assert isinstance(left, bytes)
    assert json.loads(left)["erased"] == 1
    files.put_bytes(f"batches/{batch_id}/report.json", left)
    files.delete(f"jobs/{jobs[1]}/result.json")
    [row] = collected(files).batches
    assert (row.is_whole, row.rows_in, row.results_missing, row.rows_lost) == (True, 2, 0, 0)
    unsaid = without("batches/b/report.json", content, erased)
    assert isinstance(unsaid, bytes)
    files.put_bytes(f"batches/{batch_id}/report.json", unsaid)
    assert not collected(files).batches[0].is_whole, "nobody says where it went"


def test_results_that_were_cleaned_away_by_age_are_not_missed(files: LocalFiles) -> None:
    at = DAY + timedelta(hours=10)
    items = [{"source": f"{job}.wav", "outcome": job, "job_id": job} for job in ("done", "found")]
    report = {"batch_id": "b", "options": JobOptions(), "items": items, "finished_at": at}
    files.put_bytes("batches/b/report.json", BatchReport.model_validate(report).model_dump_json().encode())
    missing = [
        collected(files, at + timedelta(days=20), kept).batches[0].results_missing
        for kept in (None, timedelta(days=30), timedelta(days=15))
    ]
    assert missing == [2, 1, 0], "one found had been done before, nobody knows when"


def test_prices_are_those_of_the_dearest_account(tmp_path: Path) -> None:
    dear = ACCOUNTS.replace("first", "second").replace("0.4", "0.8").replace("accounts:\n", "")
    unpriced = "      free: {}\n"
    (tmp_path / "accounts.yaml").write_text(ACCOUNTS.rstrip() + "\n" + unpriced + dear.lstrip("\n"))
    assert dearest_usd(tmp_path / "accounts.yaml") == {"small": pytest.approx((0.8e-6, 1.6e-6))}
    assert dearest_usd(tmp_path / "none.yaml") == {}
    (tmp_path / "wrong.yaml").write_text("accounts: 1\n")
    assert dearest_usd(tmp_path / "wrong.yaml") == {}


def test_jobs_that_cost_more_than_the_books_hold(files: LocalFiles, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/books/books.db"
    assert read_booked(url, MONDAY) == Booked()
    assert not (tmp_path / "books").exists(), "to look makes no books"
    (tmp_path / "books").mkdir()
    fill(files, 1, 50)
    found = gathered(files).found
    paid = sum(row.cost_usd or 0 for row in found.jobs)
    books = Books(url)
    calls = ((0, USER, paid / 2), (-1, USER, 7.0), (24, USER, 7.0), (1, "somebody", 7.0))
    for hours, user, usd in calls:
        at = (DAY + timedelta(hours=hours)).timestamp()
        units = round(usd * USD_UNIT)
        books.write(Entry(at=at, account="first", model="small", user=user, outcome="ok", cost_units=units))
    books.close()
    booked = read_booked(url, MONDAY)
    assert booked.usd == pytest.approx(paid / 2, rel=1e-6)
    assert (booked.by_job, booked.faults) == ({}, 0)
    assert period_row(MONDAY, found, (), booked, NOW).cost_over_books == pytest.approx(2.0, rel=1e-6)
    assert period_row(MONDAY, found, (), Booked(usd=0.0), NOW).cost_over_books is None, "the books of another machine"


def test_what_each_job_cost_by_the_books(files: LocalFiles, tmp_path: Path) -> None:
    fill(files, 1, 4)
    one, other, *_ = gathered(files).found.jobs
    books = Books(url := f"sqlite:///{tmp_path}/books.db")
    for row, hours in ((one, 1), (one, -26), (other, 2)):  # a half of what each says, in two calls and in one
        at, units = (DAY + timedelta(hours=hours)).timestamp(), round((row.cost_usd or 0) / 2 * USD_UNIT)
        books.write(Entry(at=at, account="a", model="small", user=USER, job=row.job_id, outcome="ok", cost_units=units))
    books.close()
    rows = {row.job_id: row for row in gathered(files, booked=read_booked(url, MONDAY)).found.jobs}
    over = {job: row.cost_over_books for job, row in rows.items() if row.cost_over_books is not None}
    assert over == {one.job_id: pytest.approx(1, rel=1e-4), other.job_id: pytest.approx(2, rel=1e-4)}


def test_books_whose_old_calls_were_summed_up_say_the_same(tmp_path: Path) -> None:
    books = Books(url := f"sqlite:///{tmp_path}/books.db")
    for hours, job in ((1, "a"), (2, "a"), (3, "b"), (30, "c")):
        at = (DAY + timedelta(hours=hours)).timestamp()
        books.write(Entry(at=at, account="a", model="m", user=USER, job=job, outcome="ok", cost_units=USD_UNIT))
    books.close()
    before = read_booked(url, MONDAY)
    assert (before.usd, before.by_job) == (3.0, {"a": 2.0, "b": 1.0})
    assert sum_up(open_engine(url), (DAY + timedelta(days=1)).timestamp(), Held()) == 3
    assert read_booked(url, MONDAY) == before
