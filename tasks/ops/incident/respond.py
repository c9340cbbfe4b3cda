"""The steps from an alert to a briefing; what each has made is kept, so that a run that was killed goes on after it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from blocks.errors import Conflict, StoreFailed
from blocks.escalation.channels import Posted
from blocks.progress import in_thread
from blocks.store.files import Files
from tasks.ops.asking import Model
from tasks.ops.deed import Deed, Outcome
from tasks.ops.incident.briefing import BRIEFING_S, Briefing, briefing_of, message_of, subject_of
from tasks.ops.incident.changes import changes
from tasks.ops.incident.context import Context, Finds, Source, SourceName, gather
from tasks.ops.incident.incident import Incident
from tasks.ops.incident.intake import PREFIX, change, checked_id, incidents
from tasks.ops.incident.logs import logs
from tasks.ops.incident.metrics import metrics
from tasks.ops.incident.questions import IncidentAnswer, answered, checked_question, noted_question
from tasks.ops.incident.rules import findings
from tasks.ops.incident.runbooks import by_context, runbooks
from tasks.ops.incident.scene import Scene
from tasks.ops.incident.service_info import service_info
from tasks.ops.incident.similar import similar
from tasks.ops.incident.wording import STYLE, Assessment, facts_text
from tasks.ops.performer import Performer
from tasks.ops.runbook.form import Runbook

M = TypeVar("M", bound=BaseModel)

MODEL_S = 20.0
SENDING_S = 22.0
"""Left for the message; see `blocks.escalation.deliver.SEND_S`."""

TASK = (
    "You help people on call. Sum up in at most four sentences what is broken, since when, and what facts point to; "
    "then give at most five hypotheses, likeliest first, each with the ids of its facts. " + STYLE
)

IN_DOUBT = "briefing perhaps sent, then a pointer to it"

Look = Callable[[Scene, Finds], Awaitable[Sequence[Runbook] | None]]
"""Notes what it finds; the one for runbooks also gives them all."""

LOOKING: dict[SourceName, Look] = {
    "metrics": metrics,
    "logs": logs,
    "changes": changes,
    "similar": similar,
    "runbooks": runbooks,
    "service": service_info,
}
"""Another source is a row here, its name in `context.SOURCES`, and a file."""


async def context_for(scene: Scene) -> Context:
    """What the six sources say, gathered now."""
    books: list[Runbook] = []

    async def look(source: Look, finds: Finds) -> None:
        books.extend(await source(scene, finds) or ())

    sources: dict[SourceName, Source] = {name: partial(look, source) for name, source in LOOKING.items()}
    context = await gather(sources, source_s=scene.services.source_s, clean=scene.clean, now=scene.now)
    return await in_thread(by_context, context, scene, books)


async def briefing_for(scene: Scene, context: Context, model: Model) -> Briefing:
    """The briefing: by rules, and worded by a model where one is there and time is left."""
    incident = scene.incident
    found = await in_thread(findings, incident, context)
    made = briefing_of(incident, context, found, scene.now())
    left_s = BRIEFING_S - SENDING_S - (scene.now() - incident.opened_at).total_seconds()
    material = "\n".join((made.headline, *made.alerts, *(one.says for one in found), facts_text(context.facts)))
    within_s = min(MODEL_S, left_s)
    assessed = await model.ask(TASK, material, Assessment, within_s=within_s, clean=scene.clean)
    if assessed is None:
        return made
    said, name = assessed
    worded_by = {"headline": said.summary, "hypotheses": tuple(said.hypotheses), "written_by": name}
    return made.model_copy(update={**worded_by, "made_at": scene.now()})


async def told(performer: Performer, briefing: Briefing) -> Outcome:
    """Send the briefing to the operators, once.

    A process that dies while it sends leaves open whether it arrived: then the operators get a short pointer to it in
    place of a second one.
    """
    subject, body = subject_of(briefing), message_of(briefing)
    outcome = await performer.do(_message("briefing", subject, body), partial(_send, performer, subject, body))
    if outcome.status == "in_doubt":
        pointer = f"The briefing of {briefing.incident_id} may not have reached you. Read it: c500 incident show "
        pointer += briefing.incident_id
        await performer.do(
            _message("briefing-pointer", subject, pointer), partial(_send, performer, f"again: {subject}", pointer)
        )
    return outcome


def noted_gathered(incident: Incident, context: Context, now: datetime) -> Incident:
    """The incident with what was gathered on its timeline, once."""
    if any(one.kind == "gathered" for one in incident.timeline):
        return incident
    gaps = sorted({source for source, _ in context.gaps})
    says = f"{len(context.facts)} facts gathered" + (f"; gaps in {', '.join(gaps)}" if gaps else "")
    return incident.with_event(now, "gathered", says)


def noted_briefed(incident: Incident, briefing: Briefing, outcome: Outcome, now: datetime) -> Incident:
    """The incident with its briefing on its timeline, once."""
    if incident.briefed_at is not None:
        return incident
    briefed = incident.model_copy(update={"briefed_at": now})
    return briefed.with_event(now, "briefed", f"{_sent(outcome)}: {briefing.headline}")


def posted_in(outcome: Outcome) -> Posted | None:
    """What became of a message, of a deed that has sent one; None where nobody knows."""
    facts: dict[str, Any] = outcome.result if outcome.status == "done" and isinstance(outcome.result, dict) else {}
    return Posted.model_validate(facts) if facts.keys() == Posted.model_fields.keys() else None


def _sent(outcome: Outcome) -> str:
    """Whether the operators have got the briefing, in words."""
    why = outcome.error.message if outcome.error else outcome.why
    if outcome.status == "in_doubt":
        return f"{IN_DOUBT}{f' ({why})' if why else ''}"
    if outcome.status != "done":
        return f"briefing was not sent{f' ({why})' if why else ''}"
    posted = posted_in(outcome)
    if posted is not None and not posted.taken:
        return f"briefing was given to nobody, {posted.told}"
    return f"briefing {posted.told if posted else 'sent'}"


def kept(files: Files, incident_id: str, name: str, form: type[M]) -> M | None:
    """What an earlier attempt has made; None if none has. Raises `StoreFailed` for what cannot be read."""
    key = _key(incident_id, name)
    if (found := files.read_version(key)) is None:
        return None
    try:
        return form.model_validate_json(found[0])
    except ValidationError as error:
        raise StoreFailed(
            f"{key} in the store cannot be read: {error.error_count()} faults",
            fix="it was changed by hand, or by another version; remove it, and it is made anew",
        ) from None


def keep(files: Files, incident_id: str, name: str, made: M) -> M:
    """Keep what was made; where another process was quicker, what that made counts."""
    try:
        files.put_if(_key(incident_id, name), made.model_dump_json().encode(), None)
    except Conflict:
        return kept(files, incident_id, name, type(made)) or made
    return made


async def noted(files: Files, incident_id: str, make: Callable[[Incident], Incident]) -> Incident:
    """Change an incident; see `intake.change`."""
    return await asyncio.shield(in_thread(change, files, incident_id, make))


def all_of(files: Files, incident_id: str) -> tuple[Incident, Context | None, Briefing | None]:
    """An incident with what was gathered and its briefing, as far as they are made. Raises `NotFound`, `BadInput`."""
    known = incidents(files).read(checked_id(incident_id))
    return known, kept(files, incident_id, "context", Context), kept(files, incident_id, "briefing", Briefing)


async def answered_question(files: Files, incident_id: str, question: str, model: Model, *, by: str) -> IncidentAnswer:
    """Answer a question about an incident, and put it on the timeline; see `questions.answered`.

    Raises:
        NotFound, BadInput: there is no such incident, or the question is none.
    """
    asked = checked_question(question)
    known, context, briefing = await in_thread(all_of, files, incident_id)
    made = await answered(asked, known, context, briefing, model)
    await noted(files, incident_id, lambda one: noted_question(one, made, by, utc_now()))
    return made


def utc_now() -> datetime:
    """The time."""
    return datetime.now(UTC)


def suggested(briefing: Briefing) -> Sequence[str]:
    """Runbooks that can be run as they are suggested."""
    return [one.runbook for one in briefing.actions if one.kind == "runbook" and not one.missing]


def _message(name: str, subject: str, body: str) -> Deed:
    return Deed(
        name=name,
        tool="notify",
        arguments={"subject": subject, "body": body},
        says=f"tell the operators: {subject}",
        risk="low",
        outside=True,
    )


async def _send(performer: Performer, subject: str, body: str) -> dict[str, Any] | None:
    posted = await performer.tell(subject, body)
    return None if posted is None else posted.model_dump(mode="json")


def _key(incident_id: str, name: str) -> str:
    return f"{PREFIX}/{incident_id}/{name}.json"
