"""What the flows about incidents are made of."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from blocks.effects import StoredError
from blocks.errors import BadInput, C500Error, Conflict, NotFound
from blocks.hosts import read_inventory
from blocks.hosts.inventory import ONLY_HERE
from blocks.model import Frozen
from blocks.progress import in_thread
from blocks.redact import default_redactor
from blocks.settings import settings
from blocks.store.files import Files
from flows.operating import show_markdown
from tasks.ops.asking import Model, model_for
from tasks.ops.deed import Deed, Outcome
from tasks.ops.incident.briefing import NOT_KEPT, Briefing
from tasks.ops.incident.incident import Incident
from tasks.ops.incident.postmortem import Postmortem
from tasks.ops.incident.wording import USER
from tasks.ops.options import OperationsOptions

if TYPE_CHECKING:
    from tasks.ops.incident.scene import Scene
    from tasks.ops.performer import Performer
    from tasks.ops.runbook.alert import Alert

MOST_RUNBOOKS = 3
"""That people are asked about at once."""
EARLIER = "nothing was done now: a runbook runs once for an incident, and this one had run"


class IncidentReport(Frozen):
    """What came of an alert.

    Attributes:
        incident_id: The incident it belongs to; empty where it only says that something unknown is over.
        status: `briefed`: by this run or an earlier one; `busy`: another process is at work on it; `planned`: a dry
            run; `nothing`: there is no incident.
        briefing: The briefing.
        outcomes: What was done, in this attempt.
    """

    incident_id: str
    status: Literal["briefed", "busy", "planned", "nothing"]
    briefing: Briefing | None = None
    outcomes: tuple[Outcome, ...] = ()


async def briefed(performer: "Performer", incident_id: str, files: Files) -> Briefing:
    """The incident's briefing, sent; each part is made unless an earlier attempt has."""
    from tasks.ops.incident.briefing import markdown_of
    from tasks.ops.incident.context import Context
    from tasks.ops.incident.intake import incidents
    from tasks.ops.incident.respond import (
        briefing_for,
        context_for,
        keep,
        kept,
        noted,
        noted_briefed,
        noted_gathered,
        told,
        utc_now,
    )

    known = await in_thread(incidents(files).read, incident_id)
    context = await in_thread(kept, files, incident_id, "context", Context)
    briefing = await in_thread(kept, files, incident_id, "briefing", Briefing)
    if context is not None and briefing is not None and known.briefed_at is not None:
        return briefing
    scene = _scene(performer, known, files)
    if context is None:
        context = await in_thread(keep, files, incident_id, "context", await context_for(scene))
    gathered = context
    await noted(files, incident_id, lambda one: noted_gathered(one, gathered, utc_now()))
    wanted = performer.ask_model and briefing is None
    # Closed at the end: books that cannot be written take their time, and the message does not wait for them.
    async with model_for(USER, incident_id, performer.redactor, wanted=wanted) as model:
        if briefing is None:
            made = await briefing_for(scene, context, model)
            briefing = await in_thread(keep, files, incident_id, "briefing", made)
        sent, outcome, at = briefing, await told(performer, briefing), utc_now()
        # Before it is noted: a run that is killed in between shows it again, and not never.
        await show_markdown(f"incident-{incident_id}", markdown_of(briefing, context), briefing.title)
        await noted(files, incident_id, lambda one: noted_briefed(one, sent, outcome, at))
    return briefing


async def rehearsed(performer: "Performer", known: Incident, wanted: Sequence[str], files: Files) -> IncidentReport:
    """What would come of an incident: its briefing, and what would be asked or refused of the runbooks."""
    from tasks.ops.incident.respond import briefing_for, context_for, told

    scene = _scene(performer, known, files)
    nobody = Model(None, USER, known.incident_id, performer.redactor)
    briefing = await briefing_for(scene, await context_for(scene), nobody)
    await told(performer, briefing)
    for name, is_asked in runbooks_for(known, briefing, wanted):
        await run_one(performer, known, name, files, is_asked=is_asked)
    return IncidentReport(
        incident_id=known.incident_id, status="planned", briefing=briefing, outcomes=deeds(performer.outcomes)
    )


async def act(
    performer: "Performer", incident_id: str, briefing: Briefing, wanted: Sequence[str], files: Files
) -> None:
    """Run the runbooks that somebody wants, and those that the services file has people asked about."""
    from tasks.ops.incident.intake import incidents
    from tasks.ops.incident.respond import noted, utc_now

    known = await in_thread(incidents(files).read, incident_id)
    for name, is_asked in runbooks_for(known, briefing, wanted):
        outcome = await run_one(performer, known, name, files, is_asked=is_asked)
        why = outcome.error.message if outcome.error else outcome.why
        says = f"runbook {name}: {outcome.status}{f', {why}' if why else ''}"
        if outcome.status == "done" and isinstance(outcome.result, dict):
            why = outcome.result.get("why")
            says = f"runbook {name}: {outcome.result.get('status')}{f', {why}' if why else ''}"
        by = ", ".join(outcome.approvers)
        await noted(files, incident_id, lambda one, says=says, by=by: _with_action(one, says, by, utc_now()))


def runbooks_for(known: Incident, briefing: Briefing, wanted: Sequence[str]) -> list[tuple[str, bool]]:
    """The runbooks that are to be run, and of each whether people are asked by the services file's wish."""
    from tasks.ops.incident.respond import suggested
    from tasks.ops.incident.services import services_or_why

    services = services_or_why(settings().services_file)[0].services
    asks = any(services[name].act == "ask" for name in known.services if name in services)
    asked = [name for name in suggested(briefing)[:MOST_RUNBOOKS] if name not in wanted] if asks else []
    return [*((name, False) for name in wanted), *((name, True) for name in asked)]


async def run_one(performer: "Performer", known: Incident, name: str, files: Files, *, is_asked: bool) -> Outcome:
    """Run a runbook as a flow below this one; its steps go through rules and approvals one by one."""
    from tasks.ops.incident.scene import alert_of

    first = (known.firing or known.alerts)[0]
    run_id = run_id_of(known.incident_id, name)
    deed = Deed(
        name=f"runbook/{name}",
        tool="run_runbook",
        arguments={"runbook": name, "run_id": run_id, "alert": first.fingerprint},
        says=f"run the runbook {name} for {known.incident_id}",
        risk="low",
        repeatable=True,  # it goes on with the same run, in which each step is done once
        outside=True,
        consent="one" if is_asked else "rules",
    )

    had_ended = await in_thread(_has_ended, files, run_id)
    # Before the deed: its failure would be kept, and a runbook that is put right could never be run for the incident.
    if await in_thread(_is_to_begin, performer, deed):
        try:
            await in_thread(_begun, name, run_id, alert_of(first), files)
        except C500Error as error:
            outcome = Outcome(name=deed.name, says=deed.says, status="failed", error=StoredError.of(error))
            performer.outcomes.append(outcome)
            return outcome

    async def perform() -> dict[str, Any]:
        from flows.runbook import run_runbook

        options = OperationsOptions(
            profile=performer.profile,
            user=performer.user,
            attended=performer.attended,
            approval_s=performer.approval_s,
            run_id=run_id,
        )
        ended = await run_runbook(runbook=name, alert=alert_of(first), options=options)
        return {"status": ended.status, "why": ended.why, "run_id": run_id}

    outcome = await performer.do(deed, perform)
    if had_ended and outcome.status == "done":
        outcome = outcome.model_copy(update={"why": EARLIER})
        performer.outcomes[-1] = outcome
    return outcome


def _has_ended(files: Files, run_id: str) -> bool:
    """Whether a run of a runbook was there before, and has ended."""
    from tasks.ops.runbook.record import ENDED, runbook_runs

    found = runbook_runs(files).find(run_id)
    return found is not None and found.status in ENDED


def _is_to_begin(performer: "Performer", deed: Deed) -> bool:
    """Whether a deed is not known to have ended."""
    found = performer.effects.look(performer.effect_id(deed))
    return found is None or found.state == "begun"


def _begun(name: str, run_id: str, alert: "Alert", files: Files) -> None:
    """See whether a runbook can be run. Raises what `begin` does."""
    from tasks.ops.runbook.begin import begin

    chosen = settings()
    begin(
        name,
        {},
        alert,
        folder=chosen.runbooks_dir,
        inventory=read_inventory(),
        files=files,
        run_id=run_id,
        metrics=chosen.prometheus_url is not None,
    )


def run_id_of(incident_id: str, part: str) -> str:
    """The id of a run that belongs to an incident: the same in all attempts."""
    told = f"{incident_id}-{part}"
    return told if len(told) <= 64 else f"{told[:51]}-{sha256(told.encode()).hexdigest()[:12]}"


def _with_action(incident: Incident, says: str, by: str, now: Any) -> Incident:
    if any(one.kind == "action" and one.says == says for one in incident.timeline[-20:]):
        return incident  # another attempt has written it down
    return incident.with_event(now, "action", says, by)


def received(files: Files, alert: str, incident: str, incident_id: str | None, dry: bool) -> Incident | None:
    """The incident of an alert, or of an id."""
    from tasks.ops.incident.incident import opened
    from tasks.ops.incident.intake import checked_id, incidents, receive, redacted
    from tasks.ops.incident.notification import read_notification
    from tasks.ops.incident.respond import utc_now
    from tasks.ops.incident.services import services_or_why

    if bool(alert) == bool(incident):
        raise BadInput("one of alert and incident is needed", fix="name a file, or an incident", field="alert")
    if incident:
        known = incidents(files).read(checked_id(incident))
        if known.status == "closed":
            raise Conflict(f"incident {incident} is closed", fix="what comes now is another incident")
        return known
    told, services = read_notification(Path(alert)), services_or_why(settings().services_file)[0]
    if dry:
        clean = redacted(told, default_redactor())
        return opened(incident_id or NOT_KEPT, clean, services.of(one.labels for one in clean.alerts), utc_now())
    return receive(files, told, services.of, default_redactor(), now=utc_now(), incident_id=incident_id).incident


def _scene(performer: "Performer", known: Incident, files: Files) -> "Scene":
    from tasks.ops.incident.respond import utc_now
    from tasks.ops.incident.scene import Scene
    from tasks.ops.incident.services import services_or_why

    services, why = services_or_why(settings().services_file)
    troubles, inventory = [why] if why else [], ONLY_HERE
    try:
        inventory = read_inventory()
    except (BadInput, NotFound) as error:
        troubles.append(error.message.splitlines()[0])
    return Scene(
        incident=known,
        services=services,
        performer=performer,
        inventory=inventory,
        files=files,
        now=utc_now,
        clean=performer.redactor.text,
        troubles=tuple(troubles),
    )


def keep_postmortem(files: Files, made: Postmortem, facts: Any, user: str) -> None:
    from tasks.ops.cases.case import case_of
    from tasks.ops.cases.library import open_library
    from tasks.ops.incident.intake import PREFIX, change
    from tasks.ops.incident.postmortem import markdown_of

    redactor, folder = default_redactor(), f"{PREFIX}/{made.incident_id}"
    files.put_bytes(f"{folder}/postmortem.json", made.model_dump_json(indent=1).encode(), "application/json")
    files.put_bytes(f"{folder}/postmortem.md", redactor.text(markdown_of(made)).encode(), "text/markdown")
    library = open_library()
    try:
        library.put(case_of(facts, added_at=made.made_at, added_by=user, redactor=redactor))
    finally:
        library.close()
    noted = {"postmortem_at": made.made_at}
    change(
        files,
        made.incident_id,
        lambda one: one.model_copy(update=noted).with_event(made.made_at, "postmortem", "postmortem written"),
    )


def deeds(outcomes: Sequence[Outcome]) -> tuple[Outcome, ...]:
    """What was done beside looking."""
    return tuple(one for one in outcomes if not one.name.startswith("look/"))


def is_dry(options: OperationsOptions) -> bool:
    from blocks.policy.open import open_operations_policy

    profile = options.profile or settings().operations_profile
    return options.dry_run or open_operations_policy().dry_run(profile)


@contextmanager
def alone_at_work(files: Files, incident_id: str) -> Generator[bool]:
    """Whether no other process is at work on the incident; one that dies is at work no more."""
    from tasks.ops.incident.intake import PREFIX

    with files.lock(f"{PREFIX}/{incident_id}/at-work", wait=False) as alone:
        yield alone
