"""What agents leave behind, taken away at night: old trash, effects, results, workspaces, approvals, reviews."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import structlog
from prefect import flow
from prefect.artifacts import acreate_markdown_artifact
from pydantic import Field

from blocks.errors import C500Error, Conflict
from blocks.logs import configure_logs
from blocks.model import Frozen
from blocks.progress import in_thread, only_informing
from blocks.settings import settings
from blocks.store import open_store
from blocks.store.scratch import locked
from blocks.subjects.held import ids_held
from tasks.agents import sweep
from tasks.agents.disused import Gone, trouble

DAY_S = 86_400.0
LONGEST_S = 4 * 3600
"""Seconds after which a sweep ends; the next one goes on where it was."""

ARTIFACT = "agents-housekeeping"
LOCK = ".sweep.lock"
SHOWN = 50
"""Effects in doubt, and troubles, that the page of a sweep shows."""

log = structlog.stdlib.get_logger("c500")


class SweepIncomplete(C500Error):
    """Something could not be taken away; all else was."""

    code = "SWEEP_INCOMPLETE"


class SweepReport(Frozen):
    """What a sweep did.

    Attributes:
        gone: What was taken away, by what it was.
        in_doubt: Ids of effects of which nobody knows whether they happened; they are kept until a person says.
    """

    gone: dict[str, Gone] = Field(default_factory=dict[str, Gone])
    in_doubt: tuple[str, ...] = ()

    @property
    def troubles(self) -> tuple[str, ...]:
        """What could not be done, and why."""
        return tuple(f"{name}: {text}" for name, part in self.gone.items() for text in part.troubles)


@flow(name="sweep-agents", persist_result=False, timeout_seconds=LONGEST_S)
async def sweep_agents() -> SweepReport:
    """Take away what agents have left on this machine and nobody needs any more.

    A sweep that was killed is finished by the next one; a second one finds nothing to do.

    Returns:
        What was taken away, and which effects are in doubt.

    Raises:
        SweepIncomplete: something could not be taken away, or looked at; all else was, and the report is in the
            artifact `agents-housekeeping`.
        Conflict: another sweep is at it.
        StoreFailed: it is not known what is on legal hold; then nothing goes.
    """
    configure_logs()
    home = settings().agents_home.expanduser()
    if not home.exists():
        return SweepReport()
    with locked(home / LOCK, wait=False) as alone:
        if not alone:
            raise Conflict("another sweep is at it", fix="wait until it has ended")
        report = await _swept(home.resolve(), datetime.now(UTC))
    await _show(report)
    if report.troubles:
        raise SweepIncomplete(
            f"not all could be swept: {report.troubles[0]}"[:1000],
            fix=f"see the artifact {ARTIFACT}; the next sweep tries again",
            troubles=len(report.troubles),
        )
    return report


async def _swept(home: Path, now: datetime) -> SweepReport:
    """All parts, one after the other: runs are retired before anything by which they would go on is forgotten."""
    chosen, files = settings(), open_store()
    kept_s, effects_s = chosen.run_retention_days * DAY_S, chosen.effects_days * DAY_S
    resumable_s = min(kept_s, effects_s)
    held = await in_thread(ids_held, files)
    gone = {
        "trash": await _part(sweep.purge_trash, home, chosen.trash_days * DAY_S, held),
        "runs retired": await _part(sweep.retire_runs, home, files, resumable_s, effects_s, now, held),
        "results": await _part(sweep.remove_folders, home, files, "results", held),
        "decisions": await _part(sweep.remove_folders, home, files, "runs", held),
        "workspaces": await _part(sweep.discard_workspaces, home, files, kept_s, effects_s, now, held),
        "effects": await _part(sweep.forget_effects, home, effects_s, held),
        "approvals": await _part(sweep.purge_approvals, files, kept_s, now, held),
        "reviews": await _part(sweep.purge_reviews, files, kept_s, now, held),
    }
    doubts: tuple[str, ...] = ()
    try:
        doubts = await in_thread(sweep.effects_in_doubt, home, files)
    except (C500Error, OSError) as error:
        gone["effects"] += trouble(error)
    return SweepReport(gone=gone, in_doubt=doubts)


async def _part(work: Callable[..., Gone], *args: object) -> Gone:
    """Do a part; one that fails stops no other."""
    try:
        return await in_thread(work, *args)
    except (C500Error, OSError) as error:
        return trouble(error)


async def _show(report: SweepReport) -> None:
    for text in report.troubles:
        log.error("agents_not_swept", trouble=text)
    if report.in_doubt:
        log.warning("agents_effects_in_doubt", count=len(report.in_doubt), effects=list(report.in_doubt[:SHOWN]))
    log.info("agents_swept", **{name.replace(" ", "_"): part.count for name, part in report.gone.items()})
    async with only_informing("housekeeping"):
        await acreate_markdown_artifact(key=ARTIFACT, markdown=page(report))


def page(report: SweepReport) -> str:
    """A report for the Prefect UI."""
    rows = [f"| {name} | {part.count} | {part.size_bytes:,} |" for name, part in report.gone.items()]
    lines = ["| what | how many | bytes |", "|---|---|---|", *rows]
    if report.in_doubt:
        lines += ["", "**In doubt** – nobody knows whether they happened; `c500 effects list`:", ""]
        lines += _listed(report.in_doubt)
    if report.troubles:
        lines += ["", "**Not done:**", "", *_listed(report.troubles)]
    return "\n".join(lines)


def _listed(texts: tuple[str, ...]) -> list[str]:
    more = [f"- … {len(texts) - SHOWN} more"] if len(texts) > SHOWN else []
    return [*(f"- `{' '.join(text.replace('`', '').split())}`" for text in texts[:SHOWN]), *more]
