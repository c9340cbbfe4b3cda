"""What other parts of C500 tell of a period, each thing in a few fields; the flow collects them."""

from collections import Counter
from datetime import datetime
from typing import Literal

from pydantic import AwareDatetime, Field

from blocks.model import Frozen


class IncidentFact(Frozen):
    """An incident.

    Attributes:
        incident_id: Names it.
        title: What it is.
        severity: The worst of its alerts.
        services: Which it befell.
        opened_at: When we were first told.
        acknowledged_at: When a person first did something about it.
        ended_at: When no alert was firing any more, or a person closed it; None while it is open.
        closed_at: When a person closed it.
    """

    incident_id: str
    title: str
    severity: str
    services: tuple[str, ...] = ()
    opened_at: AwareDatetime
    acknowledged_at: AwareDatetime | None = None
    ended_at: AwareDatetime | None = None
    closed_at: AwareDatetime | None = None


class Incidents(Frozen):
    """All incidents that may matter, and when cases were added to the library.

    Attributes:
        incidents: Open ones, and those that ended in one of the two periods or after.
        cases_at: When each case was added or last changed.
        unread: What could not be read.
    """

    incidents: tuple[IncidentFact, ...] = ()
    cases_at: tuple[AwareDatetime, ...] = ()
    unread: tuple[str, ...] = ()


class Operation(Frozen):
    """A run of an operations flow: a runbook, a migration, maintenance, …

    Attributes:
        run_id, flow, subject: Which, of what, about what.
        begun_at: When its first attempt began.
        ended: How its latest attempt ended; None: it is at work, or died.
        ended_at: When.
    """

    run_id: str
    flow: str
    subject: str
    begun_at: AwareDatetime
    ended: Literal["completed", "failed", "stopped"] | None = None
    ended_at: AwareDatetime | None = None


class AgentRun(Frozen):
    """A run of an agent that has ended.

    Attributes:
        agent: Which.
        status: How it ended.
        reason: Code of what kept it from its goal; empty for none.
        ended_at: When.
        cost_usd: What it cost.
        waited_s: Seconds that people were waited for.
    """

    agent: str
    status: str
    reason: str = ""
    ended_at: AwareDatetime
    cost_usd: float = 0.0
    waited_s: float = 0.0


class AgentRuns(Frozen):
    """What agents did.

    Attributes:
        ended: Runs that ended in one of the two periods.
        begun, begun_before: How many began in each.
        unread: What could not be read.
    """

    ended: tuple[AgentRun, ...] = ()
    begun: int = 0
    begun_before: int = 0
    unread: tuple[str, ...] = ()


class Batch(Frozen):
    """Work over many rows or recordings that ended in one of the two periods.

    Attributes:
        kind: What it is: `batch of recordings`, or a kind of `blocks.rows.report`.
        name: Names it.
        rows: How many rows, recordings or jobs it has; None where that is not told.
        failed: How many of them failed.
        outcome: How it ended.
        ended_at: When.
        cost_usd: What its last run cost, where that is known.
    """

    kind: str
    name: str
    rows: int | None = None
    failed: int | None = None
    outcome: str = ""
    ended_at: AwareDatetime
    cost_usd: float | None = None


class Batches(Frozen):
    """Work over many rows.

    Attributes:
        batches: What ended in one of the two periods.
        unread: What could not be read.
    """

    batches: tuple[Batch, ...] = ()
    unread: tuple[str, ...] = ()


class Wanted(Frozen):
    """Something that needs a person now.

    Attributes:
        what: What kind of thing.
        count: How many there are.
        since: Since when the oldest waits.
        which: The first of them, in words.
        do: What to do.
        is_urgent: Whether it should not wait.
    """

    what: str
    count: int = Field(ge=1)
    since: AwareDatetime | None = None
    which: tuple[str, ...] = ()
    do: str
    is_urgent: bool = False


def by_code(runs: tuple[AgentRun, ...]) -> Counter[str]:
    """How often runs ended in which way."""
    return Counter(f"{one.status} ({one.reason})" if one.reason else one.status for one in runs)


def oldest(moments: list[datetime]) -> datetime | None:
    """The earliest; None of none."""
    return min(moments, default=None)
