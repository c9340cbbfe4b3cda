"""`c500 data`: what is kept about a person or a job; exported, held, erased."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deployments.cli import app
from deployments.cli.operations_options import Resume, begun, run_operation
from deployments.cli.output import Json, echo_json

if TYPE_CHECKING:
    from blocks.subjects.subject import Subject
    from tasks.personal_data.plan import Plan

commands = typer.Typer(
    help="The data of one person or one job: see it, export it, hold it, erase it.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(commands, name="data")

Job = Annotated[str | None, typer.Option("--job", metavar="ID", help="Id of a job, task, run, request or session.")]
Person = Annotated[str | None, typer.Option("--person", metavar="NAME", help="A user, a gateway key, or its owner.")]


@commands.command("show")
def show(job: Job = None, person: Person = None, as_json: Json = False) -> None:
    """Show what is kept about a person or a job, place by place; nothing is changed."""
    _show(_planned(_subject(job, person), keep=False, quiet=as_json), as_json=as_json)


@commands.command("export")
def export(
    output: Annotated[Path, typer.Argument(metavar="FILE.zip", help="Where to write it; it must not exist.")],
    job: Job = None,
    person: Person = None,
    resume: Resume = None,
    as_json: Json = False,
) -> None:
    """Write all that is kept about a person or a job into a ZIP file, with an index of hashes."""
    subject, place = _subject(job, person), str(output.expanduser().absolute())
    options = begun("export-data", resume=resume)

    def start() -> Any:
        from flows.personal_data import export_data

        return export_data(subject, place, options)

    report = run_operation(start, quiet=as_json)
    if as_json:
        return echo_json(report)
    typer.echo(f"{report.files} files, {report.size_bytes:,} bytes in {place}")
    return None


@commands.command("erase")
def erase(
    job: Job = None,
    person: Person = None,
    plan: Annotated[str | None, typer.Option(metavar="PLAN", help="Erase what this plan shows.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="You have seen the plan; else another person is asked.")] = False,
    resume: Resume = None,
    as_json: Json = False,
) -> None:
    """Show what would be erased, with the id of the plan; then erase it with `--plan PLAN --yes`."""
    from blocks.errors import BadInput

    if plan is None:
        if yes:
            raise BadInput(
                "no plan is named", fix="look at the plan without --yes, then add its --plan", field="--plan"
            )
        made = _planned(_subject(job, person), keep=True, quiet=as_json)
        _show(made, as_json=as_json)
        if not as_json:
            typer.echo(f"\nto erase this: c500 data erase --plan {made.plan_id} --yes", err=True)
        return None
    if job is not None or person is not None:
        raise BadInput("the plan says whose data it is", fix="give --plan without --job and --person", field="--plan")
    options = begun("erase-data", resume=resume)

    def start() -> Any:
        from flows.personal_data import erase_data

        return erase_data(plan, yes, options)

    report = run_operation(start, quiet=as_json)
    if as_json:
        return echo_json(report)
    typer.echo(f"erased: {sum(report.counts.values())} items; the audit names them {report.subject}")
    return None


@commands.command("hold")
def hold(
    reason: Annotated[str, typer.Option(help="Why; as the number of a case.")],
    job: Job = None,
    person: Person = None,
) -> None:
    """Keep data from clean-up and erasure until it is released."""
    from blocks.approvals import login_name
    from blocks.store import open_store
    from tasks.personal_data.holding import hold as put

    held = put(open_store(), _subject(job, person), reason, login_name())
    typer.echo(f"{held.subject} is on hold since {held.at:%Y-%m-%d %H:%M} UTC, by {held.by}")


@commands.command("release")
def release(job: Job = None, person: Person = None) -> None:
    """End a hold: the data expires again, and may be erased."""
    from blocks.approvals import login_name
    from blocks.store import open_store
    from tasks.personal_data.holding import release as end

    held = end(open_store(), _subject(job, person), login_name())
    typer.echo(f"{held.subject} is not on hold any more")


@commands.command("holds")
def holds(as_json: Json = False) -> None:
    """List what is on hold."""
    from blocks.plain_text import plain
    from blocks.store import open_store
    from blocks.subjects import Holds

    found = list(Holds(open_store()).every())
    if as_json:
        return echo_json(found)
    for one in found:
        typer.echo(f"{one.at:%Y-%m-%d}  {plain(str(one.subject))}  by {plain(one.by)}: {plain(one.reason)}")
    if not found:
        typer.echo("nothing is on hold", err=True)
    return None


@commands.command("places")
def places() -> None:
    """List every place that keeps data, and what export and erasure do with it, as Markdown."""
    from tasks.personal_data.inventory import inventory_markdown

    typer.echo(inventory_markdown())


def _subject(job: str | None, person: str | None) -> "Subject":
    from blocks.errors import BadInput
    from blocks.subjects.subject import Subject
    from deployments.cli.given import made_of

    if (job is None) == (person is None):
        raise BadInput("name a job or a person", fix="give either --job ID or --person NAME", field="--job")
    kind = "job" if job is not None else "person"
    return made_of(
        Subject, {"kind": kind, "id": job if job is not None else person}, fix="give another", options={"id": kind}
    )


def _planned(subject: "Subject", *, keep: bool, quiet: bool) -> "Plan":
    def start() -> Any:
        from flows.personal_data import plan_erasure

        return plan_erasure(subject, keep=keep)

    return run_operation(start, quiet=quiet)


def _show(plan: "Plan", *, as_json: bool) -> None:
    if as_json:
        return echo_json(plan)
    from rich.console import Console
    from rich.markdown import Markdown

    from blocks.plain_text import visible
    from tasks.personal_data.plan import plan_markdown

    Console().print(Markdown(visible(plan_markdown(plan))))
    return None
