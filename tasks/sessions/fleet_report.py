"""What came of a fleet, for programs and for people."""

from collections.abc import Sequence
from datetime import UTC, datetime

from pydantic import Field

from blocks.errors import C500Error
from blocks.iiagent.books import hint
from blocks.markdown import code
from blocks.model import Frozen
from blocks.plain_text import cut, plain
from blocks.rows.report import RowsReport
from tasks.sessions.fleet_books import JobResult
from tasks.sessions.fleet_jobs import ReadyJob
from tasks.sessions.fleet_plan import FleetPlan
from tasks.sessions.fleet_run import FleetRun

MOST_ROWS = 200


class FleetFailed(C500Error):
    """More jobs of a fleet failed than may."""

    code = "FLEET_FAILED"


class JobLine(Frozen):
    """A job in a report.

    Attributes:
        name: Which.
        outcome: What its task came to; `error` where it broke off.
        told: The same in words.
        server: Where it ran.
        session_id: Its conversation; empty where there is none.
        ui_url: Where people see that.
        files: How many were collected.
        place: Where they are.
        seconds: Of its turns.
        kept: Whether it was done before, and not begun now.
    """

    name: str
    outcome: str
    told: str
    server: str = ""
    session_id: str = ""
    ui_url: str | None = None
    files: int = 0
    place: str = ""
    seconds: float = 0.0
    kept: bool = False


class FleetReport(Frozen):
    """What came of a fleet.

    Attributes:
        fleet_id: The same for the same fleet.
        plan: What was planned.
        dry_run: Whether nothing was begun.
        jobs: All jobs, in their order; of a rehearsal those that are done.
        done: Jobs that are done, now or before.
        failed: Jobs that are not.
        kept: Jobs that were done before.
        quarantined: Servers that got no more jobs, with why.
        hints: What to do about servers.
        seconds: How long this run took.
        folder: Where what came of each job is kept whole, as JSON.
    """

    fleet_id: str
    plan: FleetPlan
    dry_run: bool = False
    jobs: tuple[JobLine, ...] = ()
    done: int = 0
    failed: int = 0
    kept: int = 0
    quarantined: dict[str, str] = Field(default_factory=dict)
    hints: tuple[str, ...] = ()
    seconds: float = 0.0
    folder: str = ""

    def is_within(self, allow_failures: float) -> bool:
        """Whether no larger share of the jobs failed than may."""
        return self.failed <= allow_failures * self.plan.jobs + 1e-9  # 0.29 × 100 is less than 29

    def check(self, allow_failures: float) -> "FleetReport":
        """The report itself. Raises `FleetFailed` where a larger share of the jobs failed than may."""
        if self.is_within(allow_failures):
            return self
        raise FleetFailed(
            f"{self.failed} of {self.plan.jobs} jobs failed, and {allow_failures:.0%} may",
            fix="look at the report; the same call goes on with those that are not done",
            fleet_id=self.fleet_id,
            failed=self.failed,
            done=self.done,
        )


def report_of(
    fleet_id: str, run: FleetRun, jobs: Sequence[ReadyJob], kept: dict[str, JobResult], seconds: float
) -> FleetReport:
    """The report of a fleet that has ended."""
    results = kept | run.results
    lines = tuple(_line(results[job.name], kept=job.name in kept) for job in jobs if job.name in results)
    done = sum(line.outcome == "done" for line in lines)
    return FleetReport(
        fleet_id=fleet_id,
        plan=run.plan,
        jobs=lines,
        done=done,
        failed=len(jobs) - done,
        kept=len(kept),
        quarantined=run.quarantined,
        hints=tuple(told for server in run.servers if (told := hint(server.name))),
        seconds=round(seconds, 3),
        folder=str(run.books.folder),
    )


def rows_of(report: FleetReport, flow_run_id: str) -> RowsReport:
    """The same in the few figures that the store keeps; nobody knows what jobs on agents' servers cost."""
    left = report.plan.jobs - len(report.jobs)
    return RowsReport(
        kind="fleet",
        report_id=report.fleet_id,
        names=(flow_run_id,),
        rows=report.plan.jobs,
        out=report.done,
        failed=len(report.jobs) - report.done,
        left=left,
        outcome="complete" if not report.failed else "not complete" if left else "with failures",
        seconds=report.seconds,
        finished_at=datetime.now(UTC),
    )


def plan_markdown(plan: FleetPlan) -> str:
    """The plan, before anything begins."""
    limits = [f"| {limit.name} | {limit.sessions} | {limit.how} |" for limit in plan.limits]
    shares = [
        f"| {share.server} | {share.sessions} | {limit.name} | {limit.sessions} | {limit.how} |"
        for share in plan.servers
        for limit in share.limits
    ]
    asked = "as many as can" if plan.asked is None else str(plan.asked)
    return "\n".join(
        [
            "# Plan of a fleet",
            "",
            f"- {plan.jobs} jobs; sessions at once: **{plan.slots}** (asked for: {asked})",
            f"- **{plan.binding.name}** binds: {plan.binding.sessions} ({plan.binding.how})",
            "",
            "| limit | sessions | how |",
            "|---|---|---|",
            *limits,
            "",
            "| server | sessions | limit | sessions | how |",
            "|---|---|---|---|---|",
            *shares,
            *[f"\n{share.hint}" for share in plan.servers if share.hint],
        ]
    )


def fleet_markdown(report: FleetReport) -> str:
    """The report, as the Prefect UI and the terminal show it."""
    if report.dry_run:
        return plan_markdown(report.plan)
    rows = [_row(line) for line in report.jobs[:MOST_ROWS]]
    hidden = [f"and {len(report.jobs) - MOST_ROWS} more"] if len(report.jobs) > MOST_ROWS else []
    return "\n".join(
        [
            "# Fleet",
            "",
            f"- {report.done} of {report.plan.jobs} jobs done ({report.kept} of them before), {report.failed} not",
            f"- {report.seconds:.1f} s, {report.plan.slots} sessions at once; {report.plan.binding.name} binds",
            *[f"- **{name} is quarantined**: {plain(why)}" for name, why in report.quarantined.items()],
            *[f"- {told}" for told in report.hints],
            "",
            "| job | outcome | server | session | files | seconds |",
            "|---|---|---|---|---|---|",
            *rows,
            *hidden,
            "",
            f"What came of each job: {code(report.folder)}",
        ]
    )


def progress_rows(run: FleetRun) -> list[dict[str, str]]:
    """How far a fleet is, by server."""
    return [
        {
            "server": name,
            "at work": str(place.busy),
            "ended": str(place.ended),
            "failures in a row": str(place.failures),
            "": "quarantined" if name in run.quarantined else "",
        }
        for name, place in run.places.items()
    ]


def _row(line: JobLine) -> str:
    session = f"[{line.session_id}]({line.ui_url})" if line.ui_url else code(line.session_id or "-")
    told = code(cut(plain(line.told), 200).replace("|", "¦"))
    return f"| {code(line.name)} | {told} | {line.server} | {session} | {line.files} | {line.seconds:.1f} |"


def _line(one: JobResult, *, kept: bool) -> JobLine:
    result = one.result
    if result is None:
        return JobLine(name=one.name, outcome="error", told=cut(one.error, 1000), server=one.server, kept=kept)
    return JobLine(
        name=one.name,
        outcome=result.outcome.kind,
        told=cut(result.told, 1000),
        server=one.server,
        session_id=result.session_id,
        ui_url=result.ui_url,
        files=0 if result.files is None else len(result.files.files),
        place="" if result.files is None else result.files.place,
        seconds=result.counters.seconds,
        kept=kept,
    )
