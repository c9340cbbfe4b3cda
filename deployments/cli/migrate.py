"""`c500 migrate`: carry migrations out by plan, look at them, undo them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deployments.cli import app
from deployments.cli.operations_options import (
    ApprovalS,
    DryRun,
    Profile,
    Unattended,
    User,
    options_of,
    run_operation,
)
from deployments.cli.output import Json, echo_json

if TYPE_CHECKING:
    from tasks.ops.migration.report import MigrationReport
    from tasks.ops.migration.states import MigrationState
    from tasks.ops.options import OperationsOptions

commands = typer.Typer(
    help="Carry migrations out by plan, look at them, undo them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(commands, name="migrate")

EXIT = {"done": 0, "planned": 0, "waiting": 3}
UNDONE = {"rolled_back": 0, "planned": 0, "waiting": 3}

Plan = Annotated[Path, typer.Argument(metavar="PLAN", help="The plan, YAML; see docs/operations/migrations.md.")]
Id = Annotated[str, typer.Argument(metavar="ID", help="Of the migration; `c500 migrate status` lists them.")]
PlanOrId = Annotated[str, typer.Argument(metavar="PLAN|ID", help="The plan's file, or the migration's id.")]
OtherId = Annotated[str, typer.Option("--id", help="Id of the migration; by default the plan's name.")]


@commands.command("plan")
def plan(plan: Plan, as_json: Json = False) -> None:
    """Check a plan, and show what it does in which order. Nothing is run."""
    from tasks.ops.migration.plan import read_plan
    from tasks.ops.migration.report import phases_picture, plan_lines
    from tasks.ops.migration.states import first_state

    read = read_plan(plan)
    if as_json:
        echo_json(read)
        return
    typer.echo("\n".join([f"{read.name}: {read.about}", "", *plan_lines(read), ""]))
    typer.echo(phases_picture(first_state(read.name, "new", read)))


@commands.command("run")
def run(
    plan: Plan,
    migration: OtherId = "",
    profile: Profile = None,
    user: User = None,
    approval_s: ApprovalS = 3600,
    unattended: Unattended = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Carry a migration out, or go on with it. Exit 3 where it waits, 1 where it was undone."""
    options = options_of(profile=profile, user=user, approval_s=approval_s, unattended=unattended, dry_run=dry_run)
    _show(_ran(str(plan), migration, options, roll_back=False, quiet=as_json), EXIT, as_json=as_json)


@commands.command("rollback")
def rollback(
    migration: PlanOrId,
    profile: Profile = None,
    user: User = None,
    approval_s: ApprovalS = 3600,
    unattended: Unattended = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Undo a migration, the last phase first. Exit 3 where it waits."""
    options = options_of(profile=profile, user=user, approval_s=approval_s, unattended=unattended, dry_run=dry_run)
    name = _id_of(migration)
    _show(_ran("", name, options, roll_back=True, quiet=as_json), UNDONE, as_json=as_json)


@commands.command("status")
def status(
    migration: Annotated[str, typer.Argument(metavar="[PLAN|ID]", help="Which; all of them by default.")] = "",
    as_json: Json = False,
) -> None:
    """Show where a migration is, with a picture of its states; or where all of them are."""
    from tasks.ops.migration.kept import read_migration
    from tasks.ops.migration.report import migration_markdown, report_of

    if not migration:
        _list(as_json=as_json)
        return
    state = read_migration(_id_of(migration))
    if as_json:
        echo_json(report_of(state))
        return
    typer.echo(_clean(migration_markdown(state).split("## History")[0].rstrip()))


@commands.command("history")
def history(migration: PlanOrId, as_json: Json = False) -> None:
    """Show all that happened in a migration, oldest first."""
    from tasks.ops.migration.kept import read_migration
    from tasks.ops.migration.report import history_lines

    state = read_migration(_id_of(migration))
    if as_json:
        echo_json([one.model_dump(mode="json") for one in state.history])
        return
    typer.echo(_clean("\n".join(history_lines(state))))


def _list(*, as_json: bool) -> None:
    from tasks.ops.migration.kept import open_migrations
    from tasks.ops.migration.report import report_of

    kept = open_migrations()
    found: list[MigrationState] = [kept.read(name) for name in kept.names()]
    if as_json:
        echo_json([report_of(one).model_dump(mode="json") for one in found])
        return
    for one in found:
        done = sum(record.state == "done" for record in one.phases)
        waits = f" · {one.waits}" if one.waits else ""
        typer.echo(_clean(f"{one.migration}  {one.status}  {done} of {len(one.phases)} phases{waits}"))
    if not found:
        typer.echo("there is no migration", err=True)


def _id_of(migration: str) -> str:
    """The id, where a plan's file or the id itself is given."""
    from tasks.ops.migration.kept import checked_id
    from tasks.ops.migration.plan import read_plan

    is_file = migration.endswith((".yaml", ".yml")) or Path(migration).is_file()
    return read_plan(Path(migration)).name if is_file else checked_id(migration)


def _ran(plan: str, migration: str, options: "OperationsOptions", *, roll_back: bool, quiet: bool) -> "MigrationReport":
    from tasks.ops.migration.kept import known

    # What is wrong with the plan should not wait for a server to start.
    found = known(plan, migration, roll_back=roll_back)
    told = str(Path(plan).absolute()) if plan else ""
    is_over = found.status == "rolled_back" or (found.status == "done" and not roll_back)
    if not options.dry_run and not is_over:
        goes_on = "goes on" if found.history else "begins"
        typer.echo(f"migration {found.migration} {goes_on}, run {found.run_id}", err=True)
    options = options.model_copy(update={"run_id": found.run_id})

    def start() -> Any:
        from flows.migration import migrate

        return migrate(told, found.migration, roll_back, options)

    return run_operation(start, quiet=quiet)


def _show(report: "MigrationReport", exits: dict[str, int], *, as_json: bool) -> None:
    if as_json:
        echo_json(report)
    else:
        for line in report.planned:
            typer.echo(_clean(line))
        for one in report.phases if report.status != "planned" else ():
            typer.echo(_clean(f"{one.name}: {one.state}{': ' if one.said else ''}{one.said}"))
        waits = f": {report.waits}" if report.waits else ""
        typer.echo(_clean(f"{report.migration} · {report.status}{waits}"), err=True)
        if report.status == "rolled_back":
            typer.echo("it is over; to try again, give another --id", err=True)
    if code := exits.get(report.status, 1):
        raise typer.Exit(code)


def _clean(text: str) -> str:
    from blocks.plain_text import visible

    return visible(text)
