"""The postmortem: what happened and what is learned from it, and nobody's name.

Source: Beyer et al., «Site Reliability Engineering» (2016), chapter 15: blameless, with impact, causes, what helped,
and action items that have an owner and a kind.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Literal

from pydantic import AwareDatetime

from blocks.markdown import code, fenced
from blocks.model import Frozen
from tasks.ops.asking import Model
from tasks.ops.cases.case import CaseFacts
from tasks.ops.incident.briefing import Briefing
from tasks.ops.incident.context import Context
from tasks.ops.incident.incident import Event, Incident
from tasks.ops.incident.rules import Finding
from tasks.ops.incident.wording import STYLE, Retrospect

MODEL_S = 60.0
SOMEBODY = "somebody on call"
SHORTEST_NAME = 3
NOBODY = {"root", "admin", "administrator", "operator", "operations", "system"}
"""Accounts and keys that are no person's name: taken out, they would leave «somebody on call cause»."""
MOST_ITEMS = 12
CASE_LINES, CASE_LINE_CHARS = 3, 200
"""Of error lines in a case: of each log, and of each line. Facts have them without secrets."""
BEFORE_WORDS = re.compile(r"^(?:\d+× )?[^A-Za-z]*(?:T[\d:.,+Z]+\s*)?[^A-Za-z]*")
"""What stands before the words of a grouped line: its count and its time."""

TASK = (
    "Write for a blameless postmortem: a summary of at most five sentences of what happened, what it did, and how it "
    "ended; and at most five lessons. Name no person and blame nobody; speak of systems and of what was known when. "
    + STYLE
)

Kind = Literal["prevent", "detect", "mitigate", "document"]


class ActionItem(Frozen):
    """Something to do, so that it does not come again.

    Attributes:
        what: What.
        kind: What it is good for.
        owner: Which team; empty where the services file names none.
        why: By which finding or gap.
    """

    what: str
    kind: Kind
    owner: str = ""
    why: str = ""


class Postmortem(Frozen):
    """A postmortem.

    Attributes:
        incident_id, title, severity, services: Of which incident.
        made_at: When it was written.
        began_at, opened_at, briefed_at, resolved_at: When it began, was told, briefed, and over.
        summary, lessons: The story.
        written_by: Who wrote these two: `rules`, or a model.
        causes: What the facts point to, or what a person said.
        resolution: What helped, as far as anybody said.
        went_well, went_badly: About the response.
        timeline: What happened; persons are roles.
        events_left_out: How many are not in it.
        action_items: What is to be done.
    """

    incident_id: str
    title: str
    severity: str
    services: tuple[str, ...]
    made_at: AwareDatetime
    began_at: AwareDatetime
    opened_at: AwareDatetime
    briefed_at: AwareDatetime | None
    resolved_at: AwareDatetime | None
    summary: str
    lessons: tuple[str, ...] = ()
    written_by: str = "rules"
    causes: tuple[str, ...] = ()
    resolution: str = ""
    went_well: tuple[str, ...] = ()
    went_badly: tuple[str, ...] = ()
    timeline: tuple[Event, ...] = ()
    events_left_out: int = 0
    action_items: tuple[ActionItem, ...] = ()


def postmortem_of(incident: Incident, context: Context | None, briefing: Briefing | None, now: datetime) -> Postmortem:
    """A postmortem by rules."""
    found = briefing.findings if briefing else ()
    blameless = without_names(names_in(incident, context))
    causes = [incident.cause] if incident.cause else [f"{one.says} ({one.confidence})" for one in found[:3]]
    return Postmortem(
        incident_id=incident.incident_id,
        title=blameless(incident.title),
        severity=incident.severity,
        services=incident.services,
        made_at=now,
        began_at=incident.began_at,
        opened_at=incident.opened_at,
        briefed_at=incident.briefed_at,
        resolved_at=incident.resolved_at or incident.closed_at,
        summary=blameless(_summary(incident, found)),
        lessons=tuple(dict.fromkeys(one.lesson for one in found if one.lesson))[:5],
        causes=tuple(blameless(one) for one in causes),
        resolution=blameless(incident.resolution),
        went_well=tuple(_went_well(incident, briefing)),
        went_badly=tuple(blameless(one) for one in _went_badly(incident, context)),
        timeline=tuple(
            one.model_copy(update={"says": blameless(one.says), "by": SOMEBODY if one.by else ""})
            for one in sorted(incident.timeline, key=lambda one: one.at)
            if one.kind != "question"  # what was asked is nothing that happened
        ),
        events_left_out=incident.events_left_out,
        action_items=tuple(_items(incident, context, found, blameless)[:MOST_ITEMS]),
    )


async def told_by_model(
    made: Postmortem,
    incident: Incident,
    context: Context | None,
    model: Model,
) -> Postmortem:
    """The postmortem with summary and lessons in a model's words, where one is there; it names nobody either."""
    blameless = without_names(names_in(incident, context))
    told = await model.ask(
        TASK,
        blameless(text_of(made)),
        Retrospect,
        within_s=MODEL_S,
        clean=lambda text: blameless(model.redactor.text(text)),
    )
    if told is None:
        return made
    said, name = told
    lessons = tuple(said.lessons) or made.lessons
    return made.model_copy(update={"summary": said.summary, "lessons": lessons, "written_by": name})


def names_in(incident: Incident, context: Context | None) -> set[str]:
    """Names of persons that the incident knows: who did something in it, and who wrote commits."""
    names = {one.by for one in incident.timeline if one.by}
    for fact in context.of("commit") if context else ():
        author = str(fact.values.get("author") or "")
        names |= {author, *author.split()}
    return {name for name in names if len(name) >= SHORTEST_NAME and name.lower() not in NOBODY}


def without_names(names: Iterable[str]) -> Callable[[str], str]:
    """Puts a role in place of each of these names."""
    known = sorted(names, key=len, reverse=True)
    if not known:
        return lambda text: text
    one_of = "|".join(re.escape(name) for name in known)
    pattern = re.compile(rf"(?<!\w)(?:{one_of})(?!\w)", re.IGNORECASE)
    return lambda text: pattern.sub(SOMEBODY, text)


def markdown_of(made: Postmortem) -> str:
    """The postmortem as a page; whatever comes from outside is code in it."""
    lines = [f"# Postmortem: {code(made.title)}", ""]
    lines += ["What went wrong here went wrong in systems and in what was known. Nobody is blamed.", ""]
    rows = [
        ("incident", code(made.incident_id)),
        ("severity", code(made.severity)),
        ("services", ", ".join(map(code, made.services)) or "not known"),
        ("began", _clock(made.began_at)),
        ("told", f"{_clock(made.opened_at)} ({_span(made.opened_at - made.began_at)} after it began)"),
        ("briefing", _clock(made.briefed_at) if made.briefed_at else "none"),
        ("over", _clock(made.resolved_at) if made.resolved_at else "not yet"),
        ("lasted", _span((made.resolved_at or made.made_at) - made.began_at)),
    ]
    lines += ["| | |", "|---|---|", *(f"| {name} | {value.replace('|', '¦')} |" for name, value in rows), ""]
    lines += ["## Summary", "", fenced(made.summary), "", f"Written by {code(made.written_by)}.", ""]
    lines += _list("Causes", made.causes, "Not known.")
    lines += _list("What helped", [made.resolution] if made.resolution else [], "Nobody wrote it down.")
    lines += _list("What went well", made.went_well, "Nothing that the rules know of.")
    lines += _list("What went badly", made.went_badly, "Nothing that the rules know of.")
    lines += _list("Lessons", made.lessons, "None by the rules.")
    lines += ["## Action items", "", "| what | kind | owner | why |", "|---|---|---|---|"]
    lines += [
        f"| {' | '.join(_cell(text) for text in (one.what, one.kind, one.owner or 'to be named', one.why))} |"
        for one in made.action_items
    ]
    lines += ["", "## Timeline", "", "| when | what | by |", "|---|---|---|"]
    lines += [f"| {_clock(one.at)} | {_cell(one.says)} | {one.by} |" for one in made.timeline]
    lines += ["", f"{made.events_left_out} events are left out."] if made.events_left_out else []
    return "\n".join([*lines, ""])


def text_of(made: Postmortem) -> str:
    """The postmortem as a model reads it."""
    lines = [made.title, made.summary, "Causes:", *made.causes, "What helped:", made.resolution, "Timeline:"]
    lines += [f"{_clock(one.at)} {one.kind}: {one.says}" for one in made.timeline]
    return "\n".join([*lines, "Action items:", *(one.what for one in made.action_items)])[:24_000]


def case_facts(made: Postmortem, incident: Incident, context: Context | None, briefing: Briefing | None) -> CaseFacts:
    """The postmortem as a case for the library; it names nobody either."""
    blameless = without_names(names_in(incident, context))
    seen = [alert.annotations.get("summary") or alert.annotations.get("description", "") for alert in incident.alerts]
    seen += _error_lines(context)  # in the words that somebody looks for who sees them again
    seen += [one.says for one in (briefing.findings if briefing else ())]
    return CaseFacts(
        title=made.title[:300],
        services=tuple(one[:300] for one in made.services),
        alerts=tuple(dict.fromkeys(one.name[:300] for one in incident.alerts))[:50],
        symptoms=blameless("\n".join(dict.fromkeys(one for one in seen if one)))[:4000],
        cause="\n".join(made.causes)[:4000],
        resolution=made.resolution[:4000],
        action_items=tuple(one.what[:300] for one in made.action_items),
        tags=tuple(dict.fromkeys(one.rule for one in (briefing.findings if briefing else ()))),
        began_at=made.began_at,
        ended_at=made.resolved_at,
        incident=made.incident_id,
    )


def _error_lines(context: Context | None) -> list[str]:
    """The commonest error lines of each log, without how often and when."""
    found = [fact.text.splitlines()[:CASE_LINES] for fact in (context.of("log_errors") if context else ())]
    return [BEFORE_WORDS.sub("", line)[:CASE_LINE_CHARS] for lines in found for line in lines][: 2 * CASE_LINES]


def _summary(incident: Incident, found: Sequence[Finding]) -> str:
    end = incident.resolved_at or incident.closed_at
    lasted = f"lasted {_span(end - incident.began_at)}" if end else "is not over"
    what = f"{_sentence(incident.title)} It began {incident.began_at:%Y-%m-%d %H:%M} UTC and {lasted}."
    where = f" It befell {', '.join(incident.services)}." if incident.services else ""
    cause = f" Cause: {_sentence(incident.cause)}" if incident.cause else ""
    pointed = f" The facts pointed to: {found[0].says}." if found and not cause else ""
    helped = f" What helped: {_sentence(incident.resolution)}" if incident.resolution else ""
    return f"{what}{where}{cause}{pointed}{helped}"


def _sentence(text: str) -> str:
    text = text.strip()
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."


def _went_well(incident: Incident, briefing: Briefing | None) -> Iterable[str]:
    if incident.briefed_at is not None:
        yield f"a briefing was there {_span(incident.briefed_at - incident.opened_at)} after the first alert was told"
    if briefing and briefing.findings and briefing.findings[0].confidence == "high":
        yield "the facts at hand pointed clearly to something"
    if any(one.kind == "action" for one in incident.timeline):
        yield "a runbook was at hand"


def _went_badly(incident: Incident, context: Context | None) -> Iterable[str]:
    if (late := incident.opened_at - incident.began_at) > timedelta(minutes=10):
        yield f"it was told only {_span(late)} after it had begun"
    if incident.briefed_at is None:
        yield "there was no briefing"
    for source, why in context.gaps if context else ():
        yield f"{source} could not tell everything: {why}"
    if any(one.kind == "again" for one in incident.timeline):
        yield "it came again after it had seemed to be over"


def _items(
    incident: Incident, context: Context | None, found: Sequence[Finding], blameless: Callable[[str], str]
) -> list[ActionItem]:
    owners = [str(fact.values["owner"]) for fact in (context.of("service") if context else ()) if fact.values["owner"]]
    owner = owners[0] if owners else ""
    items = [
        ActionItem(what=lesson, kind="prevent", owner=owner, why=blameless(one.says)[:200])
        for lesson, one in {one.lesson: one for one in reversed(found) if one.lesson}.items()
    ][::-1]
    if context is not None:
        items += [
            ActionItem(what=f"close the gap in {source}", kind="detect", owner=owner, why=blameless(why))
            for source, why in dict(reversed(context.gaps)).items()
        ]
        if not context.of("runbook"):
            names = ", ".join(dict.fromkeys(one.name for one in incident.alerts))[:200]
            items.append(
                ActionItem(what=f"write a runbook for {names}", kind="mitigate", owner=owner, why="none fitted")
            )
    if not incident.cause:
        items.append(ActionItem(what="find out the cause", kind="document", owner=owner, why="nobody wrote it down"))
    return items


def _list(title: str, items: Sequence[str], otherwise: str) -> list[str]:
    return [f"## {title}", "", *([f"- {code(item)}" for item in items] or [otherwise]), ""]


def _cell(text: str) -> str:
    """A text in a table: a bar would end its cell, also within code."""
    return code(text.replace("|", "¦")) if text else ""


def _clock(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def _span(span: timedelta) -> str:
    seconds = max(0, round(span.total_seconds()))
    if seconds < 120:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
