"""Full disks, healed by rules."""

from pathlib import Path

from prefect import flow

from blocks.hosts import read_inventory
from blocks.resource_locks import ResourceLocks
from blocks.store import open_store
from flows.operating import keep_report, operating, post, show_markdown
from tasks.ops.disk.report import HealReport, headline, report_markdown
from tasks.ops.disk.rules import USUAL, read_rules
from tasks.ops.options import DEFAULTS, OperationsOptions
from tasks.ops.worded import worded

KEPT = "operations/disks"


@flow(name="heal-disk", persist_result=False)
async def heal_disk(rules: str = "", options: OperationsOptions = DEFAULTS) -> HealReport:
    """Find what fills the disks of hosts, and do the safe actions of the rules until there is room.

    Each action is measured by statvfs before and after; one that makes no room ends it, unless its rule says
    otherwise. Where the rules are exhausted, the operators get a report. Nothing is deleted that no rule names.

    Args:
        rules: The file; docs/operations/disk.md shows its form. Empty: the usual ones.
        options: Dry run, profile, who for; `run_id` goes on with a run that died.

    Returns:
        What came of each disk; it lies in the store as well. A disk that stays full fails no flow.

    Raises:
        BadInput, NotFound: the rules, the inventory or the policy are wrong; then nothing was done.
        Stopped: a switch stopped it; the same `run_id` goes on.
    """
    from tasks.ops.disk.heal import heal_hosts

    path = Path(rules) if rules else USUAL
    read, inventory, files = read_rules(path), read_inventory(), open_store()
    async with operating("heal-disk", options, str(path)) as performer:
        disks = await heal_hosts(performer, read, inventory, ResourceLocks(files))
        report = HealReport(run_id=performer.run_id, rules=str(path), dry_run=performer.dry_run, disks=disks)
        has_news = any(one.status != "well" for one in disks)
        if has_news:
            report = await worded(performer, report, report_markdown(report))
        text = report_markdown(report)
        await keep_report(f"{KEPT}/{report.run_id}/report.json", report)
        await show_markdown(f"heal-disk-{report.run_id}", text, headline(report))
        if has_news and not performer.dry_run:
            await post(headline(report), text)
        return report
