"""What needs a person now: approvals, reviews, hand-offs, incidents, audits, migrations, disks, unusual costs."""

from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from blocks.progress import in_thread
from blocks.settings import settings
from blocks.store.files import Files
from tasks.quality.report.facts import Incidents, Wanted, oldest
from tasks.quality.report.period import Period
from tasks.quality.report.report import Gap, shortened
from tasks.quality.report.runs import Runs

R = TypeVar("R")

LATELY = timedelta(days=8)
"""A failed audit of longer ago is news to nobody."""

LONG = timedelta(days=1)
"""An operation that has no end after this has died, or waits for somebody."""


class Told(Protocol):
    """Reads a source, or says why it cannot."""

    def __call__(self, source: str, reading: Awaitable[R]) -> Awaitable[R | Gap]: ...


async def read_wanted(
    told: Told, files: Files, period: Period, incidents: Incidents | Gap, runs: Runs | Gap, now: datetime
) -> tuple[list[Wanted], list[Gap]]:
    """All that waits, and what could not be looked at."""
    found, gaps = list[Wanted](), list[Gap]()
    for source, look in SOURCES.items():
        looked = await told(source, in_thread(look, files, now))
        if isinstance(looked, Gap):
            gaps.append(looked)
        else:
            found += looked
    if isinstance(incidents, Incidents):
        found += _open(incidents)
    if isinstance(runs, Runs) and runs.now.dead:
        found.append(
            Wanted(
                what=f"jobs given up in the period ({period.name})",
                count=runs.now.dead,
                do="look at the runs in the Prefect UI, then retry them",
                is_urgent=True,
            )
        )
    return found, gaps


def _approvals(files: Files, _now: datetime) -> list[Wanted]:
    from blocks.approvals import open_approvals

    waiting = [one.request for one in open_approvals(files).pending()]
    which = [f"{one.tool} for {one.agent}, risk {one.risk}" for one in waiting]
    asked = [one.asked_at for one in waiting]
    return _wanted("approvals that wait", asked, which, "c500 approve list", is_urgent=True)


def _reviews(files: Files, _now: datetime) -> list[Wanted]:
    from blocks.reviews import open_reviews

    waiting = [one.proposal for one in open_reviews(files).pending()]
    which = [f"{one.kind}: {one.title}" for one in waiting]
    return _wanted("proposals to review", [one.proposed_at for one in waiting], which, "c500 review list")


def _handoffs(files: Files, _now: datetime) -> list[Wanted]:
    from tasks.agents.team.handoff import HandOffs

    waiting = HandOffs(files).waiting()
    which = [f"{one.agent}: {one.question}" for one in waiting]
    return _wanted("hand-offs of agents", [one.at for one in waiting], which, "c500 handoff list")


def _audits(files: Files, now: datetime) -> list[Wanted]:
    from tasks.quality.audit.history import read_periods

    failed = [one for one in read_periods(files) if one.verdict == "failed" and now - one.audited_at < LATELY]
    which = [f"{one.name}: {', '.join(one.failed[:3])}" for one in failed]
    at = [one.audited_at for one in failed]
    return _wanted("failed audits of quality", at, which, "c500 quality show PERIOD", is_urgent=True)


def _migrations(files: Files, _now: datetime) -> list[Wanted]:
    from tasks.ops.migration.kept import open_migrations

    kept = open_migrations()
    waiting = [one for name in kept.names() if (one := kept.find(name)) is not None and one.status == "waiting"]
    at = [one.history[-1].at for one in waiting if one.history]
    which = [f"{one.migration}: {one.waits}" for one in waiting]
    return _wanted("migrations that wait", at, which, "c500 migrate status", count=len(waiting))


def _operations(files: Files, now: datetime) -> list[Wanted]:
    from tasks.ops.run_records import RunRecords

    lost = [one for one in RunRecords(files).every() if one.ended is None and now - one.begun_at > LONG]
    which = [f"{one.flow} {one.run_id}" for one in sorted(lost, key=lambda one: one.begun_at)]
    return _wanted("operations without an end for a day", [one.begun_at for one in lost], which, "c500 operations")


def _disks(_files: Files, _now: datetime) -> list[Wanted]:
    from tasks.ops.cleanup.disk import disks_of
    from tasks.ops.cleanup.plan import read_plan, watched

    chosen = settings()
    disks = disks_of(watched(read_plan(chosen), chosen))
    full = [one for one in disks if one.fullest_percent > chosen.disk_threshold]
    which = [f"{one.place} {one.fullest_percent:g} %" for one in full]
    return _wanted("disks near full", [], which, "c500 disk heal, or c500 clean all", is_urgent=True)


def _costs(_files: Files, now: datetime) -> list[Wanted]:
    from blocks.accounts.anomalies import anomalies
    from flows.reporting.costs import open_books

    with open_books() as engine:
        found = anomalies(engine, now.timestamp())
    return _wanted("unusual costs today", [], [one.message for one in found], "c500 costs --anomalies")


def _open(incidents: Incidents) -> list[Wanted]:
    still = sorted((one for one in incidents.incidents if one.ended_at is None), key=lambda one: one.opened_at)
    which = [f"{one.incident_id} {one.title}" for one in still]
    at = [one.opened_at for one in still]
    return _wanted("open incidents", at, which, "c500 incident list", is_urgent=True)


def _wanted(
    what: str, at: Iterable[datetime], which: list[str], do: str, *, count: int | None = None, is_urgent: bool = False
) -> list[Wanted]:
    number = len(which) if count is None else count
    if not number:
        return []
    told = tuple(shortened(one) for one in which)
    return [Wanted(what=what, count=number, since=oldest(list(at)), which=told, do=do, is_urgent=is_urgent)]


SOURCES: dict[str, Callable[[Files, datetime], list[Wanted]]] = {
    "approvals": _approvals,
    "reviews": _reviews,
    "hand-offs": _handoffs,
    "the history of audits": _audits,
    "migrations": _migrations,
    "operations at work": _operations,
    "disks": _disks,
    "costs of today": _costs,
}
"""A new thing that waits for people is a function and a row here."""
