"""Incidents, operations, agents and batches of a period."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from tasks.quality.report.compare import count_of, counts_of, quantile_of, share_of, total_of
from tasks.quality.report.facts import AgentRun, AgentRuns, Batch, Batches, IncidentFact, Incidents, Operation, by_code
from tasks.quality.report.jobs import over_time
from tasks.quality.report.period import Period, Span
from tasks.quality.report.report import Cell, Figure, Gap, Part, Table, Unit, table_of

OPEN: dict[str, Unit] = {"incident": "text", "severity": "text", "open since": "text", "for": "s", "what": "text"}
SEVERITIES: dict[str, Unit] = {"severity": "text", "opened": "count", "before": "count"}
FLOWS: dict[str, Unit] = {
    "flow": "text",
    "begun": "count",
    "completed": "count",
    "failed": "count",
    "stopped": "count",
    "no end": "count",
}
FAILED: dict[str, Unit] = {"failed": "text", "run": "text", "about": "text", "at": "text"}
AGENTS: dict[str, Unit] = {"agent": "text", "ended": "count", "done": "count", "cost": "usd", "waited for people": "s"}
ENDS: dict[str, Unit] = {"how runs ended": "text", "runs": "count"}
KINDS: dict[str, Unit] = {"kind": "text", "ended": "count", "rows": "count", "failed rows": "count"}
LEAST_CHART = 3
"""Of fewer incidents a chart says nothing."""

BATCHES: dict[str, Unit] = {
    "batch": "text",
    "kind": "text",
    "rows": "count",
    "failed": "count",
    "cost": "usd",
    "how": "text",
}


def incidents_part(told: Incidents | Gap, period: Period) -> Part:
    """Incidents and cases."""
    part = Part(name="incidents", title="Incidents and cases")
    if isinstance(told, Gap):
        return part.model_copy(update={"gaps": (told,)})
    every = told.incidents
    begun, begun_before = (_slices([one.opened_at for one in every], span, period) for span in _both(period))
    return part.model_copy(
        update={
            "figures": (
                total_of("opened", "opened", begun, begun_before, better="less"),
                *_counts(every, period),
                *_times(every, period),
                counts_of(
                    "cases", "cases added to the library", [_within(told.cases_at, one) for one in _both(period)]
                ),
            ),
            "tables": (*_open_longest(every, period), *_severities(every, period)),
            "charts": over_time("Incidents opened", begun, begun_before, period) if sum(begun) >= LEAST_CHART else (),
            "gaps": _unread(told.unread, "incidents or cases"),
        }
    )


def _counts(every: Sequence[IncidentFact], period: Period) -> Iterator[Figure]:
    ends = [_within((one.ended_at for one in every), span) for span in _both(period)]
    yield counts_of("ended", "ended: no alert is firing any more, or closed", ends)
    closed = [_within((one.closed_at for one in every), span) for span in _both(period)]
    yield counts_of("closed", "closed by a person", closed)
    still = [sum(_is_open(one, span.until) for one in every) for span in _both(period)]
    yield counts_of("open", "open at the end", still, "less")


def _open_longest(every: Sequence[IncidentFact], period: Period) -> tuple[Table, ...]:
    zone, until = ZoneInfo(period.zone), period.until
    still = sorted((one for one in every if _is_open(one, until)), key=lambda one: one.opened_at)
    rows = [
        (one.incident_id, one.severity, _local(one.opened_at, zone), (until - one.opened_at).total_seconds(), one.title)
        for one in still
    ]
    return table_of("Open longest", OPEN, rows)


def operations_part(told: Sequence[Operation] | Gap, period: Period) -> Part:
    """Runbooks, migrations, maintenance and all other operations."""
    part = Part(name="operations", title="Runbooks, migrations, maintenance")
    if isinstance(told, Gap):
        return part.model_copy(update={"gaps": (told,)})
    begun, begun_before = (_slices([one.begun_at for one in told], span, period) for span in _both(period))
    failed, failed_before = (_ended(told, span, "failed") for span in _both(period))
    shares = ((_ended(told, span, "failed"), _ended(told, span)) for span in _both(period))
    zone = ZoneInfo(period.zone)
    failures = [
        (one.flow, one.run_id, one.subject, _local(one.ended_at, zone))
        for one in told
        if one.ended == "failed" and one.ended_at is not None and one.ended_at in period.now
    ]
    return part.model_copy(
        update={
            "figures": (
                total_of("begun", "runs begun", begun, begun_before),
                count_of("failed", "failed", failed, failed_before, "less"),
                share_of("failed_share", "failed, of those that ended", *shares, better="less"),
            ),
            "tables": (
                *table_of("By flow", FLOWS, _by_flow(told, period), most=40),
                *table_of("Failed", FAILED, failures),
            ),
        }
    )


def _by_flow(told: Sequence[Operation], period: Period) -> list[tuple[Cell, ...]]:
    flows: dict[str, Counter[str]] = defaultdict(Counter)
    for one in told:
        flows[one.flow]["begun"] += one.begun_at in period.now
        flows[one.flow]["no end"] += one.ended is None and one.begun_at in period.now
        if one.ended is not None and one.ended_at is not None:
            flows[one.flow][one.ended] += one.ended_at in period.now
    ranked = sorted(flows.items(), key=lambda item: (-item[1]["failed"], item[0]))
    return [(flow, *(counts[name] for name in list(FLOWS)[1:])) for flow, counts in ranked if any(counts.values())]


def agents_part(told: AgentRuns | Gap, period: Period) -> Part:
    """Runs of agents."""
    part = Part(name="agents", title="Agents")
    if isinstance(told, Gap):
        return part.model_copy(update={"gaps": (told,)})
    now, before = (tuple(one for one in told.ended if one.ended_at in span) for span in _both(period))
    usd, usd_before = (_slices_of(runs, span, period) for runs, span in zip((now, before), _both(period), strict=True))
    done = ((sum(one.status == "done" for one in runs), len(runs)) for runs in (now, before))
    by_agent: dict[str, list[AgentRun]] = defaultdict(list)
    for one in now:
        by_agent[one.agent].append(one)
    rows = [
        (
            name,
            len(runs),
            sum(one.status == "done" for one in runs),
            sum(one.cost_usd for one in runs),
            sum(one.waited_s for one in runs),
        )
        for name, runs in sorted(by_agent.items(), key=lambda item: (-len(item[1]), item[0]))
    ]
    figures = (
        count_of("begun", "runs begun", told.begun, told.begun_before),
        count_of("ended", "runs ended", len(now), len(before)),
        share_of("done_share", "reached their goal, of those that ended", *done, better="more"),
        total_of("cost_usd", "cost", usd, usd_before, unit="usd", better="less"),
    )
    tables = (*table_of("By agent", AGENTS, rows), *table_of("How they ended", ENDS, by_code(now).most_common()))
    return part.model_copy(
        update={"figures": figures, "tables": tables, "gaps": _unread(told.unread, "runs of agents")}
    )


def batches_part(told: Batches | Gap, period: Period) -> Part:
    """Swarms, batches, fleets and tasks of agents."""
    part = Part(name="batches", title="Swarms, batches and tasks of agents")
    if isinstance(told, Gap):
        return part.model_copy(update={"gaps": (told,)})
    now, before = ([one for one in told.batches if one.ended_at in span] for span in _both(period))
    kinds: dict[str, list[Batch]] = defaultdict(list)
    for one in now:
        kinds[one.kind].append(one)
    rows = [
        (kind, len(ones), _sum(ones, "rows"), _sum(ones, "failed"))
        for kind, ones in sorted(kinds.items(), key=lambda item: (-len(item[1]), item[0]))
    ]
    worst = sorted(now, key=lambda one: (-(one.failed or 0), -(one.rows or 0), one.name))
    shares = ((_sum(ones, "failed"), _sum(ones, "rows")) for ones in (now, before))
    figures = (
        count_of("ended", "ended", len(now), len(before)),
        count_of("rows", "rows, recordings or jobs in them", _sum(now, "rows"), _sum(before, "rows")),
        count_of("failed_rows", "of these, failed", _sum(now, "failed"), _sum(before, "failed"), "less"),
        share_of("failed_share", "failed, of all of them", *shares, better="less"),
    )
    listed = [(one.name, one.kind, one.rows, one.failed, one.cost_usd, one.outcome) for one in worst]
    tables = (*table_of("By kind", KINDS, rows), *table_of("Those with the most failures", BATCHES, listed))
    gaps = _unread(told.unread, "reports of batches")
    return part.model_copy(update={"figures": figures, "tables": tables, "gaps": gaps})


def _times(every: Sequence[IncidentFact], period: Period) -> Iterator[Figure]:
    """How long it took until a person took incidents up, and until they were over."""
    ways: dict[str, tuple[str, Callable[[IncidentFact], datetime | None]]] = {
        "acknowledge_median_s": ("until a person took it up, median", lambda one: one.acknowledged_at),
        "resolve_median_s": ("until it ended, median", lambda one: one.ended_at),
    }
    for name, (label, moment) in ways.items():
        now, before = ([*_seconds(every, span, moment)] for span in _both(period))
        yield quantile_of(name, label, 50, now, before, unit="s")


def _seconds(
    every: Iterable[IncidentFact], span: Span, moment: Callable[[IncidentFact], datetime | None]
) -> Iterator[float]:
    """From their opening to a moment of the span."""
    for one in every:
        if (at := moment(one)) is not None and at in span:
            yield (at - one.opened_at).total_seconds()


def _severities(every: Sequence[IncidentFact], period: Period) -> tuple[Table, ...]:
    now, before = (Counter(one.severity for one in every if one.opened_at in span) for span in _both(period))
    rows = [(name, count, before[name]) for name, count in now.most_common()]
    return table_of("Opened, by severity", SEVERITIES, rows)


def _is_open(one: IncidentFact, at: datetime) -> bool:
    return one.opened_at < at and (one.ended_at is None or one.ended_at >= at)


def _within(moments: Iterable[datetime | None], span: Span) -> int:
    return sum(at is not None and at in span for at in moments)


def _ended(told: Iterable[Operation], span: Span, how: str | None = None) -> int:
    ends = (one for one in told if one.ended is not None and one.ended_at is not None and one.ended_at in span)
    return sum(how is None or one.ended == how for one in ends)


def _slices(moments: Iterable[datetime], span: Span, period: Period) -> list[int]:
    found = [0] * period.slices
    for at in moments:
        if at in span:
            found[span.slice_of(at, period.slices)] += 1
    return found


def _slices_of(runs: Iterable[AgentRun], span: Span, period: Period) -> list[float]:
    found = [0.0] * period.slices
    for one in runs:
        found[span.slice_of(one.ended_at, period.slices)] += one.cost_usd
    return found


def _sum(ones: Iterable[Batch], name: str) -> int:
    return sum(getattr(one, name) or 0 for one in ones)


def _both(period: Period) -> tuple[Span, Span]:
    return period.now, period.before


def _local(at: datetime | None, zone: ZoneInfo) -> str:
    return "" if at is None else f"{at.astimezone(zone):%Y-%m-%d %H:%M}"


def _unread(unread: Sequence[str], what: str) -> tuple[Gap, ...]:
    if not unread:
        return ()
    fix = "restore them from a backup, or delete them"
    return (Gap(source=f"{len(unread):,} {what}", why=unread[0], fix=fix),)
