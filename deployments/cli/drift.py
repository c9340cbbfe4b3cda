"""`c500 drift`: what was declared against what is there."""

from pathlib import Path
from typing import Annotated, Any

import typer

from deployments.cli import app
from deployments.cli.operations_options import (
    ApprovalS,
    DryRun,
    NoModel,
    Profile,
    Resume,
    Unattended,
    User,
    begun,
    run_operation,
)
from deployments.cli.output import Json, echo_json

commands = typer.Typer(
    help="Find what is not as declared; correct what is marked as safe.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(commands, name="drift")


@commands.command("detect")
def detect(
    declared: Annotated[Path, typer.Argument(help="The declared state, YAML; see docs/operations/drift.md.")],
    only: Annotated[list[str] | None, typer.Option(help="Only this part; may be given several times.")] = None,
    no_correct: Annotated[bool, typer.Option("--no-correct", help="Correct nothing, only look.")] = False,
    dry_run: DryRun = False,
    profile: Profile = None,
    user: User = None,
    unattended: Unattended = False,
    approval_s: ApprovalS = 3600,
    no_model: NoModel = False,
    resume: Resume = None,
    as_json: Json = False,
) -> None:
    """Look at all that is declared. Exit 1 where anything is not, or not known to be, as declared."""
    from blocks.hosts import read_inventory
    from tasks.ops.drift.declared import read_declared
    from tasks.ops.drift.detect import parts_of
    from tasks.ops.drift.report import report_markdown

    parts_of(read_declared(declared), read_inventory())
    options = begun(
        "detect-drift",
        dry_run=dry_run,
        profile=profile,
        user=user,
        unattended=unattended,
        approval_s=approval_s,
        no_model=no_model,
        resume=resume,
    )

    def start() -> Any:
        from flows.drift import detect_drift

        return detect_drift(str(declared.expanduser().absolute()), options, only or (), not no_correct)

    report = run_operation(start, quiet=as_json)
    if as_json:
        echo_json(report)
    else:
        typer.echo(report_markdown(report))
    if not report.ok:
        raise typer.Exit(1)


@commands.command("undo")
def undo(
    run: Annotated[str, typer.Argument(metavar="RUN", help="The run whose corrections are taken back.")],
    dry_run: DryRun = False,
    profile: Profile = None,
    user: User = None,
    unattended: Unattended = False,
    approval_s: ApprovalS = 3600,
    resume: Resume = None,
    as_json: Json = False,
) -> None:
    """Take corrections back. Exit 1 where one could not be."""
    from blocks.plain_text import plain
    from blocks.store import open_store
    from tasks.ops.drift.correct import corrections_of

    corrections_of(open_store(), run)
    options = begun(
        "undo-drift",
        dry_run=dry_run,
        profile=profile,
        user=user,
        unattended=unattended,
        approval_s=approval_s,
        resume=resume,
    )

    def start() -> Any:
        from flows.drift import undo_drift

        return undo_drift(run, options)

    outcomes = run_operation(start, quiet=as_json)
    if as_json:
        echo_json(outcomes)
    for one in () if as_json else outcomes:
        why = one.error.message if one.error else one.why
        typer.echo(plain(f"{one.status}: {one.says}{': ' if why else ''}{why}"))
    if not all(one.ok for one in outcomes):
        raise typer.Exit(1)
