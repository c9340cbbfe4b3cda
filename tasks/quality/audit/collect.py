"""The tables of a period, made from the store: jobs, batches, and jobs that were begun and have no result."""

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime, timedelta

from pydantic import Field, ValidationError

from blocks.batch import BatchReport
from blocks.content import content_hash
from blocks.contracts.metrics import sound
from blocks.errors import NotFound
from blocks.job import job_folder
from blocks.model import Frozen
from blocks.rows.report import RowsReport, rows_reports
from blocks.store.files import Files
from tasks.quality.audit.job_row import JobRow, Known, job_row
from tasks.quality.audit.period import Period
from tasks.quality.results import JOBS, RESULT, StoredResult, Unreadable, each_in_order, stored_results, why_unreadable

MOST_TOLD = 1_000
"""Files that cannot be read and jobs that are lost, told one by one; all of them are counted."""

STILL_AT_WORK = timedelta(hours=24)
"""A job that was begun later than this before now may be at work yet, or wait for one that is."""

LONGEST_BATCH = timedelta(days=2)
"""A job that a batch calls done was finished at most so long before the batch."""

CLOCKS = timedelta(hours=1)
"""By so much the clocks of a store and of the machines that write to it may differ."""

Told = Callable[[int], None]
"""Takes the number of jobs read so far; raises `Stopped` to end the reading."""


class BatchRow(Frozen):
    """A batch, a swarm, a fleet or a task of an agent in figures: the table `batches` of audits."""

    batch_id: str = Field(description="id of the batch, swarm, fleet or task")
    kind: str = Field(description="`batch of recordings`, `swarm`, `batch of prompts`, `fleet` or `agent task`")
    rows_in: int = Field(description="rows, or recordings, that went in")
    rows_out: int = Field(description="those that came out, done before or now")
    rows_failed: int = Field(description="those that its report says failed, or that wait for a person")
    rows_lost: int = Field(description="those that it says nothing of, or that should have come out and did not")
    results_missing: int = Field(default=0, description="jobs that it calls done and whose result the store lacks")
    is_whole: bool = Field(default=True, description="whether its list of recordings is the one it was begun with")


class Collected(Frozen):
    """What the store holds of a period.

    Attributes:
        jobs: A row each, by id.
        batches: The same of batches, swarms, fleets and tasks of agents.
        unreadable: Files that cannot be read, the first ones.
        unreadable_count: All of them.
        lost: Ids of jobs that were begun in the period, of which there is no result and nobody knows why; the first.
        lost_count: All of them.
    """

    jobs: tuple[JobRow, ...]
    batches: tuple[BatchRow, ...] = ()
    unreadable: tuple[Unreadable, ...] = ()
    unreadable_count: int = 0
    lost: tuple[str, ...] = ()
    lost_count: int = 0


def collect(
    files: Files, period: Period, known: Known, excused: Collection[str], now: datetime, told: Told = lambda _: None
) -> Collected:
    """Read the results of a period.

    Args:
        files: The store.
        period: Which.
        known: What else the rows are made with.
        excused: Ids of jobs without a result for which there is a reason: at work, or failed.
        now: The present.
        told: Told how many jobs were read.

    Raises:
        StoreFailed: the store cannot be read.
        Stopped: `told` says so.
    """
    unreadable: list[Unreadable] = []
    rows: list[JobRow] = []
    keys = list(files.list(JOBS))
    for row, faults in _rows(files, keys, period, known, unreadable.append):
        rows.append(row)
        unreadable += faults
        told(len(rows))
    rows, faults = sound("job metrics", rows)
    unreadable += [Unreadable(key=JOBS, why=fault) for fault in faults]
    expired = None if known.results_kept is None else now - known.results_kept
    batches = sorted(_batches(files, period, expired, unreadable.append), key=lambda row: (row.kind, row.batch_id))
    lost = sorted(_lost(files, keys, period, excused, now))
    return Collected(
        jobs=tuple(rows),
        batches=tuple(batches),
        unreadable=tuple(unreadable[:MOST_TOLD]),
        unreadable_count=len(unreadable),
        lost=tuple(lost[:MOST_TOLD]),
        lost_count=len(lost),
    )


def _rows(
    files: Files, keys: Sequence[str], period: Period, known: Known, on_unreadable: Callable[[Unreadable], None]
) -> Iterator[tuple[JobRow, tuple[Unreadable, ...]]]:
    results = stored_results(files, period.since, period.until, on_unreadable=on_unreadable, keys=keys)

    def row_of(stored: StoredResult) -> tuple[JobRow, tuple[Unreadable, ...]]:
        return job_row(stored, known)

    return each_in_order(files, row_of, results)


def _lost(files: Files, keys: Sequence[str], period: Period, excused: Collection[str], now: datetime) -> Iterator[str]:
    """Jobs of which the store has the source and no result; one lately begun may be at work."""
    sources: dict[str, str] = {}
    done: set[str] = set()
    for key in keys:
        _, job_id, name, *deeper = *key.split("/"), ""
        if deeper != [""]:
            continue
        if name == RESULT:
            done.add(job_id)
        elif name == "source" or name.startswith("source."):
            sources[job_id] = key
    for job_id, key in sources.items():
        if job_id in done or job_id in excused:
            continue
        try:
            begun_at = files.modified(key)
        except NotFound:
            continue
        # Looked up again: it may have finished while the store was listed.
        young = begun_at > now - STILL_AT_WORK
        if period.has(begun_at) and not young and not files.exists(f"{job_folder(job_id)}/{RESULT}"):
            yield job_id


def _batches(
    files: Files, period: Period, expired: datetime | None, on_unreadable: Callable[[Unreadable], None]
) -> Iterator[BatchRow]:
    for key in files.list("batches/"):
        if key.count("/") != 2 or not key.endswith("/report.json"):
            continue
        try:
            row = _of_batch(files, files.read_bytes(key), period, expired)
        except NotFound:
            continue
        except ValidationError as error:
            on_unreadable(why_unreadable(key, error))
            continue
        if row is not None:
            yield row
    for key, report in rows_reports(files, period.since - CLOCKS):
        if isinstance(report, ValidationError):
            on_unreadable(why_unreadable(key, report))
        elif period.has(report.finished_at):
            yield _of_rows(report)


def _of_batch(files: Files, content: bytes, period: Period, expired: datetime | None) -> BatchRow | None:
    """The row of a batch of the period; results that may have been cleaned away, as they are older, are not missed."""
    report = BatchReport.model_validate_json(content)
    if not period.has(report.finished_at):
        return None
    items, done = report.items, [item for item in report.items if item.outcome != "failed"]
    is_old = expired is not None and report.finished_at - LONGEST_BATCH < expired
    looked_for = () if is_old else [item for item in done if expired is None or item.outcome != "found"]
    jobs = {item.job_id for item in looked_for}
    # As it was written: the options of a newer version have more fields, and another hash.
    written = json.loads(content)
    named_after = content_hash([written["options"], [item["source"] for item in written["items"]]])[:16]
    return BatchRow(
        batch_id=report.batch_id,
        kind="batch of recordings",
        rows_in=len(items),
        rows_out=len(done),
        rows_failed=len(items) - len(done),
        rows_lost=sum(item.job_id is None for item in done),
        results_missing=sum(not files.exists(f"{job_folder(job)}/{RESULT}") for job in jobs if job is not None),
        # A batch is named after what went in, so a list that lacks one of its recordings has another name; but for one
        # that a person had erased, which the list says.
        is_whole=report.erased > 0 or named_after == report.batch_id,
    )


def _of_rows(report: RowsReport) -> BatchRow:
    return BatchRow(
        batch_id=report.report_id,
        kind=report.kind,
        rows_in=report.rows,
        rows_out=report.out,
        rows_failed=report.failed,
        rows_lost=report.lost or report.missing,
    )
