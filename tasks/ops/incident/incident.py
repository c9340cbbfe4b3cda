"""An incident: its alerts, its states, its timeline. Everything here is pure; `intake` keeps it."""

from datetime import datetime, timedelta
from typing import Any, Literal

from pydantic import AwareDatetime, Field

from blocks.errors import Conflict
from blocks.model import Frozen
from tasks.ops.incident.notification import Alarm, Notification

Status = Literal["open", "resolved", "closed"]

MOVES: dict[Status, tuple[Status, ...]] = {"open": ("resolved", "closed"), "resolved": ("open", "closed"), "closed": ()}
"""`resolved`: no alert of it is firing; `closed`: a person has ended it, and what comes then is another incident."""

REJOIN = timedelta(hours=1)
"""So long after it was resolved, an alert of it opens it again; later, it is another incident."""

EventKind = Literal[
    "opened", "alert", "resolved", "again", "gathered", "briefed", "action", "question", "note", "closed", "postmortem"
]

FIRST_EVENTS, LAST_EVENTS = 200, 400
"""Of a longer timeline, what is kept."""
TOLD_BY_ALERTS: tuple[EventKind, ...] = ("alert", "resolved", "again")
"""Left out before anything that a person or a run did: alerts that flap must not wash it away."""
MOST_ALERTS = 500
SAYS_CHARS = 1000

SEVERITIES = ("critical", "page", "high", "error", "warning", "medium", "low", "info", "none")
"""Worst first; what is none of these counts as a warning."""


class AlertState(Frozen):
    """An alert of an incident, as it was last told.

    Attributes:
        fingerprint: The same for the same alert.
        name: Of the alert.
        status: Whether it is still so.
        labels, annotations: As they were last told.
        started_at, ended_at: Since and until when.
        generator: Where it comes from.
        told: How often we were told of it.
    """

    fingerprint: str
    name: str
    status: Literal["firing", "resolved"]
    labels: dict[str, str]
    annotations: dict[str, str]
    started_at: AwareDatetime
    ended_at: AwareDatetime | None = None
    generator: str = ""
    told: int = 1


class Event(Frozen):
    """Something that happened in an incident.

    Attributes:
        at: When.
        kind: What kind of thing.
        says: What, in a line.
        by: Which person did it; empty for none.
    """

    at: AwareDatetime
    kind: EventKind
    says: str
    by: str = ""


class Incident(Frozen):
    """An incident, as its manifest tells it.

    Attributes:
        incident_id: Names it, and the run that works on it.
        title: What it is, in a line.
        severity: The worst of its alerts.
        services: Which it befell, by the services file or the alerts' labels.
        status: See `MOVES`.
        opened_at: When we were first told.
        began_at: When the first of its alerts began.
        resolved_at, closed_at: When, if it is.
        alerts: All of them; of too many, those that were over are left out first.
        alerts_left_out: How many more the last notifications told of.
        timeline: What happened, in the order in which it was written down.
        events_left_out: How many there were in the middle.
        briefed_at: When its briefing was sent.
        cause, resolution: What a person said about it when closing it.
        postmortem_at: When the last postmortem was written.
    """

    incident_id: str
    title: str
    severity: str
    services: tuple[str, ...] = ()
    status: Status = "open"
    opened_at: AwareDatetime
    began_at: AwareDatetime
    resolved_at: AwareDatetime | None = None
    closed_at: AwareDatetime | None = None
    alerts: tuple[AlertState, ...] = ()
    alerts_left_out: int = 0
    timeline: tuple[Event, ...] = ()
    events_left_out: int = 0
    briefed_at: AwareDatetime | None = None
    cause: str = ""
    resolution: str = ""
    postmortem_at: AwareDatetime | None = Field(default=None)

    @property
    def firing(self) -> tuple[AlertState, ...]:
        """Its alerts that are still so."""
        return tuple(one for one in self.alerts if one.status == "firing")

    def takes(self, now: datetime) -> bool:
        """Whether alerts that belong to it join it: it is open, or was until a little while ago."""
        if self.status == "resolved" and self.resolved_at is not None:
            return now - self.resolved_at < REJOIN
        return self.status == "open"

    def with_event(self, at: datetime, kind: EventKind, says: str, by: str = "") -> "Incident":
        """The incident with one more event."""
        timeline, left_out = (*self.timeline, Event(at=at, kind=kind, says=says[:SAYS_CHARS], by=by)), 0
        if len(timeline) > FIRST_EVENTS + LAST_EVENTS:
            middle = range(FIRST_EVENTS, len(timeline) - 1)
            least = next((place for place in middle if timeline[place].kind in TOLD_BY_ALERTS), FIRST_EVENTS)
            timeline, left_out = timeline[:least] + timeline[least + 1 :], 1
        return self.model_copy(update={"timeline": timeline, "events_left_out": self.events_left_out + left_out})

    def moved(self, status: Status, **facts: Any) -> "Incident":
        """The incident in another state. Raises `Conflict` where it cannot get there."""
        if status not in MOVES[self.status]:
            raise Conflict(
                f"incident {self.incident_id} is {self.status}, and cannot be {status}",
                fix="what comes now is another incident" if self.status == "closed" else "there is nothing to do",
            )
        return self.model_copy(update={"status": status, **facts})


def opened(incident_id: str, told: Notification, services: tuple[str, ...], now: datetime) -> Incident:
    """A new incident of a notification."""
    first = Incident(
        incident_id=incident_id,
        title=title_of(told),
        severity=severity_of(told.alerts),
        services=services,
        opened_at=now,
        began_at=now,
    )
    return joined(first.with_event(now, "opened", first.title), told, services, now)


def joined(incident: Incident, told: Notification, services: tuple[str, ...], now: datetime) -> Incident:
    """The incident after one more notification; one that tells nothing new changes only how often we were told."""
    alerts = {one.fingerprint: one for one in incident.alerts}
    left_out, events = told.truncated, list[tuple[EventKind, str]]()
    for alarm in told.alerts:
        known = alerts.get(alarm.fingerprint)
        if known is None and len(alerts) >= MOST_ALERTS and not _gave_way(alerts, alarm):
            left_out += 1
            continue
        alerts[alarm.fingerprint] = _state(alarm, known, now)
        if known is None or known.status != alarm.status:
            events.append(("resolved" if alarm.status == "resolved" else "alert", _line(alarm)))
    now_is = incident.model_copy(
        update={
            "alerts": tuple(alerts.values()),
            # The same ones are told again and again: they are not added up.
            "alerts_left_out": max(left_out, incident.alerts_left_out),
            "began_at": min((*_beginnings(told, now), incident.began_at)),
            "services": tuple(dict.fromkeys((*incident.services, *services)))[:50],
            "severity": min(incident.severity, severity_of(told.alerts), key=_rank),
        }
    )
    for kind, says in events:
        now_is = now_is.with_event(now, kind, says)
    return _settled(now_is, now)


def closed(incident: Incident, now: datetime, by: str, cause: str, resolution: str) -> Incident:
    """The incident, ended by a person. Raises `Conflict` where it was ended before."""
    told = incident.moved("closed", closed_at=now, cause=cause, resolution=resolution)
    return told.with_event(now, "closed", "closed" + (f": {resolution}" if resolution else ""), by)


def severity_of(alerts: tuple[Alarm, ...]) -> str:
    """The worst that the alerts' labels say."""
    told = (" ".join(one.labels.get("severity", "").lower().split())[:40] for one in alerts)
    return min((one or "warning" for one in told), key=_rank)


def title_of(told: Notification) -> str:
    """A line that says what a notification is about: the summary of its first alert, or its name and place."""
    first = (told.firing or told.alerts)[0]
    summary = first.annotations.get("summary") or first.annotations.get("title") or ""
    where = first.labels.get("service") or first.labels.get("job") or first.labels.get("instance") or ""
    names = list(dict.fromkeys(one.name for one in told.alerts))
    more = f" (and {len(names) - 1} other alerts)" if len(names) > 1 else ""
    line = f"{first.name}: {summary}" if summary else f"{first.name} {where}".strip()
    return " ".join(line.split())[:200] + more


def _gave_way(alerts: dict[str, AlertState], alarm: Alarm) -> bool:
    """Whether an alert that is over made room for one that is firing: an incident is not over while one is."""
    over = next((name for name, one in alerts.items() if one.status == "resolved"), None)
    if over is None or alarm.status == "resolved":
        return False
    del alerts[over]
    return True


def _beginnings(told: Notification, now: datetime) -> list[datetime]:
    return [one.starts_at for one in told.alerts if one.starts_at is not None and one.starts_at <= now]


def _state(alarm: Alarm, known: AlertState | None, now: datetime) -> AlertState:
    return AlertState(
        fingerprint=alarm.fingerprint,
        name=alarm.name,
        status=alarm.status,
        labels=alarm.labels,
        annotations=alarm.annotations,
        started_at=alarm.starts_at or (known.started_at if known else now),
        ended_at=(alarm.ends_at or now) if alarm.status == "resolved" else None,
        generator=alarm.generator,
        told=known.told + 1 if known else 1,
    )


def _settled(incident: Incident, now: datetime) -> Incident:
    """The incident in the state that its alerts put it in."""
    if incident.status == "open" and not incident.firing:
        return incident.moved("resolved", resolved_at=now).with_event(now, "resolved", "no alert is firing any more")
    if incident.status == "resolved" and incident.firing:
        return incident.moved("open", resolved_at=None).with_event(now, "again", "an alert is firing again")
    return incident


def _line(alarm: Alarm) -> str:
    labels = ", ".join(f"{name}={value}" for name, value in sorted(alarm.labels.items()) if name != "alertname")
    return f"{alarm.name} {alarm.status} ({labels})"[:SAYS_CHARS]


def _rank(severity: str) -> int:
    return SEVERITIES.index(severity) if severity in SEVERITIES else SEVERITIES.index("warning")
