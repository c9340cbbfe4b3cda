"""Seconds from the store to verdict and site: an audit of 10,000 results, with the day before in the history."""

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from blocks.store.local import LocalFiles
from tasks.llm.template import list_templates
from tasks.quality.audit.audit import gather, judged, report_of
from tasks.quality.audit.costs import Booked
from tasks.quality.audit.docs import publish
from tasks.quality.audit.history import keep_jobs, keep_period, read_periods
from tasks.quality.audit.job_row import Known
from tasks.quality.audit.period import named
from tests.fakes.stored_jobs import DAY, PRICE_USD, contents, jobs

NAME = "audit"
UNIT = "s"
GOAL = 60.0
"""An audit is run at night, and by people who wait for it: a minute is a thousandth of the day, on one core."""

JOBS = {True: 1_000, False: 10_000}
MINUTES = 5.0
OTHER_FILES = ("transcript.txt", "transcript.srt", "transcript.vtt", "transcript.md", "enhanced.json", "summary.json")
"""A job has these as well; they make the list of the store longer."""


def measure(quick: bool) -> float:
    """Seconds of everything but Prefect: import, read, judge, keep and publish; of the second of two days."""
    number = JOBS[quick]
    known = Known(schemas={one.name: one.schema_ for one in list_templates()}, dearest_usd={"small": PRICE_USD})
    began = time.perf_counter()
    with _timed("import great-expectations"):
        import great_expectations  # noqa: F401
    imported_s = time.perf_counter() - began
    with tempfile.TemporaryDirectory(prefix="c500-bench-") as folder:
        files = LocalFiles(Path(folder) / "store")
        for day in (DAY, DAY + timedelta(days=1)):
            begin = time.perf_counter()
            _fill(files, number, day)
            print(f"made {number:,} jobs of {MINUTES:g} min in {time.perf_counter() - begin:.0f} s", flush=True)
            total = _audit(files, known, day.date().isoformat(), number)
            shutil.rmtree(files.root / "jobs")
    return imported_s + total


def _audit(files: LocalFiles, known: Known, day: str, number: int) -> float:
    period, now = named("day", day), DAY + timedelta(days=30)
    begin = time.perf_counter()
    with _timed("read and measure"):
        gathered = gather(files, period, known, excused=frozenset(), booked=Booked(), now=now)
    with _timed("judge"):
        suites = judged(gathered, None)
    with _timed("keep and publish"):
        report = report_of(gathered, suites, "bench", dry_run=False)
        keep_jobs(files, period, gathered.found.jobs)
        keep_period(files, report.period)
        publish(files, report, read_periods(files))
    if report.period.jobs != number or report.bad:
        raise AssertionError(f"{report.period.jobs} of {number} jobs; not met: {[one.line for one in report.bad]}")
    total = time.perf_counter() - begin
    print(f"{report.summary} in {total:.1f} s, {number / total:,.0f} jobs/s", flush=True)
    return total


def _fill(files: LocalFiles, number: int, day: datetime) -> None:
    """Jobs as `write` leaves them, without waiting for the disk at each: 60,000 of them would take hours."""
    for stored in jobs(11, number, day, minutes=MINUTES):
        for key, content in contents(stored).items():
            path = files.root / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        for name in OTHER_FILES:
            (files.root / "jobs" / stored.result["job_id"] / name).write_bytes(b"x")


@contextmanager
def _timed(what: str) -> Iterator[None]:
    begin, busy = time.perf_counter(), time.process_time()
    yield
    print(f"  {what:26} {time.perf_counter() - begin:6.2f} s, {time.process_time() - busy:.2f} of a core", flush=True)
