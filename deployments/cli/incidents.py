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
    from flows.responding import IncidentReport
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
    options = options_of(dry_run=dry_run, profile=profile, user=user, unattended=unattended, approval_s=approval_s)

    def start() -> Any:
        from flows.incident import respond_to_incident

        return respond_to_incident(incident=incident, run=(runbook,), options=options)

    report: IncidentReport = run_operation(start, quiet=as_json)
    _show_report(report, as_json=as_json)
    done = [one for one in report.outcomes if one.name == f"runbook/{runbook}"]
    if not done or not all(one.ok for one in done):
        raise typer.Exit(3 if any(one.status == "refused" for one in done) else 1)


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
    if as_json:
        echo_json({"incident": known, "briefing": briefing, "context": context})
        return
    from rich.console import Console
    from rich.markdown import Markdown

    from blocks.plain_text import visible
    from tasks.ops.incident.briefing import markdown_of

    if briefing is not None and context is not None:
        Console().print(Markdown(visible(markdown_of(briefing, context))))
    _show_timeline(known)


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
        why = one.error.message if one.error else one.why
        typer.echo(plain(f"{one.says}: {one.status}{f', {why}' if why else ''}"), err=True)
    typer.echo(WAITING.get(report.status, f"incident {report.incident_id}: {report.status}"), err=True)


def _show_timeline(known: "Incident") -> None:
    from blocks.plain_text import plain

    typer.echo(f"{known.incident_id} is {known.status}")
    for one in sorted(known.timeline, key=lambda one: one.at):
        by = f" ({one.by})" if one.by else ""
        typer.echo(plain(f"{one.at.astimezone():%Y-%m-%d %H:%M:%S}  {one.says}{by}")[:300])
    if known.events_left_out:
        typer.echo(f"{known.events_left_out} events in the middle are left out")
