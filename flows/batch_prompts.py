"""Prompts over a table of thousands of rows, a template for each group; every row answered once, proven."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from prefect import flow
from prefect.artifacts import acreate_markdown_artifact
from prefect.runtime import flow_run

from blocks.errors import BadInput, C500Error
from blocks.progress import in_thread, only_informing
from blocks.redact import default_redactor
from blocks.rows.report import keep_rows
from flows.names import name_of_source
from flows.running import job_run
from tasks.batch_prompts.report import BatchPromptsReport, rows_of

if TYPE_CHECKING:
    from blocks.accounts.pool import Pool
    from blocks.reviews import Reviews
    from tasks.batch_prompts.engine import Engine
    from tasks.batch_prompts.ledger import Ledger
    from tasks.batch_prompts.plan import Plan


def name_of_plan() -> str:
    """Name of the run: the plan's file."""
    plan: Any = flow_run.parameters.get("plan")
    return name_of_source(str(plan))


@flow(name="batch-prompts", flow_run_name=name_of_plan, persist_result=False, validate_parameters=False)
async def batch_prompts(
    plan: str,
    *,
    engine: Literal["llm", "agent"] | None = None,
    output: str | None = None,
    pilot: int | None = None,
    probe: bool = False,
    retry: bool = False,
    dry_run: bool = False,
) -> BatchPromptsReport:
    """Answer every row of a table by the template of its group, and prove that nothing is missing or doubled.

    A run that was killed is gone on with by the same call: only what is missing is asked.

    Args:
        plan: Path of the plan, a YAML file; see docs/batch-prompts.md.
        engine: Who answers, instead of the plan's: `llm` through the account pool, `agent` through sessions.
        output: Where the answers go, instead of the plan's.
        pilot: Do only the first so many rows of each group, and estimate the rest.
        probe: Ask the first chunk of each group twice beforehand, and say how far the answers agree.
        retry: Ask rows again that no prompt got answered.
        dry_run: Only look at all rows and prompts, and estimate.

    Returns:
        Coverage by group, counted in the output itself; it lies beside the output, too.

    Raises:
        BadInput, NotFound, Unsupported: something about the plan or the table; nothing was spent.
        ContractBroken: rows were dropped, doubled or written otherwise than the plan allows.
        Conflict: another run writes to this output.
        BudgetExceeded, LimitReached, EngineUnavailable, TimedOut: no row can be answered any more; what is done is
            kept, and the same call goes on with it.
    """
    from tasks.batch_prompts.ledger import open_ledger
    from tasks.batch_prompts.plan import read_plan
    from tasks.batch_prompts.survey import survey_step

    async with job_run(refresh=False):
        if pilot is not None and pilot < 1:
            raise BadInput(f"pilot is {pilot}", fix="give 1 or more rows of each group", field="pilot")
        made = read_plan(Path(plan), engine=engine, output=output)
        with open_ledger(made) as ledger:
            async with _opened(made) as (who, pool):
                await survey_step(made, ledger)
                if dry_run:
                    report = await _rehearsed(made, ledger, pool)
                else:
                    report = await _performed(made, ledger, who, pool, pilot=pilot, probe=probe, retry=retry)
        return report


async def _performed(
    plan: "Plan",
    ledger: "Ledger",
    engine: "Engine",
    pool: "Pool | None",
    *,
    pilot: int | None,
    probe: bool,
    retry: bool,
) -> BatchPromptsReport:
    """Do what is to be done, and report it, also when it cannot be done to the end."""
    from tasks.batch_prompts.crossing import check_coverage
    from tasks.batch_prompts.estimate import estimate
    from tasks.batch_prompts.group import work_in_groups
    from tasks.batch_prompts.people import ask_again, put_before_people, take_from_people
    from tasks.batch_prompts.probe import probe as probed
    from tasks.batch_prompts.publish import write_output_step
    from tasks.batch_prompts.run import BatchRun

    people = _people(plan)
    taken = await in_thread(take_from_people, plan, ledger, people) if people else 0
    if retry:
        await in_thread(ask_again, ledger, people)
    agreement = await probed(plan, ledger, engine) if probe else ()
    run = BatchRun(plan, engine, ledger, None if pool is None else pool.traffic)
    run.tally.cost_usd += sum(one.cost_usd or 0.0 for one in agreement)
    await work_in_groups(run, pilot)
    if people:
        await in_thread(put_before_people, plan, ledger, people)
    report = await write_output_step(plan, ledger, run.tally)
    more: dict[str, Any] = {"from_people": taken, "agreement": agreement, "pilot": pilot}
    if pilot is not None and pool is not None:
        more["estimate"] = await estimate(plan, ledger, pool, run.tally)
    await keep_rows(rows_of(plan, report, run.halted, str(flow_run.id)))
    if run.halted is None:
        shown = await _shown(plan, report.model_copy(update=more))
        await in_thread(check_coverage, shown.groups, plan)
        return shown
    report = await _shown(plan, report.model_copy(update={**more, "halted": run.halted.message}))
    raise _halted(run.halted, report) from run.halted


async def _rehearsed(plan: "Plan", ledger: "Ledger", pool: "Pool | None") -> BatchPromptsReport:
    from tasks.batch_prompts.estimate import estimate
    from tasks.batch_prompts.report import report_of
    from tasks.batch_prompts.run import Tally

    report = await in_thread(report_of, plan, ledger, Tally())
    expected = await estimate(plan, ledger, pool) if pool is not None else None
    return report.model_copy(update={"dry_run": True, "estimate": expected})


@asynccontextmanager
async def _opened(plan: "Plan") -> AsyncGenerator[tuple["Engine", "Pool | None"]]:
    """Who answers, and the pool where that is one."""
    if plan.file.engine == "agent":
        from tasks.batch_prompts.agent import AgentEngine

        yield AgentEngine(plan), None
        return
    from blocks.accounts.open import open_pool
    from tasks.batch_prompts.llm import LlmEngine, check_models

    async with open_pool() as pool:
        check_models(plan, pool.accounts)
        yield LlmEngine(pool, plan), pool


def _people(plan: "Plan") -> "Reviews | None":
    if not plan.file.reviews:
        return None
    from blocks.reviews import open_reviews

    return open_reviews()


def _halted(error: C500Error, report: BatchPromptsReport) -> C500Error:
    """The error that ended a run, saying how much is done."""
    done = sum(one.answered for one in report.groups)
    return type(error)(
        f"{error.message}; {done:,} of {report.rows:,} rows are answered and kept, {report.left:,} are left",
        fix=f"{error.fix}; the same command goes on where this one stopped",
        **{**error.details, "answered": done, "left": report.left, "cost_usd": report.cost_usd},
    )


async def _shown(plan: "Plan", report: BatchPromptsReport) -> BatchPromptsReport:
    """Put the report beside the output, and into the Prefect UI."""
    from tasks.batch_prompts.publish import keep
    from tasks.batch_prompts.told import report_markdown

    await in_thread(keep, plan, report)
    async with only_informing("report"):
        page = default_redactor().text(report_markdown(report))
        await acreate_markdown_artifact(key=f"batch-prompts-{plan.plan_id}", markdown=page)
    return report
