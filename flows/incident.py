"""Incidents: from an alert to a briefing within a minute, and from an incident to a postmortem."""

from collections.abc import Sequence
from pathlib import Path

from prefect import flow
from prefect.runtime import flow_run

from blocks.progress import in_thread
from blocks.store import open_store
from flows.names import plain
from flows.operating import operating, show_markdown
from flows.responding import (
    IncidentReport,
    act,
    alone_at_work,
    briefed,
    deeds,
    is_dry,
    keep_postmortem,
    received,
    rehearsed,
    run_id_of,
)
from tasks.ops.asking import model_for
from tasks.ops.incident.postmortem import Postmortem
from tasks.ops.incident.wording import USER
from tasks.ops.options import DEFAULTS, OperationsOptions


def run_name() -> str:
    """The incident's id, or the alert's file."""
    given = flow_run.parameters
    return plain(str(given.get("incident") or Path(str(given.get("alert") or "incident")).name))


@flow(name="respond-to-incident", flow_run_name=run_name, persist_result=False)
async def respond_to_incident(
    alert: str = "", incident: str = "", run: Sequence[str] = (), options: OperationsOptions = DEFAULTS
) -> IncidentReport:
    """Brief the operators on an incident: context from six sources, what it points to, and what can be done.

    An alert that belongs to an incident which is open joins it. There is one briefing for each incident, whatever is
    killed meanwhile, and however many are told of it: the same alert, or the incident's id, goes on where a run ended.

    Args:
        alert: File with what Alertmanager sends, or a single alert; empty where `incident` is given.
        incident: Id of an incident that was taken in before.
        run: Runbooks that are to be run, each with the consent that rules and services file want.
        options: How it is run; `options.run_id` is the id of the incident.

    Returns:
        What came of it. A source that does not answer is a gap in the briefing, and fails nothing.

    Raises:
        BadInput, NotFound: alert, services file or inventory cannot be used, or there is no such incident.
        Conflict: the incident is closed.
        Stopped: a switch stopped it; the same incident is gone on with later.
    """
    files, dry = open_store(), is_dry(options)
    known = await in_thread(received, files, alert, incident, options.run_id, dry)
    if known is None:
        return IncidentReport(incident_id="", status="nothing")
    as_run = options.model_copy(update={"run_id": known.incident_id})
    async with operating("respond-to-incident", as_run, known.title) as performer:
        if performer.dry_run:
            return await rehearsed(performer, known, run, files)
        with alone_at_work(files, known.incident_id) as alone:
            if not alone:
                return IncidentReport(incident_id=known.incident_id, status="busy")
            briefing = await briefed(performer, known.incident_id, files)
            await act(performer, known.incident_id, briefing, run, files)
        outcomes = tuple(performer.outcomes)
        return IncidentReport(
            incident_id=known.incident_id, status="briefed", briefing=briefing, outcomes=deeds(outcomes)
        )


@flow(name="write-postmortem", flow_run_name=run_name, persist_result=False)
async def write_postmortem(incident: str, options: OperationsOptions = DEFAULTS) -> Postmortem:
    """Write the postmortem of an incident from its timeline, blameless, and put it into the case library.

    Written again, it takes the place of the one before.

    Args:
        incident: Its id.
        options: How it is run.

    Raises:
        NotFound: there is no such incident.
    """
    from tasks.ops.incident.postmortem import case_facts, markdown_of, postmortem_of, told_by_model
    from tasks.ops.incident.respond import all_of, utc_now

    files = open_store()
    known, context, briefing = await in_thread(all_of, files, incident)
    as_run = options if options.run_id else options.model_copy(update={"run_id": run_id_of(incident, "postmortem")})
    async with operating("write-postmortem", as_run, incident) as performer:
        made = postmortem_of(known, context, briefing, utc_now())
        async with model_for(USER, incident, performer.redactor, wanted=performer.ask_model) as model:
            made = await told_by_model(made, known, context, model)
        if performer.dry_run:
            return made
        await performer.check_stopped()
        await in_thread(keep_postmortem, files, made, case_facts(made, known, context, briefing), performer.user)
        await show_markdown(f"postmortem-{incident}", markdown_of(made), known.title)
        return made
