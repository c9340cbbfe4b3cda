"""`c500 rollout`: watch a rollout; see what became of a service's versions; allow one again."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
from deployments.cli.output import Json, echo_json, local_time

if TYPE_CHECKING:
    from tasks.ops.rollout.watch import Watch
    from tasks.ops.service.history import VersionRecord

rollout = typer.Typer(
    no_args_is_help=True, help="Watch rollouts, and see what became of versions.", rich_markup_mode=None
)
app.add_typer(rollout, name="rollout")

EXIT = {"passed": 0, "planned": 0}


@rollout.command("watch")
def watch(
    plan: Annotated[Path, typer.Argument(help="The plan, YAML; see docs/operations/rollouts.md.")],
    version: Annotated[str | None, typer.Option(help="In place of the plan's.")] = None,
    profile: Profile = None,
    user: User = None,
    approval_s: ApprovalS = 3600,
    unattended: Unattended = False,
    resume: Resume = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Look once, and do nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Watch a rollout until it has passed, or take it back. Exit 1 unless it passed."""
    from tasks.ops.rollout.plan import read_rollout

    asked = read_rollout(plan, version=version)
    options = begun(
        "watch-rollout",
        profile=profile,
        user=user,
        approval_s=approval_s,
        unattended=unattended,
        resume=resume,
        dry_run=dry_run,
    )

    def start() -> Any:
        from flows.rollout import watch_rollout

        return watch_rollout(asked, options)

    watched = run_operation(start, quiet=as_json)
    show(watched, as_json=as_json)
    if status := EXIT.get(watched.status, 1):
        raise typer.Exit(status)


@rollout.command("history")
def history(
    service: Annotated[str | None, typer.Argument(help="Of one service; by default of all.")] = None,
    as_json: Json = False,
) -> None:
    """What became of versions: deployed, passed, rolled back and refused."""
    from blocks.store import open_store
    from tasks.ops.service.history import Histories

    histories = Histories(open_store())
    found = histories.all() if service is None else [histories.find(service)]
    if as_json:
        echo_json(found)
        return
    for one in found:
        for version, record in one.versions.items():
            current = " (current)" if version == one.current else ""
            typer.echo(f"{one.service} {version}{current} {_became(record)}")


def _became(record: "VersionRecord") -> str:
    """What a version is, and who cleared it: what it was before stands first until something comes after."""
    why = f": {record.why}" if record.why else ""
    if record.cleared_at is None:
        return f"{record.state} {local_time(record.at)}{why}"
    before = f"{record.cleared_from} {local_time(record.cleared_from_at)}" if record.cleared_from_at else ""
    cleared = f"cleared {local_time(record.cleared_at)} by {record.cleared_by}: {record.cleared_why}"
    if record.is_only_cleared and before:
        return f"{before}{why}, {cleared}"
    return f"{record.state} {local_time(record.at)}{why}, {cleared}{f' (it was {before})' if before else ''}"


@rollout.command("clear")
def clear(
    service: Annotated[str, typer.Argument(help="The service.")],
    version: Annotated[str, typer.Argument(help="The version that was rolled back or tried too often.")],
    because: Annotated[str, typer.Option(help="Why it may be deployed again.")],
) -> None:
    """Allow a version again; only a person should."""
    from blocks.plain_text import plain
    from blocks.store import open_store
    from deployments.cli.recorded import write_down
    from tasks.ops.service.history import Histories

    histories = Histories(open_store())
    run_id = histories.find(service).known(version).fingerprint
    outcome = f"{plain(service)} {plain(version)} may be deployed again"
    who = write_down("answered", run_id, outcome=outcome, reason=because, agent="deploy-service")
    record = histories.clear(service, version, who, because)
    typer.echo(f"{service} {version} may be deployed again ({record.fingerprint}), cleared by {record.cleared_by}")


def show(watched: "Watch", *, as_json: bool) -> None:
    """Print how a watch ended."""
    if as_json:
        echo_json(watched)
        return
    from rich.console import Console
    from rich.markdown import Markdown

    from blocks.plain_text import visible
    from tasks.ops.rollout.report import markdown

    Console().print(Markdown(visible(markdown(watched))))
    typer.echo(f"run {watched.run_id} · {watched.status}", err=True)
