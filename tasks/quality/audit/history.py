"""The history of figures: a line for each job, by days, and a row for each period that was audited.

It is kept so that drift can look back without reading all results again, and after they have expired.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import date

from pydantic import Field, ValidationError

from blocks.contracts.metrics import check_metrics, sound
from blocks.errors import NotFound
from blocks.model import Frozen
from blocks.store.files import Files
from tasks.quality.audit.job_row import JobRow
from tasks.quality.audit.period import Moment, Period
from tasks.quality.results import Unreadable

JOBS = "quality/history/jobs"
PERIODS = "quality/history/periods"


class PeriodRow(Frozen):
    """A period in figures: the table `period` of audits, which has this one row, and an entry of the history."""

    name: str = Field(description="name of the period")
    since: Moment = Field(description="its begin, in UTC")
    until: Moment = Field(description="its end, which is no part of it")
    audited_at: Moment = Field(description="when it was audited last")
    jobs: int = Field(description="finished jobs")
    recordings: int = Field(default=0, description="those of them that are of audio")
    audio_min: float = Field(default=0.0, description="minutes of audio")
    rtf: float | None = Field(default=None, description="processing time of all jobs of audio / its length")
    coverage: float | None = Field(default=None, description="mean VAD coverage, by length")
    confidence: float | None = Field(default=None, description="mean confidence, by length")
    edit_rate: float | None = Field(default=None, description="mean edit rate")
    summary_filled: float | None = Field(default=None, description="mean share of filled fields of summaries")
    partial_share: float | None = Field(default=None, description="share of jobs that are partial")
    no_speech_share: float | None = Field(default=None, description="share of recordings without speech")
    languages: str = Field(default="", description="languages with their shares, the commonest first")
    cost_usd: float | None = Field(default=None, description="dollars, of jobs whose cost is known")
    cost_per_min: float | None = Field(default=None, description="dollars per minute of audio")
    cost_per_ktoken: float | None = Field(default=None, description="dollars per 1,000 tokens")
    cost_over_books: float | None = Field(
        default=None, description="cost of the jobs that used the account pool / what the books say of the period"
    )
    books_faults: int | None = Field(
        default=None, description="calls that the books have twice or wrongly, and days whose sums are not theirs"
    )
    cost_per_min_ratio: float | None = Field(default=None, description="`cost_per_min` / that of the period before")
    cost_per_ktoken_ratio: float | None = Field(
        default=None, description="`cost_per_ktoken` / that of the period before"
    )
    jobs_ratio: float | None = Field(default=None, description="`jobs` / those of the period before")
    unreadable: int = Field(default=0, description="files of jobs that cannot be read")
    lost_jobs: int = Field(default=0, description="jobs that were begun, have no result, and of which nothing is known")
    rows_lost: int = Field(default=0, description="rows of batches and swarms of which their report says nothing")
    verdict: str = Field(default="", description="`passed`, `warned` or `failed`")
    failed: tuple[str, ...] = Field(default=(), description="expectations that failed, as `suite/expectation`")
    told: str = Field(default="", description="what operators were told of it, as a hash")


def keep_jobs(files: Files, period: Period, rows: Iterable[JobRow]) -> None:
    """Put the rows of a period into the history, in place of those it had of the same time.

    Day by day: a process that dies in between leaves whole days, and the next audit of the period does the rest.

    Raises:
        ContractBroken: a row is none; nothing of its day is written.
        StoreFailed: it cannot be written.
    """
    by_day: dict[date, list[JobRow]] = {day: [] for day in period.days}
    for row in rows:
        by_day[row.finished_at.date()].append(row)
    for day, found in by_day.items():
        with files.lock(_day_key(day)):
            # What cannot be read of it is left out: the audit of its own period brings it back.
            others = [row for row in _day(files, day, []) if not period.has(row.finished_at)]
            _put_day(files, day, [*others, *found])


def read_jobs(files: Files, period: Period) -> tuple[list[JobRow], list[Unreadable]]:
    """The rows of a period, as far as its days were audited; and what of the history cannot be read."""
    unreadable: list[Unreadable] = []
    rows = [row for day in period.days for row in _day(files, day, unreadable) if period.has(row.finished_at)]
    return rows, unreadable


def forget_jobs(files: Files, job_ids: Collection[str], days: Iterable[date] | None = None) -> int:
    """Take jobs out of the history, as when a person's data are erased; how many lines went.

    Args:
        files: The store.
        job_ids: Which.
        days: Days on which they were finished; None for all that there are.
    """
    gone = 0
    for day in _days(files) if days is None else days:
        with files.lock(_day_key(day)):
            rows = _day(files, day, [])
            left = [row for row in rows if row.job_id not in job_ids]
            if len(left) < len(rows):
                _put_day(files, day, left)
                gone += len(rows) - len(left)
    return gone


def keep_period(files: Files, row: PeriodRow) -> None:
    """Put the row of a period into the history, in place of its earlier one. Raises `ContractBroken`, `StoreFailed`."""
    check_metrics("period metrics", [row], what=f"the period {row.name}")
    files.put_bytes(_period_key(row.name), row.model_dump_json(indent=1).encode(), "application/json")


def read_period(files: Files, name: str) -> PeriodRow | None:
    """The row of a period; None where it was not audited, or by another version."""
    try:
        row = PeriodRow.model_validate_json(files.read_bytes(_period_key(name)))
    except (NotFound, ValidationError):
        return None
    return row if sound("period metrics", [row])[0] else None


def read_periods(files: Files) -> list[PeriodRow]:
    """The rows of all periods, by their begin; the longer of two first."""
    names = [key.rsplit("/", 1)[1].removesuffix(".json") for key in files.list(f"{PERIODS}/") if key.endswith(".json")]
    rows = [row for name in names if (row := read_period(files, name)) is not None]
    return sorted(rows, key=lambda row: (row.since, row.since - row.until))


def _day(files: Files, day: date, unreadable: list[Unreadable]) -> list[JobRow]:
    """The rows of a day that keep their contract; what is wrong with others is added to `unreadable`."""
    key = _day_key(day)
    rows: list[JobRow] = []
    try:
        content = files.read_bytes(key)
    except NotFound:
        return rows
    for number, line in enumerate(content.splitlines(), 1):
        try:
            rows.append(JobRow.model_validate_json(line))
        except ValidationError:
            unreadable.append(Unreadable(key=key, why=f"line {number} is damaged, or of another version"))
    rows, faults = sound("job metrics", rows)
    unreadable += [Unreadable(key=key, why=fault) for fault in faults]
    return rows


def _put_day(files: Files, day: date, rows: Sequence[JobRow]) -> None:
    if not rows:
        files.delete(_day_key(day))
        return
    ordered = sorted(rows, key=lambda row: (row.finished_at, row.job_id))
    check_metrics("job metrics", ordered, what=f"the history of {day}")
    lines = b"".join(row.model_dump_json(exclude_defaults=True).encode() + b"\n" for row in ordered)
    files.put_bytes(_day_key(day), lines, "application/jsonl")


def _days(files: Files) -> Iterator[date]:
    for key in files.list(f"{JOBS}/"):
        with suppress(ValueError):  # a file that somebody put there
            yield date.fromisoformat(key.rsplit("/", 1)[1].removesuffix(".jsonl"))


def _day_key(day: date) -> str:
    return f"{JOBS}/{day.isoformat()}.jsonl"


def _period_key(name: str) -> str:
    return f"{PERIODS}/{name}.json"
