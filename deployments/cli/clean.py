"""`c500 clean`: logs, audio, caches, disks; and what went, had back."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from blocks.errors import C500Error
from deployments.cli import app
from deployments.cli.operations_options import DryRun, Resume, begun, run_operation
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


@commands.command("evidence")
def evidence(
    dry_run: DryRun = False, resume: Resume = None, trust_clock: TrustClock = False, as_json: Json = False
) -> None:
    """Jobs, quality, batches, sessions, ledger and audit that are older than RESULTS_DAYS and its like."""
    _run("clean_evidence", dry_run, resume, as_json, trust_clock=trust_clock)


@commands.command("all")
def clean_all(
    dry_run: DryRun = False, resume: Resume = None, trust_clock: TrustClock = False, as_json: Json = False
) -> None:
    """Logs, audio, evidence and, unless SKIP_CACHE, the cache."""
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
    """Look whether a disk is fuller than DISK_THRESHOLD per cent, tell it, and perhaps clean at once.

    Exit 1 where one is so still.
    """
    told = _ran("watch_disk", dry_run, resume, as_json, trust_clock=trust_clock, emergency=emergency)
    report = _with_disks(told)
    _show(report, as_json=as_json)
    if report.full:
        raise typer.Exit(1)


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
        files = f"{one.files:8} file{' ' if one.files == 1 else 's'}"
        typer.echo(f"{one.batch_id}  {files}  {size(one.size_bytes):>9}  of {plain(one.root)}")
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
        files = "1 file is" if restored.files == 1 else f"{restored.files} files are"
        typer.echo(f"{files} back in {plain(str(root))}")
        for taken in restored.taken:
            typer.echo(f"its place is taken: {plain(taken)}", err=True)
    if restored.taken:
        raise typer.Exit(1)


def _run(flow: str, dry_run: bool, resume: str | None, as_json: bool, **more: Any) -> None:
    _show(_ran(flow, dry_run, resume, as_json, **more), as_json=as_json)


def _ran(flow: str, dry_run: bool, resume: str | None, as_json: bool, **more: Any) -> "CleanupReport":
    from blocks.settings import settings
    from tasks.ops.cleanup.disk import drop_ballast

    # Prefect, too, needs room on the disk.
    drop_ballast(settings().agents_home.expanduser())

    def start() -> Any:
        import flows.cleanup

        options = begun(flow.replace("_", "-"), dry_run=dry_run, resume=resume, unattended=not sys.stdin.isatty())
        return getattr(flows.cleanup, flow)(options=options, **more)

    try:
        return run_operation(start, quiet=as_json)
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

    from blocks.store import open_store, store_place
    from tasks.ops.cleanup.report import going, report_markdown

    # Where the lines are is told below the page, which would break it at its width.
    parts = tuple(part.model_copy(update={"report": None}) for part in report.parts)
    Console().print(Markdown(report_markdown(report.model_copy(update={"parts": parts}))))
    for part in report.parts:
        if part.report is not None:
            typer.echo(
                "\n".join([f"{part.name}: all lines in {store_place()}/{part.report}", *going(open_store(), part)])
            )
    if report.parts:
        typer.echo(f"run {report.run_id}", err=True)
    return None


def _with_disks(report: "CleanupReport") -> "CleanupReport":
    """The report with how full the disks are by now."""
    from blocks.settings import settings
    from tasks.ops.cleanup.disk import disks_of
    from tasks.ops.cleanup.plan import read_plan, watched

    chosen = settings()
    disks = disks_of(watched(read_plan(chosen), chosen))
    return report.model_copy(update={"disks": disks, "threshold_percent": chosen.disk_threshold})


def _roots() -> list[Path]:
    """The folders that are cleaned and are there."""
    from blocks.settings import settings
    from tasks.ops.cleanup.plan import log_trees, read_plan

    chosen = settings()
    places = [*(tree.root for tree in log_trees(read_plan(chosen), chosen.log_dir)), chosen.audio_dir]
    return [place for one in places if (place := one.expanduser()).is_dir()]
