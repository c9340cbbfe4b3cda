"""`c500 deploy-service`: a version of a service, checked, deployed, verified, and taken back where it does not run."""

from pathlib import Path
from typing import Annotated, Any

import typer

from deployments.cli import app
from deployments.cli.given import made_of
from deployments.cli.output import Json, echo_json

FIX = "give another value; see `c500 deploy-service --help`"


@app.command("deploy-service")
def deploy_service(
    plan: Annotated[Path, typer.Argument(help="The plan, YAML; see docs/operations/rollouts.md.")],
    version: Annotated[str | None, typer.Option(help="In place of the plan's.")] = None,
    profile: Annotated[str | None, typer.Option(help="Profile of the operations policy.")] = None,
    run_id: Annotated[str | None, typer.Option("--run-id", help="Of a run to go on with.")] = None,
    unattended: Annotated[bool, typer.Option("--unattended", help="Nobody can be asked.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Do the checks only.")] = False,
    as_json: Json = False,
) -> None:
    """Deploy a version of a service. Exit 1 unless it runs, 3 where it is refused."""
    from tasks.ops.options import OperationsOptions
    from tasks.ops.service.plan import read_deployment

    asked = read_deployment(plan, version=version)
    fields = {"profile": profile, "run_id": run_id, "attended": not unattended, "dry_run": dry_run}
    options = made_of(OperationsOptions, fields, fix=FIX)

    from deployments.cli.session import run_flow

    def start() -> Any:
        from flows.service_deployment import deploy_service

        return deploy_service(asked, options)

    made = run_flow(start, quiet=as_json)
    if as_json:
        echo_json(made)
    else:
        from blocks.plain_text import visible
        from tasks.ops.service.deploy import markdown

        typer.echo(visible(markdown(made)))
        typer.echo(f"run {made.run_id} · {made.status}", err=True)
    if made.status not in ("deployed", "planned") or made.watched not in ("", "passed", "planned"):
        raise typer.Exit(1)
