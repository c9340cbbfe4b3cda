"""A period in one row: its jobs summed up, beside the period before."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime

from tasks.quality.audit.collect import Collected
from tasks.quality.audit.costs import Booked
from tasks.quality.audit.drift import LEAST_COUNT
from tasks.quality.audit.history import PeriodRow
from tasks.quality.audit.job_row import SECONDS_PER_MINUTE, TOKENS_PER_PRICE, JobRow
from tasks.quality.audit.period import Period

POOL = "pool"


def period_row(period: Period, found: Collected, before: Sequence[JobRow], booked: Booked, now: datetime) -> PeriodRow:
    """The row of a period; what cannot be said of it is empty.

    Args:
        period: Which.
        found: What the store holds of it.
        before: The jobs of the period before, as far as they are known.
        booked: What the books say of it.
        now: The present.
    """
    jobs = found.jobs
    audio = [row for row in jobs if row.audio_s is not None]
    costs = _costs(jobs)
    earlier = _costs(before)
    enough = min(len(jobs), len(before)) >= LEAST_COUNT
    return PeriodRow(
        name=period.name,
        since=period.since,
        until=period.until,
        audited_at=now,
        jobs=len(jobs),
        recordings=len(audio),
        audio_min=sum(row.audio_s or 0 for row in audio) / SECONDS_PER_MINUTE,
        rtf=_ratio(sum(row.processing_s for row in audio), sum(row.audio_s or 0 for row in audio)),
        coverage=_by_length(audio, "coverage"),
        confidence=_by_length(audio, "confidence"),
        edit_rate=_mean(row.edit_rate for row in jobs),
        summary_filled=_mean(row.summary_filled for row in jobs),
        partial_share=_ratio(sum(row.status == "partial" for row in jobs), len(jobs)),
        no_speech_share=_ratio(sum(row.status == "no_speech" for row in audio), len(audio)),
        languages=_mix(row.language for row in jobs),
        cost_usd=costs[0],
        cost_per_min=costs[1],
        cost_per_ktoken=costs[2],
        cost_over_books=_over_books(jobs, booked.usd),
        books_faults=booked.faults,
        cost_per_min_ratio=_ratio(costs[1], earlier[1]) if enough else None,
        cost_per_ktoken_ratio=_ratio(costs[2], earlier[2]) if enough else None,
        jobs_ratio=_ratio(len(jobs), len(before)) if enough else None,
        unreadable=found.unreadable_count,
        lost_jobs=found.lost_count,
        rows_lost=sum(row.rows_lost + row.results_missing for row in found.batches),
    )


def _costs(jobs: Sequence[JobRow]) -> tuple[float | None, float | None, float | None]:
    """Dollars in all, for a minute of audio, and for 1,000 tokens, of the jobs whose cost is known."""
    known = [row for row in jobs if row.cost_usd is not None]
    if not known:
        return None, None, None
    of_audio = [row for row in known if row.audio_s is not None]
    minutes = sum(row.audio_s or 0 for row in of_audio) / SECONDS_PER_MINUTE
    tokens = sum(row.tokens for row in known) / TOKENS_PER_PRICE
    total = sum(row.cost_usd or 0 for row in known)
    return total, _ratio(sum(row.cost_usd or 0 for row in of_audio), minutes), _ratio(total, tokens)


def _over_books(jobs: Sequence[JobRow], booked_usd: float | None) -> float | None:
    """Cost of the jobs that used the account pool, to what the books say; None with too few to tell.

    A job's calls may be booked in the period before its end; with few jobs at work over midnight that would count.
    """
    claimed = [row.cost_usd or 0 for row in jobs if (row.language_engine or "").split("/")[0] == POOL]
    if booked_usd is None or len(claimed) < LEAST_COUNT or not sum(claimed):
        return None
    # Books without one call: they are those of another machine.
    return _ratio(sum(claimed), booked_usd)


def _by_length(rows: Sequence[JobRow], name: str) -> float | None:
    said = [(row.audio_s or 0, value) for row in rows if (value := getattr(row, name)) is not None]
    return _ratio(sum(length_s * value for length_s, value in said), sum(length_s for length_s, _ in said))


def _mean(values: Iterable[float | None]) -> float | None:
    said = [value for value in values if value is not None]
    return _ratio(sum(said), len(said))


def _ratio(part: float | None, whole: float | None) -> float | None:
    return part / whole if part is not None and whole else None


def _mix(values: Iterable[str | None]) -> str:
    counted = Counter(value for value in values if value)
    return ", ".join(f"{name} {count / counted.total():.0%}" for name, count in counted.most_common(5))
