"""What became of a batch: coverage by group, counted in the written file itself, cost, agreement and what is left."""

import csv
from collections import Counter
from datetime import UTC, datetime
from itertools import islice

from blocks.errors import C500Error
from blocks.model import Frozen
from blocks.rows.read import LONGEST_ROW_BYTES
from blocks.rows.report import RowsReport
from tasks.batch_prompts.cells import safe_cell
from tasks.batch_prompts.estimate import Estimate
from tasks.batch_prompts.keys import whole_number
from tasks.batch_prompts.ledger import Ledger
from tasks.batch_prompts.output import header
from tasks.batch_prompts.plan import Plan
from tasks.batch_prompts.probe import Agreement
from tasks.batch_prompts.run import Tally

MOST_DEAD = 20
"""Dead letters that the report names."""

MOST_REASONS = 20


class GroupCoverage(Frozen):
    """A group.

    Attributes:
        group: Which.
        rows: Input rows.
        answered: Of these, with all their output rows.
        partial: With some of their output rows.
        review: For people to look at.
        rejected: That people rejected.
        new: Never asked.
        expected: Output rows that all its rows make.
        written: Its lines in the output file.
        missing: Output rows of answered rows that the file lacks; 0 or a fault of ours.
        duplicates: Lines of the file for a row and key that has one already, or that there is not; 0 or a fault of
            ours.
        blanks: Empty cells of the file in columns that may not be empty; 0 or a fault of ours.
        attempts: Questions in which its rows were asked, each row counted.
        cost_usd: Of all questions, over all runs.
        unpriced: Rows with a question of unknown price.
    """

    group: str
    rows: int = 0
    answered: int = 0
    partial: int = 0
    review: int = 0
    rejected: int = 0
    new: int = 0
    expected: int = 0
    written: int = 0
    missing: int = 0
    duplicates: int = 0
    blanks: int = 0
    attempts: int = 0
    cost_usd: float = 0.0
    unpriced: int = 0

    @property
    def left(self) -> int:
        """Rows to do."""
        return self.new + self.partial


class DeadLetter(Frozen):
    """A row whose group is none of the plan's."""

    row: int
    group: str


class FailedRow(Frozen):
    """A row for people to look at."""

    row: int
    group: str
    reason: str
    review: str | None


class BatchPromptsReport(Frozen):
    """What became of a batch.

    Attributes:
        name: Of the plan.
        plan_id: Of the plan and its output.
        output: The CSV file; the XLSX file has the same name.
        ledger: The ledger's file.
        groups: Coverage by group.
        dead: Rows of no known group; all of them are in `<output>.dead.csv`.
        dead_rows: How many.
        failed: Rows for people to look at; the first ones.
        questions: Of this run.
        repairs: Of these, those that asked for what was missing.
        answered: Rows that this run answered.
        from_people: Rows that people answered since the last run.
        seconds: Of this run.
        cost_usd: Of this run.
        by_account: Questions of this run by account, or by session.
        pilot: Rows of each group that a pilot did; None for a whole run.
        estimate: Of the rows that are left, after a pilot or for a dry run.
        agreement: Of the probe.
        dry_run: Whether nothing was asked.
        halted: Why it ended before its end.
    """

    name: str
    plan_id: str
    output: str
    ledger: str
    groups: tuple[GroupCoverage, ...]
    dead: tuple[DeadLetter, ...] = ()
    dead_rows: int = 0
    failed: tuple[FailedRow, ...] = ()
    questions: int = 0
    repairs: int = 0
    answered: int = 0
    from_people: int = 0
    seconds: float = 0.0
    cost_usd: float = 0.0
    by_account: dict[str, int] = {}  # noqa: RUF012 - pydantic copies it
    pilot: int | None = None
    estimate: Estimate | None = None
    agreement: tuple[Agreement, ...] = ()
    dry_run: bool = False
    halted: str | None = None

    @property
    def rows(self) -> int:
        """Input rows of known groups."""
        return sum(one.rows for one in self.groups)

    @property
    def left(self) -> int:
        """Rows to do."""
        return sum(one.left for one in self.groups)

    @property
    def is_complete(self) -> bool:
        """Whether every row is answered, exactly once, and none is of an unknown group."""
        whole = all(one.answered == one.rows and one.written == one.expected for one in self.groups)
        return whole and not self.dead_rows and not any(self.faults)

    @property
    def faults(self) -> tuple[int, int, int]:
        """Missing, doubled and blank in the file itself; all 0, or a fault of ours."""
        groups = self.groups
        return sum(g.missing for g in groups), sum(g.duplicates for g in groups), sum(g.blanks for g in groups)


def report_of(plan: Plan, ledger: Ledger, tally: Tally) -> BatchPromptsReport:
    """The report of the ledger and the output as they are now. Blocks."""
    dead, dead_rows = islice(ledger.dead(), MOST_DEAD), ledger.dead_rows()
    failed = ledger.failed()
    return BatchPromptsReport(
        name=plan.file.name,
        plan_id=plan.plan_id,
        output=str(plan.place(".csv")),
        ledger=str(ledger.path),
        groups=coverage_of(plan, ledger),
        dead=tuple(DeadLetter(row=item.number, group=item.group) for item in dead),
        dead_rows=dead_rows,
        failed=tuple(
            FailedRow(row=one.item.number, group=one.item.group, reason=one.reason[:500], review=one.review)
            for one in failed[:MOST_REASONS]
        ),
        questions=tally.asked,
        repairs=tally.repairs,
        answered=tally.answered,
        seconds=round(tally.elapsed_s, 3),
        cost_usd=round(tally.cost_usd, 9),
        by_account=tally.by_account,
    )


def rows_of(plan: Plan, report: BatchPromptsReport, halted: C500Error | None, flow_run_id: str) -> RowsReport:
    """The same in the few figures that the store keeps; rows that the file lacks, doubles or has blanks in are missing.

    Args:
        plan: The plan.
        report: Of a run.
        halted: Why that ended early.
        flow_run_id: Of Prefect.
    """
    groups = report.groups
    answered = sum(one.answered for one in groups)
    missing = min(answered, sum(max(0, count) for count in report.faults))
    return RowsReport(
        kind="batch of prompts",
        report_id=report.plan_id,
        names=(plan.job_name, flow_run_id),
        rows=report.rows + report.dead_rows,
        out=answered - missing,
        failed=sum(one.review + one.rejected for one in groups) + report.dead_rows,
        left=report.left,
        missing=missing,
        outcome="ended early: " + halted.code if halted else "complete" if report.is_complete else "not complete",
        cost_usd=report.cost_usd,
        seconds=report.seconds,
        finished_at=datetime.now(UTC),
    )


def coverage_of(plan: Plan, ledger: Ledger) -> tuple[GroupCoverage, ...]:
    """Coverage by group: what the ledger says, beside what a reader finds in the file."""
    facts: dict[str, Counter[str]] = {group: Counter() for group in plan.templates}
    costs: Counter[str] = Counter()
    for group, status, rows, attempts, cost_usd, unpriced in ledger.counts():
        facts[group].update({status: rows, "rows": rows, "attempts": attempts, "unpriced": unpriced})
        costs[group] += cost_usd  # type: ignore[assignment] - a Counter of dollars
    found = _read_back(plan, ledger.dead_rows() + sum(count["rows"] for count in facts.values()))
    units = len(plan.per_row.units)
    return tuple(
        GroupCoverage(
            group=group,
            **{name: count[name] for name in ("rows", "answered", "partial", "review", "rejected", "new")},
            attempts=count["attempts"],
            unpriced=count["unpriced"],
            cost_usd=round(costs[group], 9),
            expected=count["rows"] * units,
            written=found[group]["written"],
            missing=count["answered"] * units - (found[group]["written"] - found[group]["duplicates"]),
            duplicates=found[group]["duplicates"],
            blanks=found[group]["blanks"],
        )
        for group, count in facts.items()
    )


def _read_back(plan: Plan, rows: int) -> dict[str, Counter[str]]:
    """What a reader finds in the written CSV file of a table of so many rows, by group; nothing where there is none."""
    found: dict[str, Counter[str]] = {group: Counter() for group in plan.templates}
    names, path = header(plan), plan.place(".csv")
    if not path.exists():
        return found
    needed = [names.index(name) for name, column in plan.file.columns.items() if not column.optional]
    own = [names.index(name) for name in plan.per_row.names]
    # A byte for each output row: a set of them would take a gigabyte for 100,000 rows of 50.
    of_group, seen = names.index(plan.file.group_column), bytearray(rows * len(plan.per_row.units))
    places = {tuple(str(safe_cell(value)) for value in unit): at for unit, at in plan.per_row.place.items()}
    safe = {safe_cell(group): group for group in plan.templates}
    csv.field_size_limit(2 * LONGEST_ROW_BYTES)  # what a row can hold, and what makes it safe
    # It may have been saved by a spreadsheet since, in another form.
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        lines = csv.reader(file)
        if next(lines, None) != [safe_cell(name) for name in names]:
            return found  # of an earlier plan, before a dry run
        for line in lines:
            if len(line) != len(names):
                continue
            number, unit = whole_number(line[0]), places.get(tuple(line[at] for at in own))
            group = safe.get(line[of_group])
            if group is None:
                continue
            found[group]["written"] += 1
            found[group]["blanks"] += sum(not line[at].strip() for at in needed)
            if unit is None or number is None or not 1 <= number <= rows:
                found[group]["duplicates"] += 1
                continue
            place = (number - 1) * len(places) + unit
            found[group]["duplicates"] += seen[place]
            seen[place] = 1
    return found
