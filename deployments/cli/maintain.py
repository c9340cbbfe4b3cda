"""`c500 maintain`: do routine work on hosts, from a plan."""

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


@app.command("maintain")
def maintain(
    plan: Annotated[Path, typer.Argument(help="The plan, YAML; see docs/operations/maintenance.md.")],
    only: Annotated[list[str] | None, typer.Option(help="Only this task; may be given several times.")] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only look whether plan and inventory are well written.")
    ] = False,
    ignore_windows: Annotated[
        bool, typer.Option("--ignore-windows", help="Begin tasks outside of their windows, too.")
    ] = False,
    dry_run: DryRun = False,
    profile: Profile = None,
    user: User = None,
    unattended: Unattended = False,
    approval_s: ApprovalS = 3600,
    no_model: NoModel = False,
    resume: Resume = None,
    as_json: Json = False,
) -> None:
    """Update, rotate, prune, verify and renew what a plan names. Exit 1 where something failed or was refused."""
    from blocks.hosts import read_inventory
    from tasks.ops.maintenance.plan import read_plan
    from tasks.ops.maintenance.result import summary_text

    read, inventory = read_plan(plan), read_inventory()
    places = {task.name: [one.name for one in inventory.chosen(task.hosts)] for task in read.tasks}
    if check:
        for name, hosts in places.items():
            typer.echo(f"{name}: {', '.join(hosts)}")
        return
    options = begun(
        "maintain",
        dry_run=dry_run,
        profile=profile,
        user=user,
        unattended=unattended,
        approval_s=approval_s,
        no_model=no_model,
        resume=resume,
    )

    def start() -> Any:
        from flows.maintenance import maintain as flow

        return flow(str(plan), options, only or (), ignore_windows)

    report = run_operation(start, quiet=as_json)
    if as_json:
        echo_json(report)
    else:
        typer.echo(summary_text(report))
    if not report.ok:
        raise typer.Exit(1)
