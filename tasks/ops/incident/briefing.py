"""The briefing: what is known within a minute, what is not, and what can be done."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

from pydantic import AwareDatetime

from blocks.markdown import code, fenced
from blocks.model import Frozen
from blocks.plain_text import cut, visible
from tasks.ops.incident.context import SOURCES, Context, SourceName
from tasks.ops.incident.incident import Incident
from tasks.ops.incident.rules import Finding

BRIEFING_S = 60.0
"""Seconds from the alert to the briefing."""
MOST_FINDINGS = 10
MOST_ACTIONS = 10
SHOWN_ALERTS = 10
SHOWN_GAPS = 3
"""Of each source; channels take only so much."""
LINE_CHARS = 500
NOT_KEPT = "dry-run"
"""Id of the incident of a dry run, which nobody can look at afterwards."""


class Action(Frozen):
    """Something that can be done.

    Attributes:
        kind: A runbook to run, a way to find out or to put right, people to ask.
        says: What, in a line.
        runbook: Its name, of a runbook.
        missing: Parameters of the runbook that somebody has to tell.
        evidence: Ids of the facts that suggest it.
    """

    kind: Literal["runbook", "step", "people"]
    says: str
    runbook: str = ""
    missing: str = ""
    evidence: tuple[str, ...] = ()


class Gap(Frozen):
    """What could not be found out.

    Attributes:
        source: By which source.
        why: What, and why.
    """

    source: SourceName
    why: str


class Briefing(Frozen):
    """A briefing, as it was sent.

    Attributes:
        incident_id: Of which incident.
        title, severity, services: What it is about.
        began_at, made_at: When it began, and when this was written.
        alerts: What is firing, a line each.
        headline: The whole in a sentence or a few.
        hypotheses: What a model makes of it.
        written_by: Who wrote headline and hypotheses: `rules`, or a model.
        findings: What the facts point to, surest first.
        actions: What can be done.
        gaps: What could not be found out.
        answered: Sources that found something.
    """

    incident_id: str
    title: str
    severity: str
    services: tuple[str, ...]
    began_at: AwareDatetime
    made_at: AwareDatetime
    alerts: tuple[str, ...]
    headline: str
    hypotheses: tuple[str, ...] = ()
    written_by: str = "rules"
    findings: tuple[Finding, ...] = ()
    actions: tuple[Action, ...] = ()
    gaps: tuple[Gap, ...] = ()
    answered: tuple[SourceName, ...] = ()


def briefing_of(incident: Incident, context: Context, found: Sequence[Finding], now: datetime) -> Briefing:
    """The briefing of an incident, by rules."""
    firing = incident.firing or incident.alerts
    lines = [f"{one.name[:200]} {_place(one.labels)} since {one.started_at:%H:%M} UTC" for one in firing[:SHOWN_ALERTS]]
    if (more := len(firing) - SHOWN_ALERTS + incident.alerts_left_out) > 0:
        lines.append(f"and {more} more")
    return Briefing(
        incident_id=incident.incident_id,
        title=incident.title,
        severity=incident.severity,
        services=incident.services,
        began_at=incident.began_at,
        made_at=now,
        alerts=tuple(lines),
        headline=_headline(incident, found),
        findings=tuple(found[:MOST_FINDINGS]),
        actions=tuple(_actions(context, found))[:MOST_ACTIONS],
        gaps=tuple(Gap(source=source, why=why) for source, why in context.gaps),
        answered=tuple(report.source for report in context.reports if report.facts),
    )


def subject_of(briefing: Briefing) -> str:
    """The subject of its message."""
    return _spoken(_line(f"[{briefing.severity}] {briefing.title[:140]} ({briefing.incident_id})"))[:200]


def message_of(briefing: Briefing) -> str:
    """The briefing as the message that people get: plain text, in which nothing is a mention or a mark.

    Whatever comes from outside stays within its line: no label and no model adds a line that looks like ours.
    """
    lines = [_line(briefing.headline, 2000), ""]
    if briefing.hypotheses:
        lines += [f"What {briefing.written_by} makes of it:", *(f"- {_line(one)}" for one in briefing.hypotheses), ""]
    lines += ["Alerts:", *(f"- {_line(one)}" for one in briefing.alerts), ""]
    lines += ["Points to:", *(f"- ({one.confidence}) {_line(one.says)}" for one in briefing.findings)]
    lines += [] if briefing.findings else ["- nothing that the rules know"]
    lines += ["", "Can be done:", *(f"- {_line(_told(one, briefing.incident_id))}" for one in briefing.actions)]
    lines += [] if briefing.actions else ["- no runbook and no rule fits"]
    lines += ["", "Not known:", *_shown_gaps(briefing)] if briefing.gaps else []
    if briefing.incident_id != NOT_KEPT:
        lines += ["", f"More: c500 incident show {briefing.incident_id}"]
        lines += [f"Ask: c500 incident ask {briefing.incident_id} QUESTION"]
    return _spoken("\n".join(lines))


def markdown_of(briefing: Briefing, context: Context) -> str:
    """The briefing with all that was gathered, as a page; whatever comes from outside is code in it."""
    late = briefing.made_at - briefing.began_at
    lines = [f"# {code(briefing.title)}", ""]
    lines += [
        f"Incident `{briefing.incident_id}`, severity {code(briefing.severity)}, services "
        f"{', '.join(map(code, briefing.services)) or 'not known'}; began {_clock(briefing.began_at)}, briefing "
        f"{_minutes(late)} later.",
        "",
        code(briefing.headline),
        "",
        f"Written by {code(briefing.written_by)}.",
        "",
    ]
    lines += _list("What it makes of it", [code(one) for one in briefing.hypotheses], "")
    lines += _list("Alerts", [code(one) for one in briefing.alerts], "")
    shown = [f"**{one.confidence}** {code(one.says)} {_ids(one.evidence)}" for one in briefing.findings]
    lines += _list("Points to", shown, "Nothing that the rules know.")
    acts = [f"{code(_told(one, briefing.incident_id))} {_ids(one.evidence)}" for one in briefing.actions]
    lines += _list("Can be done", acts, "No runbook and no rule fits.")
    lines += _list("Not known", [f"**{one.source}**: {code(one.why)}" for one in briefing.gaps], "")
    for source in SOURCES:
        facts = [fact for fact in context.facts if fact.source == source]
        lines += [f"## {source.capitalize()}", ""] if facts else []
        for fact in facts:
            at = f", {_clock(fact.at)}" if fact.at else ""
            lines += [f"- `{fact.fact_id}` {code(fact.title)}{at}", ""]
            lines += [fenced(fact.text), ""] if fact.text else []
    return "\n".join(lines)


def _headline(incident: Incident, found: Sequence[Finding]) -> str:
    number = len(incident.firing)
    what = f"{number} alert{'s are' if number != 1 else ' is'} firing" if number else "no alert is firing any more"
    since = f"{incident.title}. {what}; it began {incident.began_at:%Y-%m-%d %H:%M} UTC."
    if not found:
        return f"{since} Nothing that was found points to a cause."
    sure = {"high": "Very likely", "medium": "Perhaps", "low": "A weak hint"}[found[0].confidence]
    return f"{since} {sure}: {found[0].says}."


def _actions(context: Context, found: Sequence[Finding]) -> list[Action]:
    books = [
        Action(
            kind="runbook",
            says=fact.title,
            runbook=str(fact.values["runbook"]),
            missing=str(fact.values.get("missing") or ""),
            evidence=(fact.fact_id,),
        )
        for fact in context.of("runbook")
    ]
    people = [
        Action(
            kind="people",
            says=f"tell {fact.values['owner']}{f' ({contact})' if (contact := fact.values.get('contact')) else ''}, "
            f"who look after {fact.values['service']}",
            evidence=(fact.fact_id,),
        )
        for fact in context.of("service")
        if fact.values.get("owner")
    ]
    steps: dict[str, Action] = {}
    for one in found:
        if one.suggests:
            steps.setdefault(one.suggests, Action(kind="step", says=one.suggests, evidence=one.evidence))
    return [*books, *list(steps.values())[:6], *people]


def _told(action: Action, incident_id: str) -> str:
    if action.kind != "runbook":
        return action.says
    missing = f"; needs {action.missing}" if action.missing else ""
    how = "" if incident_id == NOT_KEPT else f": c500 incident act {incident_id} {action.runbook}"
    return f"runbook {action.says}{missing}{how}"


def _place(labels: dict[str, str]) -> str:
    where = [labels[name] for name in ("service", "instance", "job", "pod", "namespace") if labels.get(name)]
    return f"({', '.join(dict.fromkeys(where))[:200]})" if where else ""


def _list(title: str, items: Sequence[str], otherwise: str) -> list[str]:
    if not items and not otherwise:
        return []
    return [f"## {title}", "", *([f"- {item}" for item in items] or [otherwise]), ""]


def _ids(evidence: Sequence[str]) -> str:
    return f"({', '.join(f'`{one}`' for one in evidence)})" if evidence else ""


def _clock(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def _minutes(span: timedelta) -> str:
    seconds = max(0, round(span.total_seconds()))
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min"


def _shown_gaps(briefing: Briefing) -> list[str]:
    lines: list[str] = []
    for source in SOURCES:
        every = [one.why for one in briefing.gaps if one.source == source]
        lines += [f"- {source}: {_line(why)}" for why in every[:SHOWN_GAPS]]
        lines += [f"- {source}: and {len(every) - SHOWN_GAPS} more"] if len(every) > SHOWN_GAPS else []
    return lines


def _line(text: str, most: int = LINE_CHARS) -> str:
    return cut(" ".join(visible(text).split()), most)


def _spoken(text: str) -> str:
    """A text for chats: no mention of anybody, no mark of theirs."""
    return text.replace("@", "(at)").replace("<", "‹").replace(">", "›")
