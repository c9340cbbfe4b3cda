"""`c500 disk`: what fills disks, and making room by rules."""

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

commands = typer.Typer(help="Make room on full disks, by rules.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(commands, name="disk")

Rules = Annotated[
    Path | None, typer.Option(help="Rules, YAML; see docs/operations/disk.md. By default the usual ones.")
]


@commands.command("rules")
def rules(rules: Rules = None) -> None:
    """Check the rules, and list the actions in their order. Nothing is run."""
    from shlex import join

    from tasks.ops.disk.rules import USUAL, read_rules

    read = read_rules(rules or USUAL)
    typer.echo(f"full above {read.threshold_percent:g} %, healed to {read.target:g} %")
    for action in read.actions:
        typer.echo(f"{action.name} in {action.place}: {join(action.argv)}")


@commands.command("heal")
def heal(
    rules: Rules = None,
    dry_run: DryRun = False,
    profile: Profile = None,
    user: User = None,
    unattended: Unattended = False,
    approval_s: ApprovalS = 3600,
    no_model: NoModel = False,
    resume: Resume = None,
    as_json: Json = False,
) -> None:
    """Do the actions of the rules until full disks have room again. Exit 1 where a person must look."""
    from blocks.hosts import read_inventory
    from blocks.store import open_store
    from tasks.ops.disk.report import report_markdown
    from tasks.ops.disk.rules import read_rules, rules_of
    from tasks.ops.run_records import RunRecords

    begun_with = RunRecords(open_store()).subject(resume, "heal-disk") if resume else ""
    path = rules_of(str(rules or ""), begun_with)
    read_inventory().chosen(read_rules(path).hosts)
    options = begun(
        "heal-disk",
        dry_run=dry_run,
        profile=profile,
        user=user,
        unattended=unattended,
        approval_s=approval_s,
        no_model=no_model,
        resume=resume,
    )

    def start() -> Any:
        from flows.disk import heal_disk

        return heal_disk(str(path), options)

    report = run_operation(start, quiet=as_json)
    if as_json:
        echo_json(report)
    else:
        typer.echo(report_markdown(report))
    if not report.ok:
        raise typer.Exit(1)
