"""`c500 incident`: brief the operators on an alert, ask about it, note what happens, close it, write its postmortem."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deployments.cli.incident import commands
from deployments.cli.operations_options import (
    ApprovalS,
    DryRun,
    NoModel,
    Profile,
    Unattended,
    User,
    options_of,
    run_operation,
)
from deployments.cli.output import Json, echo_json, local_time

if TYPE_CHECKING:
    from collections.abc import Iterator

    from blocks.approvals import Approval
    from flows.responding import IncidentReport
    from tasks.ops.deed import Outcome
    from tasks.ops.incident.incident import Incident

IncidentId = Annotated[str, typer.Argument(metavar="ID", help="Id of an incident; see `c500 incident list`.")]

WAITING = {"nothing": "there is no incident that this alert would end", "busy": "another process is at work on it"}


@commands.command("respond")
def respond(
    alert: Annotated[Path, typer.Argument(help="What Alertmanager sends, or a single alert: JSON or YAML.")],
    run: Annotated[
        list[str] | None, typer.Option(help="Run this runbook after it; may be given several times.")
    ] = None,
    dry_run: DryRun = False,
    profile: Profile = None,
    user: User = None,
    unattended: Unattended = False,
    approval_s: ApprovalS = 3600,
    no_model: NoModel = False,
    as_json: Json = False,
) -> None:
    """Gather what is known about an alert, and brief the operators; an alert of an open incident joins it."""
    from tasks.ops.incident.notification import read_notification

    read_notification(alert)  # what is wrong with it should not wait for a server to start
    facts = {"dry_run": dry_run, "profile": profile, "user": user, "approval_s": approval_s}
    options = options_of(unattended=unattended, no_model=no_model, **facts)

    def start() -> Any:
        from flows.incident import respond_to_incident

        return respond_to_incident(str(alert), run=tuple(run or ()), options=options)

    _show_report(run_operation(start, quiet=as_json), as_json=as_json)


@commands.command("act")
def act(
    incident: IncidentId,
    runbook: Annotated[str, typer.Argument(help="A runbook that its briefing suggests.")],
    dry_run: DryRun = False,
    profile: Profile = None,
    user: User = None,
    unattended: Unattended = False,
    approval_s: ApprovalS = 3600,
    as_json: Json = False,
) -> None:
    """Run a runbook for an incident, with values from its alert; a run that was cut off goes on."""
    from blocks.settings import settings
    from blocks.store import open_store
    from tasks.ops.incident.intake import checked_id, incidents
    from tasks.ops.runbook.reading import path_of

    incidents(open_store()).read(checked_id(incident))  # what is wrong should not wait for a server to start
    path_of(settings().runbooks_dir, runbook)
    options = options_of(dry_run=dry_run, profile=profile, user=user, unattended=unattended, approval_s=approval_s)

    def start() -> Any:
        from flows.incident import respond_to_incident

        return respond_to_incident(incident=incident, run=(runbook,), options=options)

    report: IncidentReport = run_operation(start, quiet=as_json)
    done = [one for one in report.outcomes if one.name == f"runbook/{runbook}"]
    if as_json:
        echo_json(report)
    else:
        _show_acts(report, done)
    if code := _exit_code(done):
        raise typer.Exit(code)


@commands.command("list")
def list_(
    every: Annotated[bool, typer.Option("--all", help="Also those that are over.")] = False,
    most: Annotated[int, typer.Option(min=1, help="How many at most.")] = 100,
    as_json: Json = False,
) -> None:
    """List incidents, latest first."""
    from blocks.plain_text import plain
    from blocks.store import open_store
    from tasks.ops.incident.intake import latest

    found = latest(open_store(), most, only_open=not every)
    if as_json:
        echo_json(found)
        return
    for one in found:
        line = f"{one.incident_id}  {one.status:8} {one.severity:8} {local_time(one.began_at)}  {one.title}"
        typer.echo(plain(line)[:160])
    if not found:
        typer.echo("there are no such incidents", err=True)


@commands.command("show")
def show(incident: IncidentId, as_json: Json = False) -> None:
    """Show an incident: its briefing, its timeline, what was gathered."""
    from blocks.store import open_store
    from tasks.ops.incident.respond import all_of

    known, context, briefing = all_of(open_store(), incident)
    waiting = _waiting(known.incident_id)
    if as_json:
        asked = [one.request for one in waiting]
        echo_json({"incident": known, "briefing": briefing, "context": context, "waiting": asked})
        return
    from rich.console import Console
    from rich.markdown import Markdown

    from blocks.plain_text import visible
    from tasks.ops.incident.briefing import markdown_of

    if briefing is not None and context is not None:
        Console().print(Markdown(visible(markdown_of(briefing, context))))
    _show_timeline(known, waiting)


@commands.command("ask")
def ask(
    incident: IncidentId,
    question: Annotated[str, typer.Argument(help="What you want to know.")],
    as_json: Json = False,
) -> None:
    """Ask about an incident: the answer comes from what was gathered, by a model where there are accounts."""
    import asyncio

    from blocks.approvals import login_name
    from blocks.plain_text import plain
    from blocks.redact import default_redactor

    async def answer() -> Any:
        from blocks.store import open_store
        from tasks.ops.asking import model_for
        from tasks.ops.incident.respond import answered_question
        from tasks.ops.incident.wording import USER

        async with model_for(USER, incident, default_redactor()) as model:
            return await answered_question(open_store(), incident, question, model, by=login_name())

    made = asyncio.run(answer())
    if as_json:
        echo_json(made)
        return
    for line in made.answer.split("\n") if made.answer else ["nothing that was gathered says anything about it"]:
        typer.echo(plain(line))
    typer.echo(
        f"by {plain(made.written_by)}, from {', '.join(one.name for one in made.passages) or 'nothing'}", err=True
    )
    for gap in made.gaps:
        typer.echo(f"not known: {plain(gap)}", err=True)


@commands.command("note")
def note(incident: IncidentId, text: Annotated[str, typer.Argument(help="What you did or saw.")]) -> None:
    """Put something on an incident's timeline."""
    from datetime import UTC, datetime

    from blocks.approvals import login_name
    from blocks.redact import default_redactor
    from blocks.store import open_store
    from tasks.ops.incident.intake import change, checked_id
    from tasks.ops.incident.questions import checked_question

    told, by = default_redactor().text(checked_question(text, "note")), login_name()
    change(open_store(), checked_id(incident), lambda one: one.with_event(datetime.now(UTC), "note", told, by))


@commands.command("close")
def close(
    incident: IncidentId,
    cause: Annotated[str, typer.Option(help="Why it was, as far as it is known; for the postmortem.")] = "",
    resolution: Annotated[str, typer.Option(help="What helped; for the postmortem and the case library.")] = "",
    as_json: Json = False,
) -> None:
    """End an incident: alerts that come then open another one."""
    from datetime import UTC, datetime

    from blocks.approvals import login_name
    from blocks.plain_text import visible
    from blocks.redact import default_redactor
    from blocks.store import open_store
    from tasks.ops.incident.incident import closed
    from tasks.ops.incident.intake import change, checked_id

    def told(text: str) -> str:
        # A terminal may give halves of characters, which no store takes.
        return default_redactor().text(visible(text.encode(errors="replace").decode()))[:2000]

    by = login_name()
    known = change(
        open_store(),
        checked_id(incident),
        lambda one: closed(one, datetime.now(UTC), by, told(cause), told(resolution)),
    )
    if as_json:
        echo_json(known)
    else:
        typer.echo(f"{known.incident_id} is closed; `c500 incident postmortem {known.incident_id}` writes it up")


@commands.command("postmortem")
def postmortem(
    incident: IncidentId,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the page to this file.")] = None,
    dry_run: DryRun = False,
    no_model: NoModel = False,
    profile: Profile = None,
    as_json: Json = False,
) -> None:
    """Write a blameless postmortem from the timeline, and put it into the case library."""
    from blocks.store import open_store
    from tasks.ops.incident.respond import all_of

    all_of(open_store(), incident)  # before a server is started for it
    options = options_of(dry_run=dry_run, profile=profile, no_model=no_model)

    def start() -> Any:
        from flows.incident import write_postmortem

        return write_postmortem(incident, options)

    made = run_operation(start, quiet=as_json)
    from blocks.whole_file import write_whole
    from tasks.ops.incident.postmortem import markdown_of

    page = markdown_of(made)
    if output is not None:
        write_whole(output, page.encode())
    if as_json:
        echo_json(made)
    elif output is None:
        typer.echo(page)


def _show_report(report: "IncidentReport", *, as_json: bool) -> None:
    from blocks.plain_text import plain
    from tasks.ops.incident.briefing import message_of

    if as_json:
        echo_json(report)
        return
    if report.briefing is not None:
        for line in message_of(report.briefing).split("\n"):
            typer.echo(plain(line))
    for one in report.outcomes:
        typer.echo(plain(_outcome_line(one)), err=True)
    typer.echo(WAITING.get(report.status, f"incident {report.incident_id}: {report.status}"), err=True)


def _show_acts(report: "IncidentReport", done: "list[Outcome]") -> None:
    """What came of runbooks, step by step; the briefing is there by `show`."""
    from blocks.plain_text import plain

    for one in done:
        for line in _steps_of(one):
            typer.echo(plain(line))
        typer.echo(plain(_outcome_line(one)), err=True)
    if not done:
        typer.echo(WAITING.get(report.status, f"incident {report.incident_id}: nothing was done"), err=True)


def _steps_of(outcome: "Outcome") -> "Iterator[str]":
    """The steps of the run that a runbook's deed has made, a line each."""
    from blocks.store import open_store
    from tasks.ops.runbook.picture import MARKS
    from tasks.ops.runbook.record import runbook_runs

    facts: dict[str, Any] = outcome.result if isinstance(outcome.result, dict) else {}
    run = runbook_runs(open_store()).find(str(facts.get("run_id", "none")))
    if run is None:
        return
    for place, step in run.steps.items():
        said = step.why or step.said.replace("\n", " ")
        yield f"{MARKS[step.status]:10} {place}: {step.says}{f' – {said[:200]}' if said else ''}"
    yield f"more: c500 runbook show {run.run_id}"


def _outcome_line(outcome: "Outcome") -> str:
    """A deed and what came of it, for people."""
    from tasks.ops.incident.respond import posted_in

    facts: dict[str, Any] = outcome.result if isinstance(outcome.result, dict) else {}
    status, whys = outcome.status, [outcome.error.message if outcome.error else outcome.why]
    if outcome.name.startswith("runbook/") and facts:
        status, whys = facts.get("status", status), [*whys, str(facts.get("why") or "")]
    elif (posted := posted_in(outcome)) is not None and posted.taken < max(1, posted.channels):
        status, whys = "done" if posted.taken else "told to nobody", [posted.told]
    return ", ".join((f"{outcome.says}: {status}", *(why for why in whys if why)))


def _exit_code(done: "list[Outcome]") -> int:
    """0 where all runbooks did what they are for, 3 where one was refused or is in doubt, else 1."""
    states = [one.result["status"] if one.status == "done" and one.result else one.status for one in done]
    if states and all(one in ("done", "planned") for one in states):
        return 0
    return 3 if any(one in ("refused", "in_doubt") for one in states) else 1


def _waiting(incident_id: str) -> "list[Approval]":
    """What people are asked for an incident and its runbooks, and nobody has answered yet."""
    from blocks.approvals import open_approvals

    pending = open_approvals().pending()
    runs = (incident_id, f"{incident_id[:51]}-")
    return [one for one in pending if one.request.run_id == runs[0] or one.request.run_id.startswith(runs[1])]


def _show_timeline(known: "Incident", waiting: "list[Approval]") -> None:
    from blocks.plain_text import plain

    typer.echo(f"{known.incident_id} is {known.status}")
    for one in sorted(known.timeline, key=lambda one: one.at):
        by = f" ({one.by})" if one.by else ""
        typer.echo(plain(f"{one.at.astimezone():%Y-%m-%d %H:%M:%S}  {one.says}{by}")[:300])
    if known.events_left_out:
        typer.echo(f"{known.events_left_out} events in the middle are left out")
    for request in (one.request for one in waiting):
        typer.echo(plain(f"{local_time(request.asked_at)}  waits for a person: {request.reason}")[:300])
        until, name = local_time(request.expires_at), request.approval_id
        typer.echo(f"  until {until}: c500 approve yes {name}, or c500 approve no {name}")
