"""A system judged by numbers: its outputs held against what people say is right, and against another's."""

import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect import flow
from prefect.runtime import flow_run

from blocks.job import JobOptions, JobPlan, JobResult
from blocks.progress import in_thread, progress
from blocks.store import open_store
from flows.audio import process_audio, process_text
from flows.names import name_of_source
from flows.operating import show_markdown
from flows.running import job_run
from tasks.evaluation.case import Case
from tasks.evaluation.evaluation import Evaluation, EvaluationOptions
from tasks.evaluation.system import System

if TYPE_CHECKING:
    from tasks.evaluation.judge import Judge


def run_name() -> str:
    """The dataset's file."""
    given: Any = flow_run.parameters.get("dataset")
    return name_of_source(str(given))


@flow(name="evaluate", flow_run_name=run_name, persist_result=False)
async def evaluate(
    dataset: str,
    candidate: System | None = None,
    baseline: System | None = None,
    options: EvaluationOptions | None = None,
    refresh: bool = False,
) -> Evaluation:
    """Measure how good the outputs for a dataset are, and whether they are better or worse than a baseline's.

    Jobs and scores that are there already are not made again: an evaluation that was killed goes on where it stopped.

    Args:
        dataset: Path of its manifest; see docs/evaluation.md.
        candidate: What is evaluated: options and settings, or a file of outputs; None for the system as it is set up.
        baseline: What it is held against; None: nothing.
        options: How it is evaluated; None for the defaults.
        refresh: Do everything again.

    Returns:
        Figures, failures and verdict; the report lies in the store under `evaluations/<evaluation_id>/`.

    Raises:
        BadInput, NotFound: dataset, configuration or outputs cannot be used.
        Unsupported: an engine or the extra `quality` is not installed.
        Stopped: a switch stopped it; the same call goes on.
    """
    from tasks.evaluation.dataset import read_dataset
    from tasks.evaluation.finish import finished
    from tasks.evaluation.run import Run

    asked, began = options or EvaluationOptions(), time.monotonic()
    async with job_run(refresh=False), progress("evaluate") as on_share, _judge(asked) as judge:
        read = await in_thread(read_dataset, Path(dataset), asked.only)
        systems = [one for one in (candidate or System(), baseline) if one is not None]
        run = Run(
            dataset=read,
            options=asked,
            files=open_store(),
            process=lambda case, source, chosen: _processed(case, source, chosen, refresh=refresh),
            plan_of=_planned,
            schema_of=_schema,
            judge=judge,
            refresh=refresh,
            on_share=on_share,
            systems=len(systems),
        )
        for one in systems[1:]:
            await run.check(one)
        results = [await run.evaluated(system) for system in systems]
        evaluation, markdown = await in_thread(finished, run, results, time.monotonic() - began)
    await show_markdown(f"evaluation-{evaluation.evaluation_id}", markdown)
    return evaluation


async def _processed(case: Case, source: str, options: JobOptions, *, refresh: bool) -> JobResult:
    if case.text is not None:
        return await process_text(options=options, source_name=case.id, refresh=refresh, source=source)
    return await process_audio(source, options, refresh=refresh)


def _planned(options: JobOptions, audio: bool) -> JobPlan:
    from tasks.jobs.plan import plan_job
    from tasks.llm.template import template_asked_for

    return plan_job(options, audio=audio, template_sha256=template_asked_for(options))


def _schema(template: str) -> Mapping[str, Any]:
    from tasks.llm.template import load_template

    return load_template(template).schema_


@asynccontextmanager
async def _judge(options: EvaluationOptions) -> "AsyncGenerator[Judge | None]":
    """The model that judges, over the account pool: within its limits and budgets."""
    if (asked := options.judge) is None:
        yield None
        return
    from blocks.accounts.chat import Caller
    from blocks.accounts.open import open_pool
    from tasks.agents.pooled_model import PooledModel
    from tasks.evaluation.judge import Judge, purse_of

    run_id = str(flow_run.id)
    caller = Caller(
        user=asked.user, session=f"evaluation-{run_id}", job=run_id, purse=purse_of(run_id, asked.budget_usd)
    )
    async with open_pool() as pool:
        yield Judge(PooledModel(lambda: pool, lambda: caller, model=asked.model, tier=asked.tier), asked)
