"""Full disks, healed by rules."""

from prefect import flow

from blocks.hosts import read_inventory
from blocks.resource_locks import ResourceLocks
from blocks.store import open_store
from flows.operating import keep_report, operating, post, report_key, show_markdown
from tasks.ops.disk.report import HealReport, headline, report_markdown
from tasks.ops.disk.rules import read_rules, rules_of
from tasks.ops.options import DEFAULTS, OperationsOptions
from tasks.ops.run_records import RunRecords
from tasks.ops.worded import worded

KEPT = "operations/disks"


@flow(name="heal-disk", persist_result=False)
async def heal_disk(rules: str = "", options: OperationsOptions = DEFAULTS) -> HealReport:
    """Find what fills the disks of hosts, and do the safe actions of the rules until there is room.

    Each action is measured by statvfs before and after; one that makes no room ends it, unless its rule says
    otherwise. Where the rules are exhausted, the operators get a report. Nothing is deleted that no rule names.

    Args:
        rules: The file; docs/operations/disk.md shows its form. Empty: those that the run began with, or the usual
            ones.
        options: Dry run, profile, who for; `run_id` goes on with a run that died.

    Returns:
        What came of each disk; it lies in the store as well. A disk that stays full fails no flow.

    Raises:
        BadInput, NotFound: the rules, the inventory or the policy are wrong; then nothing was done.
        Conflict: `run_id` is that of a run with other rules.
        Stopped: a switch stopped it; the same `run_id` goes on.
    """
    from tasks.ops.disk.heal import heal_hosts

    files = open_store()
    path = rules_of(rules, RunRecords(files).subject(options.run_id, "heal-disk"))
    read, inventory = read_rules(path), read_inventory()
    async with operating("heal-disk", options, str(path), same_subject=True) as performer:
        disks = await heal_hosts(performer, read, inventory, ResourceLocks(files))
        report = HealReport(run_id=performer.run_id, rules=str(path), dry_run=performer.dry_run, disks=disks)
        has_news = any(one.status != "well" for one in disks)
        if has_news:
            report = await worded(performer, report, report_markdown(report))
        text = report_markdown(report)
        await keep_report(report_key(KEPT, report.run_id, dry_run=report.dry_run), report)
        await show_markdown(f"heal-disk-{report.run_id}", text, headline(report))
        if has_news and not performer.dry_run:
            await post(headline(report), text)
        return report
