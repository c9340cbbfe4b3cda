"""Incidents, operations, agents and batches, against figures made by hand."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from tasks.quality.report.facts import AgentRun, AgentRuns, Batch, Batches, IncidentFact, Incidents, Operation, Wanted
from tasks.quality.report.happened import agents_part, batches_part, incidents_part, operations_part
from tasks.quality.report.people import people_part
from tasks.quality.report.period import period_of
from tasks.quality.report.report import Gap, Part

NOON, HOUR, DAY = datetime(2026, 11, 21, 12, tzinfo=UTC), timedelta(hours=1), timedelta(days=1)
PERIOD = period_of("day", "2026-11-21", ZoneInfo("UTC"), NOON + DAY)
GAP = Gap(source="the store", why="it is away", fix="bring it back")


def figures(part: Part) -> dict[str, tuple[float | None, float | None]]:
    return {one.name: (one.value, one.before) for one in part.figures}


def fact(name: str, opened_at: datetime, severity: str = "warning", **facts: datetime) -> IncidentFact:
    return IncidentFact(incident_id=name, title=name, severity=severity, opened_at=opened_at, **facts)


def test_incidents_are_as_by_hand() -> None:
    told = Incidents(
        incidents=(
            fact("old", NOON - 9 * DAY, "critical"),
            fact("was", NOON - DAY, acknowledged_at=NOON - DAY + HOUR, ended_at=NOON - DAY + 4 * HOUR),
            fact("a", NOON, acknowledged_at=NOON + HOUR / 2, ended_at=NOON + HOUR, closed_at=NOON + 2 * HOUR),
            fact("b", NOON + HOUR, acknowledged_at=NOON + 3 * HOUR, ended_at=PERIOD.until),
            fact("c", PERIOD.since, ended_at=PERIOD.since + 3 * HOUR),
            fact("next", PERIOD.until),
        ),
        cases_at=(NOON, PERIOD.until, NOON - DAY),
        unread=("incident x cannot be read",),
    )
    part = incidents_part(told, PERIOD)
    assert figures(part) == {
        "opened": (3, 1),
        "ended": (2, 1),
        "closed": (1, 0),
        "open": (2, 1),
        "acknowledge_median_s": (1800, 3600),
        "resolve_median_s": (3600, 4 * 3600),
        "cases": (1, 1),
    }
    longest, severities = part.tables
    assert [(row[0], row[2], row[3]) for row in longest.rows] == [
        ("old", "2026-11-12 12:00", 9.5 * 86_400),
        ("b", "2026-11-21 13:00", 11 * 3600.0),
    ]
    assert severities.rows == (("warning", 3, 1),)
    assert [one.source for one in part.gaps] == ["1 incidents or cases"]
    assert incidents_part(GAP, PERIOD).gaps == (GAP,)


def test_operations_are_as_by_hand() -> None:
    def run(name: str, begun_at: datetime, ended: str | None = None, flow: str = "run-runbook") -> Operation:
        at = begun_at + HOUR if ended else None
        return Operation.model_validate(
            dict(run_id=name, flow=flow, subject=f"{name}.yaml", begun_at=begun_at, ended=ended, ended_at=at)
        )

    part = operations_part(
        (
            run("a", NOON, "completed"),
            run("b", NOON, "failed", flow="migrate"),
            run("c", NOON, flow="maintain"),
            run("d", PERIOD.since - HOUR / 2, "stopped", flow="maintain"),
            run("e", NOON - DAY, "failed"),
        ),
        PERIOD,
    )
    assert figures(part) == {"begun": (3, 2), "failed": (1, 1), "failed_share": (1 / 3, 1.0)}
    by_flow, failed = part.tables
    assert by_flow.rows == (
        ("migrate", 1, 0, 1, 0, 0),
        ("maintain", 1, 0, 0, 1, 1),
        ("run-runbook", 1, 1, 0, 0, 0),
    )
    assert failed.rows == (("migrate", "b", "b.yaml", "2026-11-21 13:00"),)
    assert operations_part(GAP, PERIOD).gaps == (GAP,)


def test_agents_are_as_by_hand() -> None:
    def run(agent: str, at: datetime, status: str = "done", **facts: object) -> AgentRun:
        return AgentRun.model_validate(dict(agent=agent, status=status, ended_at=at) | facts)

    told = AgentRuns(
        ended=(
            run("a", NOON, cost_usd=1.0, waited_s=60),
            run("a", NOON, "limited", reason="BUDGET_EXCEEDED", cost_usd=2.0),
            run("b", NOON, "stopped", reason="STOPPED"),
            run("b", NOON - DAY, cost_usd=4.0),
            run("b", PERIOD.until),
        ),
        begun=5,
        begun_before=1,
    )
    part = agents_part(told, PERIOD)
    assert figures(part) == {"begun": (5, 1), "ended": (3, 1), "done_share": (1 / 3, 1.0), "cost_usd": (3.0, 4.0)}
    assert part.tables[0].rows == (("a", 2, 1, 3.0, 60.0), ("b", 1, 0, 0.0, 0.0))
    assert dict(part.tables[1].rows) == {"done": 1, "limited (BUDGET_EXCEEDED)": 1, "stopped (STOPPED)": 1}  # type: ignore[arg-type]


def test_batches_are_as_by_hand() -> None:
    batches = (
        Batch(kind="swarm", name="s1", rows=100, failed=4, ended_at=NOON),
        Batch(kind="swarm", name="s2", rows=300, failed=0, ended_at=NOON),
        Batch(kind="agent task", name="t1", rows=1, failed=1, outcome="silent stop", ended_at=NOON),
        Batch(kind="swarm", name="s0", rows=10, failed=5, ended_at=NOON - DAY),
    )
    part = batches_part(Batches(batches=batches, unread=("x is damaged",)), PERIOD)
    assert figures(part) == {
        "ended": (3, 1),
        "rows": (401, 10),
        "failed_rows": (5, 5),
        "failed_share": (5 / 401, 0.5),
    }
    assert part.tables[0].rows == (("swarm", 2, 400, 4), ("agent task", 1, 1, 1))
    assert [row[0] for row in part.tables[1].rows] == ["s1", "t1", "s2"]
    assert [gap.source for gap in part.gaps] == ["1 reports of batches"]
    assert batches_part(GAP, PERIOD).gaps == (GAP,)


def test_what_is_urgent_comes_first_and_then_what_waits_longest() -> None:
    told = [
        Wanted(what="reviews", count=1, since=NOON - 9 * DAY, which=("r",), do="look"),
        Wanted(what="disks", count=1, which=("/ 99 %",), do="clean", is_urgent=True),
        Wanted(what="approvals", count=5, since=NOON, which=("a", "b", "c", "d", "e"), do="answer", is_urgent=True),
    ]
    part = people_part(told, [], "UTC")
    assert figures(part) == {"waiting": (7, None), "urgent": (6, None)}
    assert [row[0] for row in part.tables[0].rows] == ["approvals", "disks", "reviews"]
    assert part.tables[0].rows[0][3] == "a; b; c and 2 more"
    assert people_part([], [], "UTC").notes == ("Nothing waits for a person.",)
    assert people_part([], [GAP], "UTC").notes == (), "nobody knows whether something does"
