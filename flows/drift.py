"""Drift: what was declared against what is there."""

from collections.abc import Sequence
from pathlib import Path

from prefect import flow

from blocks.hosts import read_inventory
from blocks.store import open_store
from flows.operating import keep_report, operating, post, report_key, show_markdown
from tasks.ops.deed import Outcome
from tasks.ops.drift.report import DriftReport, headline, report_markdown
from tasks.ops.options import DEFAULTS, OperationsOptions
from tasks.ops.worded import worded

KEPT = "operations/drift"


@flow(name="detect-drift", persist_result=False)
async def detect_drift(
    declared: str, options: OperationsOptions = DEFAULTS, only: Sequence[str] = (), correct: bool = True
) -> DriftReport:
    """Compare files, packages, units, users, objects of Kubernetes and resources of Terraform with what is declared.

    What the declared state marks as safe is corrected, and what was before kept, so that it can be taken back. What
    could not be looked at is told as unknown, never as no drift.

    Args:
        declared: The file; docs/operations/drift.md shows its form.
        options: Dry run, profile, who for; `run_id` goes on with a run that died.
        only: Names of targets, clusters and folders; empty for all.
        correct: Whether anything is corrected.

    Returns:
        What was found; it lies in the store as well. Drift fails no flow.

    Raises:
        BadInput, NotFound: the declared state, the inventory or the policy are wrong; then nothing was done.
        Conflict: `run_id` is that of a run about another file.
        Stopped: a switch stopped it; the same `run_id` goes on.
    """
    # Within: its forms take a moment to build, which every other flow would pay.
    from tasks.ops.drift.declared import read_declared
    from tasks.ops.drift.detect import detect

    read, inventory, files = read_declared(Path(declared)), read_inventory(), open_store()
    subject = str(Path(declared).expanduser().absolute())
    async with operating("detect-drift", options, subject, same_subject=True) as performer:
        found = await detect(performer, read, inventory, files, only=only, correct=correct)
        report = DriftReport(run_id=performer.run_id, declared=declared, dry_run=performer.dry_run, found=found)
        has_news = not report.ok or any(one.correction for one in found)
        if has_news:
            report = await worded(performer, report, report_markdown(report))
        text = report_markdown(report)
        await keep_report(report_key(KEPT, report.run_id, dry_run=report.dry_run), report)
        await show_markdown(f"drift-{report.run_id}", text, headline(report))
        if has_news and not performer.dry_run:
            await post(headline(report), text)
        return report


@flow(name="undo-drift", persist_result=False)
async def undo_drift(run: str, options: OperationsOptions = DEFAULTS) -> list[Outcome]:
    """Take the corrections of a run of `detect-drift` back, the latest first; a file that somebody changed is left.

    Args:
        run: Its `run_id`.
        options: Dry run, profile, who for.

    Returns:
        What came of each.

    Raises:
        NotFound: the run has corrected nothing.
        Conflict: `run_id` is that of a run about another one's corrections.
        Stopped: a switch stopped it; the same `run_id` goes on.
    """
    from tasks.ops.drift.correct import corrections_of, take_back

    corrections, inventory = corrections_of(open_store(), run), read_inventory()
    async with operating("undo-drift", options, run, same_subject=True) as performer:
        outcomes = await take_back(performer, inventory, corrections)
        lines = [f"- {one.status}: {one.says}{f' ({one.why})' if one.why else ''}" for one in outcomes]
        await show_markdown(f"undo-drift-{performer.run_id}", "\n".join(lines), run)
        return outcomes
