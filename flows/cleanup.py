"""Cleaning up: old logs, audio of jobs that are over, caches, evidence by policy; and disks that do not fill."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import structlog
from prefect import flow

from blocks.errors import C500Error, StoreFailed
from blocks.progress import in_thread
from blocks.settings import settings
from blocks.store import open_store
from flows.operating import operating, post, show_markdown
from tasks.ops.cleanup.clock import Clock, keep_witness, read_witness
from tasks.ops.cleanup.disk import Disk, disks_of, drop_ballast, keep_ballast
from tasks.ops.cleanup.evidence import evidence_parts
from tasks.ops.cleanup.parts import audio_parts, cache_parts, logs_parts
from tasks.ops.cleanup.plan import CleanupPlan, read_plan, watched
from tasks.ops.cleanup.report import CleanupReport, Part, disk_lines, report_markdown
from tasks.ops.cleanup.tree import Cleanup
from tasks.ops.options import DEFAULTS, OperationsOptions

if TYPE_CHECKING:
    from blocks.settings import Settings

LONGEST_S = 4 * 3600
"""Seconds after which a cleanup ends; the next one goes on where it was."""

Parts = Callable[[Cleanup, CleanupPlan, "Settings"], Awaitable[list[Part]]]

log = structlog.stdlib.get_logger("c500")


class CleanupIncomplete(C500Error):
    """Something could not be cleaned; all else was."""

    code = "CLEANUP_INCOMPLETE"


@flow(name="clean-logs", persist_result=False, timeout_seconds=LONGEST_S)
async def clean_logs(options: OperationsOptions = DEFAULTS, trust_clock: bool = False) -> CleanupReport:
    """Take old log files away: those of LOG_DIR last written more than DAYS_TO_KEEP days ago, and what CLEANUP_FILE
    adds.

    A run that was killed goes on with the same `run_id`; a second run finds nothing to do.

    Args:
        options: How it is run. DRY_RUN makes any run a dry one.
        trust_clock: Whether the clock is right, though it was set ahead since the latest cleanup.

    Returns:
        What became of each file is in the store, a line each; see `Part.report`.

    Raises:
        BadInput, NotFound: CLEANUP_FILE or the policy is wrong.
        ClockJumped: the clock was set; nothing goes by a wrong one.
        CleanupIncomplete: something could not be cleaned.
        StoreFailed: ledger or audit cannot be written; then nothing is done.
    """
    return await _cleaned("clean-logs", options, logs_parts, trust_clock=trust_clock)


@flow(name="clean-audio", persist_result=False, timeout_seconds=LONGEST_S)
async def clean_audio(options: OperationsOptions = DEFAULTS, trust_clock: bool = False) -> CleanupReport:
    """Take the audio of jobs away that finished or failed, and is older than RETENTION_DAYS; transcripts stay.

    Args, returns and errors as `clean_logs`.
    """
    return await _cleaned("clean-audio", options, _audio, trust_clock=trust_clock)


@flow(name="clean-cache", persist_result=False, timeout_seconds=LONGEST_S)
async def clean_cache(options: OperationsOptions = DEFAULTS) -> CleanupReport:
    """Take stored results and keys of Redis away that are expired or orphaned; Redis is gone through by SCAN.

    Args, returns and errors as `clean_logs`. A Redis that does not answer is told in the report, and is no failure.
    """
    return await _cleaned("clean-cache", options, cache_parts, trust_clock=True)


@flow(name="clean-evidence", persist_result=False, timeout_seconds=LONGEST_S)
async def clean_evidence(options: OperationsOptions = DEFAULTS, trust_clock: bool = False) -> CleanupReport:
    """Take away by policy what is kept for good otherwise: jobs, requests, audits of quality, batches, sessions; sum
    old rows of the ledger up; shorten the agents' audit.

    Each kind has its own setting, as RESULTS_DAYS, and stays where that is empty. What is on legal hold stays.

    Args, returns and errors as `clean_logs`. Raises `StoreFailed` as well where it is not known what is on hold.
    """
    return await _cleaned("clean-evidence", options, _evidence, trust_clock=trust_clock)


@flow(name="clean-all", persist_result=False, timeout_seconds=LONGEST_S)
async def clean_all(options: OperationsOptions = DEFAULTS, trust_clock: bool = False) -> CleanupReport:
    """Clean logs, audio, evidence and, unless SKIP_CACHE, the cache, in this order; one that fails stops no other.

    Args, returns and errors as `clean_logs`.
    """
    return await _cleaned("clean-all", options, _all, trust_clock=trust_clock)


@flow(name="watch-disk", persist_result=False, timeout_seconds=LONGEST_S)
async def watch_disk(
    options: OperationsOptions = DEFAULTS, emergency: bool | None = None, trust_clock: bool = False
) -> CleanupReport:
    """Tell the operators when a disk is fuller than DISK_THRESHOLD per cent; with EMERGENCY_CLEANUP, clean at once.

    Then trash is emptied, and what is due is deleted without going through it: first logs, then audio, then the cache,
    until no disk is above the threshold.

    Args:
        options: How it is run.
        emergency: Whether to clean; None for EMERGENCY_CLEANUP.
        trust_clock: See `clean_logs`.

    Returns:
        What was cleaned, if anything; the disks afterwards are in the message and in the artifact.
    """
    chosen = settings()
    plan = read_plan(chosen)
    full = _full(plan, chosen)
    if not full:
        await in_thread(keep_ballast, chosen.agents_home.expanduser())
        await show_markdown("watch-disk", "\n".join(disk_lines(disks_of(watched(plan, chosen)))))
        return CleanupReport(run_id=options.run_id or "", flow="watch-disk", dry_run=_dry(options))
    cleans = chosen.emergency_cleanup if emergency is None else emergency
    told = await _cleaned(
        "watch-disk",
        options if cleans else options.model_copy(update={"dry_run": True}),
        _urgent if cleans else _all,
        trust_clock=trust_clock,
        quiet=True,
    )
    left = _full(plan, chosen)
    state = "still full" if left and cleans else "full" if left else "below the threshold again"
    body = "\n".join([*disk_lines(disks_of(watched(plan, chosen))), "", report_markdown(told)])
    await post(f"disk {state}: {', '.join(f'{one.place} {one.fullest_percent:g} %' for one in full)}", body)
    return told


async def _cleaned(
    name: str, options: OperationsOptions, parts: Parts, *, trust_clock: bool, quiet: bool = False
) -> CleanupReport:
    """Do some parts, with all that is around them."""
    chosen = settings()
    plan = read_plan(chosen)
    async with _cleaning(name, options, trust_clock=trust_clock) as cleanup:
        found = await parts(cleanup, plan, chosen)
        performer = cleanup.performer
        report = CleanupReport(run_id=performer.run_id, flow=name, dry_run=performer.dry_run, parts=tuple(found))
        await show_markdown(name, report_markdown(report), description=performer.run_id)
        if report.is_well or quiet:
            return report
        await post(f"{name}: not all could be cleaned", report_markdown(report))
        raise CleanupIncomplete(
            f"not all could be cleaned: {_first_trouble(report)}"[:1000],
            fix=f"see the artifact {name}; then run it again, or wait for the next run",
            run_id=report.run_id,
            report=report.model_dump(mode="json"),
        )


@asynccontextmanager
async def _cleaning(name: str, options: OperationsOptions, *, trust_clock: bool) -> AsyncGenerator[Cleanup]:
    """A cleanup with a performer, and a clock that can be trusted."""
    options = options.model_copy(update={"dry_run": _dry(options)})
    # Before all else: ledger and audit need room on the disk before anything may be deleted from it.
    await in_thread(drop_ballast, settings().agents_home.expanduser())
    async with operating(name, options) as performer:
        files, clock = open_store(), Clock()
        if not trust_clock:
            clock.compare(await in_thread(read_witness, files))
        yield Cleanup(performer, files, clock)
        try:
            await in_thread(keep_witness, files, clock)
        except StoreFailed as error:  # a full disk; the next run compares with an older one
            log.warning("cleanup_clock_not_kept", error=error.message)


async def _audio(cleanup: Cleanup, plan: CleanupPlan, _: "Settings") -> list[Part]:
    return await audio_parts(cleanup, plan)


async def _evidence(cleanup: Cleanup, _: CleanupPlan, chosen: "Settings") -> list[Part]:
    return await evidence_parts(cleanup, chosen)


async def _all(cleanup: Cleanup, plan: CleanupPlan, chosen: "Settings") -> list[Part]:
    parts = [*await logs_parts(cleanup, plan, chosen), *await audio_parts(cleanup, plan)]
    parts += await evidence_parts(cleanup, chosen)
    if chosen.skip_cache:
        return [*parts, Part(name="cache", place="", why="SKIP_CACHE")]
    return [*parts, *await cache_parts(cleanup, plan, chosen)]


async def _urgent(cleanup: Cleanup, plan: CleanupPlan, chosen: "Settings") -> list[Part]:
    """Clean until no disk is above the threshold."""
    parts = await logs_parts(cleanup, plan, chosen, urgent=True)
    if _full(plan, chosen) or cleanup.performer.dry_run:
        parts += await audio_parts(cleanup, plan, urgent=True)
    if not chosen.skip_cache and (_full(plan, chosen) or cleanup.performer.dry_run):
        parts += await cache_parts(cleanup, plan, chosen)
    return parts


def _dry(options: OperationsOptions) -> bool:
    return options.dry_run or settings().dry_run


def _full(plan: CleanupPlan, chosen: "Settings") -> list[Disk]:
    return [one for one in disks_of(watched(plan, chosen)) if one.fullest_percent > chosen.disk_threshold]


def _first_trouble(report: CleanupReport) -> str:
    part = next(one for one in report.parts if not one.is_well)
    path, why = part.troubles[0] if part.troubles else (part.place, part.why)
    return f"{part.name}: {path}: {why}"
