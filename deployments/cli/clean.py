"""`c500 clean`: logs, audio, caches, disks; and what went, had back."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from blocks.errors import C500Error
from deployments.cli import app
from deployments.cli.operations_options import DryRun, Resume, options_of, run_operation
from deployments.cli.output import Json, echo_json

if TYPE_CHECKING:
    from tasks.ops.cleanup.report import CleanupReport

commands = typer.Typer(
    help="Take away what is old; see what would go first.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(commands, name="clean")

TrustClock = Annotated[bool, typer.Option("--trust-clock", help="The clock is right, though it was set ahead.")]


@commands.command("logs")
def logs(
    dry_run: DryRun = False, resume: Resume = None, trust_clock: TrustClock = False, as_json: Json = False
) -> None:
    """Log files older than DAYS_TO_KEEP days go into the trash."""
    _run("clean_logs", dry_run, resume, as_json, trust_clock=trust_clock)


@commands.command("audio")
def audio(
    dry_run: DryRun = False, resume: Resume = None, trust_clock: TrustClock = False, as_json: Json = False
) -> None:
    """Audio older than RETENTION_DAYS days of jobs that finished or failed goes into the trash."""
    _run("clean_audio", dry_run, resume, as_json, trust_clock=trust_clock)


@commands.command("cache")
def cache(dry_run: DryRun = False, resume: Resume = None, as_json: Json = False) -> None:
    """Stored results and keys of Redis that are expired or orphaned are deleted."""
    _run("clean_cache", dry_run, resume, as_json)


@commands.command("all")
def clean_all(
    dry_run: DryRun = False, resume: Resume = None, trust_clock: TrustClock = False, as_json: Json = False
) -> None:
    """Logs, audio and, unless SKIP_CACHE, the cache."""
    _run("clean_all", dry_run, resume, as_json, trust_clock=trust_clock)


@commands.command("disk")
def disk(
    dry_run: DryRun = False,
    resume: Resume = None,
    trust_clock: TrustClock = False,
    emergency: Annotated[
        bool | None, typer.Option("--emergency/--only-tell", help="Clean what is due at once; EMERGENCY_CLEANUP.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Look whether a disk is fuller than DISK_THRESHOLD per cent, tell it, and perhaps clean at once."""
    _run("watch_disk", dry_run, resume, as_json, trust_clock=trust_clock, emergency=emergency)


@commands.command("trash")
def trash(as_json: Json = False) -> None:
    """List what went and can be had back, newest first."""
    from blocks.plain_text import plain
    from tasks.ops.cleanup.bin import batches
    from tasks.ops.cleanup.report import size

    found = [one for root in _roots() for one in batches(root)]
    if as_json:
        return echo_json(found)
    for one in found:
        typer.echo(f"{one.batch_id}  {one.files:8} files  {size(one.size_bytes):>9}  of {plain(one.root)}")
    if not found:
        typer.echo("the trash is empty", err=True)
    return None


@commands.command("restore")
def restore(
    batch_id: Annotated[str, typer.Argument(metavar="BATCH", help="As `c500 clean trash` names it.")],
    path: Annotated[str | None, typer.Argument(metavar="PATH", help="Only this file of it; by default all.")] = None,
    as_json: Json = False,
) -> None:
    """Put files back where they were; nothing is overwritten: exit 1 when a place is taken."""
    from blocks.errors import NotFound
    from blocks.plain_text import plain
    from tasks.ops.cleanup.bin import batches
    from tasks.ops.cleanup.bin import restore as put_back
    from tasks.ops.cleanup.tree import alone

    root = next((one for one in _roots() if any(batch_id == batch.batch_id for batch in batches(one))), None)
    if root is None:
        raise NotFound(f"the trash has no {batch_id[:100]}", fix="see `c500 clean trash`", field="BATCH")
    with alone(root):
        restored = put_back(root, batch_id, path)
    if as_json:
        echo_json(restored)
    else:
        typer.echo(f"{restored.files} files are back in {plain(str(root))}")
        for taken in restored.taken:
            typer.echo(f"its place is taken: {plain(taken)}", err=True)
    if restored.taken:
        raise typer.Exit(1)


def _run(flow: str, dry_run: bool, resume: str | None, as_json: bool, **more: Any) -> None:
    from blocks.settings import settings
    from tasks.ops.cleanup.disk import drop_ballast

    # Prefect, too, needs room on the disk.
    drop_ballast(settings().agents_home.expanduser())

    def start() -> Any:
        import flows.cleanup

        options = options_of(dry_run=dry_run, resume=resume, unattended=not sys.stdin.isatty())
        return getattr(flows.cleanup, flow)(options=options, **more)

    try:
        _show(run_operation(start, quiet=as_json), as_json=as_json)
    except C500Error as error:
        if told := error.details.get("report"):  # it is not whole, and worth seeing
            from tasks.ops.cleanup.report import CleanupReport

            _show(CleanupReport.model_validate(told), as_json=as_json)
        raise


def _show(report: "CleanupReport", *, as_json: bool) -> None:
    if as_json:
        return echo_json(report)
    from rich.console import Console
    from rich.markdown import Markdown

    from tasks.ops.cleanup.report import report_markdown

    Console().print(Markdown(report_markdown(report)))
    typer.echo(f"run {report.run_id}", err=True)
    return None


def _roots() -> list[Path]:
    """The folders that are cleaned and are there."""
    from blocks.settings import settings
    from tasks.ops.cleanup.plan import log_trees, read_plan

    chosen = settings()
    places = [*(tree.root for tree in log_trees(read_plan(chosen), chosen.log_dir)), chosen.audio_dir]
    return [place for one in places if (place := one.expanduser()).is_dir()]
