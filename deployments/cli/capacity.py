"""`c500 capacity`: when resources run out."""

from pathlib import Path
from typing import Annotated, Any

import typer

from deployments.cli import app
from deployments.cli.operations_options import NoModel, Profile, User, options_of, run_operation
from deployments.cli.output import Json, echo_json


@app.command("capacity")
def capacity(
    plan: Annotated[Path, typer.Argument(help="The plan, YAML; see docs/operations/capacity.md.")],
    chart: Annotated[Path | None, typer.Option(help="Folder into which the charts are copied.")] = None,
    profile: Profile = None,
    user: User = None,
    no_model: NoModel = False,
    as_json: Json = False,
) -> None:
    """Foretell when resources run out. Exit 1 where one is urgent, or nothing can be said of it."""
    from tasks.ops.capacity.plan import read_plan
    from tasks.ops.capacity.report import report_markdown

    read_plan(plan)
    options = options_of(profile=profile, user=user, no_model=no_model)

    def start() -> Any:
        from flows.capacity import plan_capacity

        return plan_capacity(str(plan.expanduser().absolute()), options)

    report = run_operation(start, quiet=as_json)
    if chart is not None:
        _copy_charts([one.chart for one in report.outlooks if one.chart], chart)
    if as_json:
        echo_json(report)
    else:
        typer.echo(report_markdown(report))
    if not report.ok:
        raise typer.Exit(1)


def _copy_charts(keys: list[str], folder: Path) -> None:
    from blocks.store import open_store

    folder.mkdir(parents=True, exist_ok=True)
    for key in keys:
        (folder / Path(key).name).write_bytes(open_store().read_bytes(key))
