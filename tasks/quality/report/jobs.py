"""Jobs of a period: how many, how they ended, how fast they were."""

from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

from tasks.quality.report.compare import count_of, quantile_of, share_of, total_of
from tasks.quality.report.noise import quantile
from tasks.quality.report.period import Period
from tasks.quality.report.report import Chart, Figure, Gap, Part, Table, Unit, table_of
from tasks.quality.report.runs import Runs
from tasks.quality.report.tally import Group, Results, Tally, most

CODES: dict[str, Unit] = {"code": "text", "jobs": "count"}
GROUPS: dict[str, Unit] = {"jobs": "count", "audio": "h", "RTF, median": "ratio", "RTF, p95": "ratio"}
HOURS = 24


def jobs_part(results: Results | Gap, runs: Runs | Gap, period: Period) -> Part:
    """What jobs there were: by their results in the store, and by their runs in Prefect."""
    part = Part(name="jobs", title="Jobs", gaps=tuple(one for one in (results, runs) if isinstance(one, Gap)))
    told, ran = results if isinstance(results, Results) else None, runs if isinstance(runs, Runs) else None
    figures = (*(_ended(told.now, told.before) if told else ()), *(_lost(ran, told) if ran else ()))
    tables = table_of("Why runs failed", CODES, ran.now.codes.most_common()) if ran else ()
    part = part.model_copy(update={"notes": ran.notes if ran else ()})
    if told is None:
        return part.model_copy(update={"figures": figures, "tables": tables})
    return part.model_copy(
        update={
            "figures": (*figures, *_speeds(told.now, told.before)),
            "tables": (
                *_groups("By engine", "engine", told.now.engines),
                *_groups("By template", "template", told.now.templates),
                *tables,
            ),
            "charts": over_time("Jobs with a result", told.now.jobs, told.before.jobs, period),
            "gaps": (*part.gaps, *_unreadable(told)),
        }
    )


def _ended(now: Tally, before: Tally) -> Iterator[Figure]:
    yield total_of("jobs", "jobs with a result", now.jobs, before.jobs)
    statuses = {"complete": "complete", "partial": "partial: a step could not do its work", "no_speech": "no speech"}
    for status, label in statuses.items():
        yield count_of(status, label, now.statuses[status], before.statuses[status])
    parts = ((one.statuses["partial"], one.done) for one in (now, before))
    yield share_of("partial_share", "partial, of all with a result", *parts, better="less")
    hours, hours_before = ([one / 3600 for one in tally.audio_s] for tally in (now, before))
    yield total_of("audio_h", "audio", hours, hours_before, unit="h")


def _lost(runs: Runs, results: Results | None) -> Iterator[Figure]:
    now, before = runs.now, runs.before
    yield total_of("failed", "runs that failed", now.failed, before.failed, better="less")
    if results is not None:
        ends = (
            (sum(one.failed), sum(one.failed) + two.done) for one, two in zip((now, before), results.both, strict=True)
        )
        yield share_of("failed_share", "failed, of all that ended", *ends, better="less")
    yield count_of("cancelled", "cancelled", now.cancelled, before.cancelled)
    yield count_of("crashed", "runs whose process died", now.crashed, before.crashed, "less")
    yield count_of("recovered", "of these, complete by now", now.recovered, before.recovered)
    yield count_of("dead_letters", "dead letters: given up after crashes", now.dead, before.dead, "less")


def _speeds(now: Tally, before: Tally) -> Iterator[Figure]:
    yield quantile_of("rtf_median", "real-time factor (RTF), median", 50, now.rtf, before.rtf, unit="ratio")
    yield quantile_of("rtf_p95", "real-time factor, p95", 95, now.rtf, before.rtf, unit="ratio")


def _groups(title: str, what: str, groups: dict[str, Group]) -> tuple[Table, ...]:
    rows = [
        (name, one.jobs, one.audio_s / 3600, quantile(ordered := sorted(one.rtf), 50), quantile(ordered, 95))
        for name, one in most(groups)
    ]
    return table_of(title, {what: "text", **GROUPS}, rows)


def over_time(
    title: str, now: list[int] | list[float], before: list[int] | list[float], period: Period, unit: Unit = "count"
) -> tuple[Chart, ...]:
    """A chart of what happened when, beside the period before: by hour of a day, by day of anything longer."""
    if not any(now) and not any(before):
        return ()
    labels, edges = _bars(period)
    sums, sums_before = (
        tuple(float(sum(values[begin:end])) for begin, end in pairwise(edges)) for values in (now, before)
    )
    return (Chart(title=title, labels=labels, values=sums, before=sums_before, unit=unit),)


def _bars(period: Period) -> tuple[tuple[str, ...], list[int]]:
    """Labels, and the slices at which they begin and end."""
    if period.slices == HOURS and period.kind == "day" and period.is_over:
        # On a day of 23 or 25 hours equal parts are no hours of its clock.
        form = "%H" if period.now.seconds == HOURS * 3600 else "%H:%M"
        return tuple(f"{begin:{form}}" for begin in _begins(period, HOURS)), list(range(HOURS + 1))
    if period.kind == "week" and period.is_over:
        days = [f"{day:%a}" for day, _ in period.days()]
        return tuple(days), [number * HOURS for number in range(len(days) + 1)]
    parts = 12
    step = period.slices // parts
    form = "%H:%M" if period.slices == HOURS else "%m-%d"
    labels = tuple(f"{begin:{form}}" for begin in _begins(period, parts))
    return labels, [number * step for number in range(parts + 1)]


def _begins(period: Period, parts: int) -> Iterator[datetime]:
    """When each of so many equal parts begins, by the clock of the period's zone."""
    zone, length = ZoneInfo(period.zone), (period.until - period.since) / parts
    for number in range(parts):
        yield (period.since + number * length).astimezone(zone)


def _unreadable(results: Results) -> Iterator[Gap]:
    if results.unreadable_count:
        first = results.unreadable[0]
        yield Gap(
            source=f"{results.unreadable_count} results that are damaged or of another version",
            why=f"{first.key}: {first.why}",
            fix="restore them from a backup, or delete these jobs",
        )
