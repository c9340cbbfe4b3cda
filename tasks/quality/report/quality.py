"""How good what was made is: by the latest audits, and by the figures of the results themselves."""

from collections.abc import Iterator
from zoneinfo import ZoneInfo

from blocks.store.files import Files
from tasks.quality.audit.history import read_periods
from tasks.quality.report.compare import count_of, mean_of, share_of
from tasks.quality.report.jobs import CODES
from tasks.quality.report.period import Period
from tasks.quality.report.report import Figure, Gap, Part, Unit, table_of
from tasks.quality.report.tally import Results, Tally

AUDITS: dict[str, Unit] = {
    "audit of": "text",
    "verdict": "text",
    "jobs": "count",
    "failed expectations": "text",
    "audited at": "text",
}
MOST_AUDITS = 20


def audits_part(files: Files, period: Period) -> Part:
    """What the latest audits of days, weeks and months say that have a part in the period. Raises `StoreFailed`."""
    zone = ZoneInfo(period.zone)
    audits = [one for one in read_periods(files) if one.since < period.until and one.until > period.since]
    rows = [
        (one.name, one.verdict, one.jobs, ", ".join(one.failed), f"{one.audited_at.astimezone(zone):%Y-%m-%d %H:%M}")
        for one in sorted(audits, key=lambda one: (one.verdict != "failed", one.since))
    ]
    return Part(
        name="quality",
        title="Quality",
        tables=table_of("Audits", AUDITS, rows, most=MOST_AUDITS),
        notes=() if rows else ("No audit covers this period: the figures are those of the results themselves.",),
    )


def quality_part(results: Results | Gap, audits: Part | Gap) -> Part:
    """Quality; where results cannot be read, the jobs tell why."""
    audited = Part(name="quality", title="Quality", gaps=(audits,)) if isinstance(audits, Gap) else audits
    if isinstance(results, Gap):
        return audited
    now, before = results.now, results.before
    notices = table_of("Notices", CODES, now.notices.most_common())
    return audited.model_copy(
        update={
            "figures": (*audited.figures, *(_figures(now, before) if now.done or before.done else ())),
            "tables": (*audited.tables, *notices),
        }
    )


def _figures(now: Tally, before: Tally) -> Iterator[Figure]:
    yield from mean_of("coverage", "speech in the audio, mean of jobs", now.coverage, before.coverage, "share")
    yield from mean_of("confidence", "confidence, mean of jobs", now.confidence, before.confidence, "ratio", "more")
    yield from mean_of("edit_rate", "words that enhancement changed, mean of jobs", now.edits, before.edits, "share")
    empty = ((one.statuses["no_speech"], one.done) for one in (now, before))
    yield share_of("empty_share", "jobs without speech", *empty, better="less")
    noticed = ((one.noticed, one.done) for one in (now, before))
    yield share_of("noticed_share", "jobs with a notice", *noticed, better="less")
    yield count_of("removed", "segments that the guard took out", now.removed, before.removed)
