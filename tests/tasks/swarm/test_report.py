"""The figures that the store keeps of a swarm: every row of the source is in one of them."""

from pathlib import Path

import pytest

from blocks.accounts.capacity import Bound
from blocks.errors import BudgetExceeded
from blocks.rows.report import RowsReport
from tasks.swarm.estimate import Estimate
from tasks.swarm.report import report_of, rows_of
from tasks.swarm.run import SwarmRun
from tests.tasks.swarm.test_crossing import Change, run_with
from tests.tasks.swarm.test_run import job_of

ROWS = [f"good {at}" for at in range(8)] + ["broken 1", "broken 2"]


def figures(run: SwarmRun) -> RowsReport:
    expected = Estimate(
        due=run.survey.due,
        models=("small",),
        accounts=("first",),
        first_choice=("first/small",),
        prompt_tokens=1,
        counted="estimated",
        longest_tokens=1,
        longest_fits=True,
        output_tokens_most=1,
        latency_s=1,
        latency_is_measured=False,
        bounds=(Bound(limit="rpm", permitted=1, seconds=1),),
        seconds=1,
    )
    return rows_of(run, report_of(run, expected), "a-flow-run")


def told(report: RowsReport) -> tuple[int, ...]:
    return report.rows, report.out, report.failed, report.left, report.missing, report.lost


async def test_every_row_is_counted_once_over_all_runs(prefect_api: str, tmp_path: Path) -> None:
    first = figures(await run_with(job_of(tmp_path, ROWS)))
    assert told(first) == (10, 8, 2, 0, 0, 0)
    assert (first.outcome, first.names) == ("with failures", (f"swarm-{first.report_id}", "a-flow-run"))
    more = job_of(tmp_path, [*ROWS, "good 9"])
    assert told(figures(await run_with(more))) == (11, 9, 2, 0, 0, 0)
    longer = job_of(tmp_path, [*ROWS, "good 9", "good 10"]).model_copy(update={"retry_failed": True})
    assert told(figures(await run_with(longer))) == (12, 9, 2, 1, 0, 0), "a new row is left by a retry"


async def test_what_a_halted_swarm_did_not_do_is_left(prefect_api: str, tmp_path: Path) -> None:
    run = await run_with(job_of(tmp_path, ROWS))
    run.tally.answered -= 3
    run.halt(BudgetExceeded("all is spent", fix="wait"))
    found = figures(run)
    assert told(found) == (10, 5, 2, 3, 0, 0)
    assert found.outcome == "ended early: BUDGET_EXCEEDED"


@pytest.mark.parametrize(
    ("change", "missing"), [(lambda lines: lines[2:], 2), (lambda lines: [*lines, _other_key(lines[4])], 1)]
)
async def test_rows_that_were_dropped_or_doubled_are_missing(
    prefect_api: str, tmp_path: Path, change: Change, missing: int
) -> None:
    found = figures(await run_with(job_of(tmp_path, ROWS), change))
    assert told(found) == (10, 8 - missing, 2, 0, missing, missing)
    assert found.outcome == "ended early: CONTRACT_BROKEN"


def _other_key(line: dict[str, object]) -> dict[str, object]:
    return {**line, "key": f"{line['key']}-7"}
