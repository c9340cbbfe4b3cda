"""What a swarm has done, for programs and for people."""

from datetime import UTC, datetime

from blocks.accounts.costs import JobCost
from blocks.contracts.broken import ContractBroken
from blocks.model import Frozen
from blocks.rows.report import RowsReport
from tasks.swarm.estimate import Estimate
from tasks.swarm.pace import duration, pace
from tasks.swarm.run import SwarmRun

LEAST_SPILL = 0.005
LEAST_USD = 5e-7
"""Below these nothing is told."""


class AccountShare(Frozen):
    """What one account did in this run.

    Attributes:
        account: Its name.
        rows: Rows it answered.
        tokens: Sent and answered.
        cost_usd: Dollars.
    """

    account: str
    rows: int
    tokens: int
    cost_usd: float


class SwarmReport(Frozen):
    """What came of a swarm, or of its rehearsal.

    Attributes:
        swarm_id: The same for the same question and output; in the books as the job `swarm-<id>`.
        output: The answers.
        failures: Where the rows that failed are.
        dry_run: Whether nothing was asked.
        rows: Rows of the source.
        found: Rows that were answered before.
        answered: Rows answered in this run.
        failed: Rows that failed in this run.
        failed_in_all: Rows that failed, in this run or before, and are not answered.
        fallbacks: Rows of this run with the caller's own value.
        cut: Texts of this run that ended at the most tokens allowed.
        cost_usd: Of the answers that arrived in this run.
        cost_usd_in_all: The same of all rows that have a line, over all runs.
        booked: What the books say; None for a rehearsal, and when they cannot be read.
        unpriced: Rows of unknown price; their cost is missing.
        seconds: How long this run took.
        accounts: What each did.
        estimate: What was expected.
    """

    swarm_id: str
    output: str
    failures: str
    dry_run: bool = False
    rows: int
    found: int
    answered: int = 0
    failed: int = 0
    failed_in_all: int = 0
    fallbacks: int = 0
    cut: int = 0
    cost_usd: float = 0.0
    cost_usd_in_all: float = 0.0
    booked: JobCost | None = None
    unpriced: int = 0
    seconds: float = 0.0
    accounts: tuple[AccountShare, ...] = ()
    estimate: Estimate

    @property
    def left(self) -> int:
        """Rows that were to be done in this run and were not."""
        return self.estimate.due - self.answered - self.failed

    @property
    def rate_per_s(self) -> float:
        """Rows a second."""
        return (self.answered + self.failed) / self.seconds if self.seconds else 0.0


def report_of(run: SwarmRun, expected: Estimate) -> SwarmReport:
    """The report of a run; its ledger is still open."""
    tally, ledger = run.tally, run.ledger
    return SwarmReport(
        swarm_id=run.job.swarm_id,
        output=run.job.output,
        failures=str(ledger.places.failures),
        rows=run.survey.rows,
        found=run.survey.answered,
        answered=tally.answered,
        failed=tally.failed,
        failed_in_all=ledger.failed,
        fallbacks=tally.fallbacks,
        cut=tally.cut,
        cost_usd=round(tally.cost_usd, 9),
        cost_usd_in_all=round(ledger.cost_usd, 9),
        unpriced=tally.unpriced,
        seconds=round(tally.elapsed_s, 3),
        accounts=tuple(
            AccountShare(account=name, rows=own.rows, tokens=own.tokens, cost_usd=round(own.cost_usd, 9))
            for name, own in sorted(tally.accounts.items())
        ),
        estimate=expected,
    )


def rows_of(run: SwarmRun, report: SwarmReport, flow_run_id: str) -> RowsReport:
    """The same in the few figures that the store keeps.

    Args:
        run: The run, at its end.
        report: Its report.
        flow_run_id: Of Prefect.
    """
    survey, halted = run.survey, run.halted
    others = survey.rows - survey.answered - survey.due  # failed before; where only these are retried, never asked
    if run.job.retry_failed:
        failed, left = report.failed + report.left, others  # what was not tried again has failed all the same
    else:
        failed, left = report.failed + others, report.left
    missing = halted.details["count"] if isinstance(halted, ContractBroken) and _is_of_rows(halted) else 0
    never = min(missing, left)  # those that no line was written for, and that the tally has not counted either
    return RowsReport(
        kind="swarm",
        report_id=report.swarm_id,
        names=(run.job.job_name, flow_run_id),
        rows=report.rows,
        out=max(0, report.found + report.answered - missing + never),
        failed=failed,
        left=left - never,
        missing=missing,
        outcome="ended early: " + halted.code if halted else "complete" if not failed else "with failures",
        cost_usd=None if report.unpriced else report.cost_usd,
        seconds=report.seconds,
        finished_at=datetime.now(UTC),
    )


def _is_of_rows(error: ContractBroken) -> bool:
    """Whether rows were dropped or doubled, each a fault."""
    return error.details.get("contract") == "crossing"


def progress_table(run: SwarmRun) -> list[dict[str, str]]:
    """How far a run is: a row for all, and one for each account."""
    tally = run.tally
    whole = {
        "account": "all",
        "rows": f"{tally.ended:,} of {tally.due:,}",
        "failed": f"{tally.failed:,}",
        "cost": f"${tally.cost_usd:.4f}",
        "pace": pace(tally),
    }
    accounts = [
        {"account": name, "rows": f"{own.rows:,}", "failed": "", "cost": f"${own.cost_usd:.4f}", "pace": ""}
        for name, own in sorted(tally.accounts.items())
    ]
    return [whole, *accounts]


def report_markdown(report: SwarmReport) -> str:
    """The report, as the Prefect UI and the terminal show it."""
    if report.dry_run:
        return "\n".join(["# Swarm, rehearsed", "", *_counts(report), *estimate_lines(report.estimate)])
    accounts = [f"| {one.account} | {one.rows:,} | {one.tokens:,} | ${one.cost_usd:.6f} |" for one in report.accounts]
    table = ["", "| account | rows | tokens | cost |", "|---|---|---|---|", *accounts] if accounts else []
    return "\n".join(["# Swarm", "", *_counts(report), *table, "", f"Answers in `{report.output}`."])


def _counts(report: SwarmReport) -> list[str]:
    lines = [f"- {report.rows:,} rows, {report.found:,} answered before"]
    if not report.dry_run:
        lines += [
            f"- {report.answered:,} answered and {report.failed:,} failed in {duration(report.seconds)}"
            f" ({report.rate_per_s:.1f}/s)",
            f"- ${report.cost_usd:.6f} in this run, ${report.cost_usd_in_all:.6f} in all, for answers that arrived",
        ]
    if report.booked is not None and not report.dry_run:
        lines.append(_booked(report, report.booked))
    told = {
        f"{report.failed_in_all:,} have failed, with reasons in `{report.failures}`": report.failed_in_all,
        f"{report.left:,} were not done": 0 if report.dry_run else report.left,
        f"{report.fallbacks:,} have the fallback's value": report.fallbacks,
        f"{report.cut:,} texts end at the most tokens allowed": report.cut,
        f"{report.unpriced:,} rows have no known price": report.unpriced,
    }
    return [*lines, *(f"- {line}" for line, count in told.items() if count)]


def _booked(report: SwarmReport, booked: JobCost) -> str:
    """How the sum of `c500 costs` comes about."""
    parts = list[str]()
    if (unwritten := booked.arrived_usd - report.cost_usd_in_all) > LEAST_USD:
        parts.append(f"${unwritten:.6f} for answers without a line (broken off, or since removed)")
    if booked.estimated_calls:
        why = "were cut off, or whose tokens nobody told"
        parts.append(f"${booked.estimated_usd:.6f} estimated, at most, for {booked.estimated_calls:,} calls that {why}")
    of_it = f"; of it {' and '.join(parts)}" if parts else ""
    return f"- ${booked.cost_usd:.6f} in the books under the job `swarm-{report.swarm_id}`{of_it}"


def estimate_lines(expected: Estimate) -> list[str]:
    """The estimate in words."""
    how = "as measured lately" if expected.latency_is_measured else "assumed: the books know no calls of it"
    bound = expected.bounds[0]
    lines = [
        f"- {expected.due:,} rows to do, by {', '.join(expected.first_choice)}",
        *_spill(expected),
        f"- {expected.prompt_tokens:,} tokens to send ({expected.counted}),"
        f" at most {expected.output_tokens_most:,} to be answered",
        f"- {_cost(expected)}",
        f"- about {duration(expected.seconds)}, {expected.latency_s:.2f} s a call ({how})",
        f"- **{bound.limit}** binds ({bound.permitted:,}): {duration(bound.seconds)}",
        *(f"- {other.limit} ({other.permitted:,}) alone: {duration(other.seconds)}" for other in expected.bounds[1:]),
    ]
    if expected.usd_left is not None:
        enough = "enough" if expected.budget_suffices else "NOT enough for the most it may cost"
        lines.append(f"- ${expected.usd_left:.4f} of the budget left: {enough}")
    if not expected.longest_fits:
        lines.append(f"- the longest prompt has about {expected.longest_tokens:,} tokens and fits NO model")
    return lines


def _spill(expected: Estimate) -> list[str]:
    """The accounts that calls go to only when the first choice has no room."""
    if not expected.spill_over:
        return []
    share = f" (about {expected.spill_share:.0%} of the rows)" if expected.spill_share >= LEAST_SPILL else ""
    return [f"- where these have no room or do not work, spilling over to {', '.join(expected.spill_over)}{share}"]


def _cost(expected: Estimate) -> str:
    if expected.cost_usd_most is None:
        return "cost unknown: a model has no price in accounts.yaml"
    most = f"${expected.cost_usd_most:.4f} at most, with one call a row"
    return most if expected.cost_usd_likely is None else f"${expected.cost_usd_likely:.4f} likely, {most}"
