"""Thousands of rows through the account pool: one prompt each, as many at once as the limits allow."""

import time
from typing import Any, Literal

from prefect import flow
from prefect.artifacts import acreate_markdown_artifact
from prefect.runtime import flow_run

from blocks.accounts.booked import booked
from blocks.accounts.open import open_pool
from blocks.accounts.pool import Pool
from blocks.accounts.routes import check_choice
from blocks.contracts.broken import ContractBroken
from blocks.progress import only_informing
from blocks.rows.report import keep_rows
from flows.names import name_of_source
from flows.running import job_run
from flows.spread import end_shards, work_in_workers
from tasks.swarm.attend import attended
from tasks.swarm.crossing import look_over
from tasks.swarm.estimate import ASSUMED_LATENCY_S, estimate_step
from tasks.swarm.halted import halted
from tasks.swarm.job import SwarmJob, swarm_job
from tasks.swarm.ledger import collect_parts, open_ledger, places_of
from tasks.swarm.parquet import write_table_step
from tasks.swarm.rehearse import rehearse
from tasks.swarm.report import SwarmReport, report_markdown, report_of, rows_of
from tasks.swarm.run import SwarmRun
from tasks.swarm.shards import shard_rows, work_in_shards
from tasks.swarm.survey import Survey, survey_step

Tier = Literal["simple", "moderate", "complex", "critical"]


def name_of_rows() -> str:
    """Name of the run: the file, or how many rows were given."""
    source: Any = flow_run.parameters.get("source")
    return name_of_source(source) if isinstance(source, str) else f"{len(source or ())} rows"


@flow(name="swarm", flow_run_name=name_of_rows, persist_result=False, validate_parameters=False)
async def swarm(
    source: str | list[str | dict[str, Any]],
    prompt: str,
    *,
    output: str,
    schema: dict[str, Any] | None = None,
    model: str | None = None,
    tier: Tier | None = None,
    max_output_tokens: int | None = None,
    temperature: float | None = None,
    accounts: tuple[str, ...] = (),
    concurrency: int = 100,
    user: str = "anonymous",
    keep: tuple[str, ...] = (),
    fallback: dict[str, Any] | None = None,
    retry_failed: bool = False,
    deadline_s: float | None = None,
    shard_size: int | None = None,
    workers: int = 0,
    dry_run: bool = False,
) -> SwarmReport:
    """Ask a model one question about each row of a table; each answer is written down as it arrives.

    A run that was killed is gone on with by the same call: rows with an answer in the output are not asked again. Each
    row that cannot be answered goes to `<output>.failed.jsonl` with the reason.

    Args:
        source: Path of a CSV, JSONL, Parquet or XLSX file, or a list of up to 1 MB.
        prompt: Jinja template; the columns of a row by name, the row itself as `row`.
        output: Path of the answers, `.jsonl` or `.parquet`.
        schema: JSON Schema of an object that every answer must satisfy; None for texts.
        model: Model by its name in `accounts.yaml`; None leaves the choice to the tier.
        tier: How hard the prompts are; None for the rules of `accounts.yaml`.
        max_output_tokens: The most tokens of an answer.
        temperature: None for the provider's default.
        accounts: Only accounts of these names or labels; empty for all.
        concurrency: The most calls in flight.
        user: Who pays.
        keep: Columns of the source that go into the output too.
        fallback: A value where the model gives none (`tasks.swarm.fallback.Fallback`); such answers are marked.
        retry_failed: Do the failed rows again, and only those.
        deadline_s: Seconds within which it ends, done or not.
        shard_size: Rows of a shard; None: as the work asks for.
        workers: Spread over so many runs of the deployment `swarm-shard`; 0: all of it here.
        dry_run: Only say what it would cost, how long it would take, and which limit binds.

    Returns:
        What was done, and what was expected.

    Raises:
        BadInput, NotFound, Unsupported: something about the source, the prompt or the options; nothing was spent.
        ContractBroken: the output answers a row twice, or a row was dropped, doubled or written wrongly.
        Conflict: another run writes to this output, or it holds answers to another question.
        BudgetExceeded, LimitReached, EngineUnavailable, TimedOut: no row can be answered any more; what is done is
            kept, and the same call goes on with it.
    """
    async with job_run(refresh=False), open_pool() as pool:
        job = swarm_job(
            source=source,
            prompt=prompt,
            output=output,
            answer_schema=schema,
            model=model,
            tier=tier,
            max_output_tokens=max_output_tokens,
            temperature=temperature,
            accounts=accounts,
            concurrency=concurrency,
            user=user,
            keep=keep,
            fallback=fallback,
            retry_failed=retry_failed,
            deadline_s=deadline_s,
            shard_size=shard_size,
            workers=workers,
        )
        check_choice(pool.accounts, job.accounts, job.model, job.tier)
        return await show(await rehearse(job, pool) if dry_run else await perform(job, pool))


@flow(name="swarm-shard", persist_result=False)
async def swarm_shard(job: SwarmJob, first: int, last: int) -> None:
    """Do some rows of a swarm into files beside its output; started by the swarm itself, as often as it has `workers`.

    Args:
        job: The swarm, with the number of the part.
        first: The first row, counted from 1.
        last: The last row.
    """
    job = job.model_copy(update={"concurrency": -(-job.concurrency // max(1, job.workers))})
    whole = places_of(job.model_copy(update={"part": None}))
    async with job_run(refresh=False), open_pool() as pool:
        with open_ledger(job, beside=whole) as ledger:
            rows = last - first + 1
            run = SwarmRun(job, pool, ledger, Survey(rows=rows, due=rows), (first, last), pool.traffic)
            async with attended(run):
                await work_in_shards(run, shard_rows(rows, job.concurrency / ASSUMED_LATENCY_S, job.concurrency))
        if run.halted is not None:
            raise run.halted


async def perform(job: SwarmJob, pool: Pool) -> SwarmReport:
    """Do what is to be done, and report it, also when it cannot be done to the end."""
    began = time.monotonic()
    with open_ledger(job) as ledger:
        await end_shards(job)
        collect_parts(job, ledger)
        survey = await survey_step(job, ledger)
        expected, before = await estimate_step(job, pool, survey), ledger.sizes
        run = SwarmRun(job.after(time.monotonic() - began), pool, ledger, survey, traffic=pool.traffic)
        async with attended(run):
            if job.workers:
                await work_in_workers(run)
            else:
                size = shard_rows(survey.due, expected.rate_per_s, job.concurrency, job.shard_size)
                await work_in_shards(run, size)
        await look_over(run, before)
        report = report_of(run, expected).model_copy(update={"booked": await booked(pool.books, job.job_name)})
    await keep_rows(rows_of(run, report, str(flow_run.id)))
    if not isinstance(run.halted, ContractBroken):  # whose rows no table should have
        await write_table_step(job)
    if run.halted is not None:
        await show(report)
        raise halted(run.halted, report) from run.halted
    return report


async def show(report: SwarmReport) -> SwarmReport:
    """Show the report in the Prefect UI."""
    async with only_informing("report"):
        await acreate_markdown_artifact(key=f"swarm-{report.swarm_id}", markdown=report_markdown(report))
    return report
