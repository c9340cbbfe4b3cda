"""`c500 deploy-service`: a version of a service, checked, deployed, verified, and taken back where it does not run."""

from pathlib import Path
from typing import Annotated, Any

import typer

from deployments.cli import app
from deployments.cli.operations_options import (
    ApprovalS,
    Profile,
    Resume,
    Unattended,
    User,
    begun,
    run_operation,
)
from deployments.cli.output import Json, echo_json


@app.command("deploy-service")
def deploy_service(
    plan: Annotated[Path, typer.Argument(help="The plan, YAML; see docs/operations/rollouts.md.")],
    version: Annotated[str | None, typer.Option(help="In place of the plan's.")] = None,
    profile: Profile = None,
    user: User = None,
    approval_s: ApprovalS = 3600,
    unattended: Unattended = False,
    resume: Resume = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Do the checks only.")] = False,
    as_json: Json = False,
) -> None:
    """Deploy a version of a service. Exit 1 unless it runs, 3 where it is refused."""
    from tasks.ops.service.plan import read_deployment

    asked = read_deployment(plan, version=version)
    options = begun(
        "deploy-service",
        profile=profile,
        user=user,
        approval_s=approval_s,
        unattended=unattended,
        resume=resume,
        dry_run=dry_run,
    )

    def start() -> Any:
        from flows.service_deployment import deploy_service

        return deploy_service(asked, options)

    made = run_operation(start, quiet=as_json)
    if as_json:
        echo_json(made)
    else:
        from blocks.plain_text import visible
        from tasks.ops.service.deploy import markdown

        typer.echo(visible(markdown(made)))
        typer.echo(f"run {made.run_id} · {made.status}", err=True)
    if made.status not in ("deployed", "planned") or made.watched not in ("", "passed", "planned"):
        raise typer.Exit(1)
