"""A request in; sub-tasks done side by side over many accounts; one answer with its sources out."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from prefect import flow
from prefect.artifacts import acreate_markdown_artifact
from prefect.runtime import flow_run

from blocks.board import board
from blocks.errors import C500Error
from blocks.progress import only_informing
from flows.answers import clarified
from flows.dispatching import Dispatch, dispatching, do_tasks, evaluate, improve_once, merge, result_of
from flows.names import plain
from flows.running import job_run
from tasks.dispatch.clarify import clarify_step
from tasks.dispatch.plan import Plan
from tasks.dispatch.publish import find_dispatch, publish_dispatch_step
from tasks.dispatch.report import plan_markdown, result_markdown
from tasks.dispatch.request import DispatchOptions, DispatchRequest
from tasks.dispatch.result import DispatchResult, Round
from tasks.dispatch.split import plan_step


def run_name() -> str:
    """The request's first line."""
    lines = str(flow_run.parameters.get("request") or "").strip().splitlines()
    return plain(lines[0] if lines else "request")


@flow(name="dispatch-request", flow_run_name=run_name, persist_result=False)
async def dispatch_request(
    request: str, options: DispatchOptions | None = None, plan: Plan | None = None, refresh: bool = False
) -> DispatchResult:
    """Split a request into sub-tasks, do them in parallel across the accounts, merge and evaluate.

    The same request of the same user with the same options is one piece of work: a run that was killed, or that its
    deadline, its budget or the accounts ended, goes on where it stopped when the request is made again.

    Args:
        request: What is wanted, in plain words.
        options: How it is answered; None for the defaults.
        plan: Your own plan; None has the coordinator make one.
        refresh: Ask anew whatever is stored.

    Returns:
        The answer. `partial` when sub-tasks failed or nothing could be merged or judged: what was made is in it. All
        of it lies in the store under `dispatches/<dispatch_id>/`.

    Raises:
        BadInput: the request is empty, or the plan cannot be carried out.
        EngineFailed: the coordinator's plan cannot be carried out, nor could its second one.
        C500Error: no sub-task has a result: why the first one failed. What there is, is stored with status `failed`.
    """
    asked = DispatchRequest(text=request, options=options or DispatchOptions(), plan=plan)
    async with job_run(refresh=refresh):
        asked.check()
        if not refresh and (found := await find_dispatch(asked.dispatch_id)) is not None:
            return await show(found)
        async with dispatching(asked, refresh=refresh) as work, kept(work):
            await clarify(work)
            await split(work)
            async with board(
                f"plan-{asked.dispatch_id}", lambda: plan_markdown(work.planned, work.states, work.results)
            ):
                await answer(work)
                while work.improvable and work.evaluation is not None:
                    await improve_once(work, work.evaluation)
            return await finish(work)


async def clarify(work: Dispatch) -> None:
    """Ask the user what the coordinator must know, if that is wanted."""
    options = work.asked.options
    if not options.questions:
        return
    step = clarify_step(work.asked.dispatch_id, work.brief, options.questions, options.coordinator)
    if (found := await work.attempt("clarify", work.means.have(step))) is not None and found.questions:
        with work.timed("answers of the user"):
            work.clarifications = await clarified(work.asked, found.questions, work.means, refresh=work.refresh)


async def split(work: Dispatch) -> None:
    """Plan, unless the caller has."""
    asked, options = work.asked, work.asked.options
    if asked.plan is not None:
        work.plan = asked.plan
        return
    step = plan_step(
        asked.dispatch_id, work.brief, options.max_tasks, options.table, options.criteria, options.coordinator
    )
    with work.timed("plan"):
        work.plan = (await work.means.have(step)).plan


async def answer(work: Dispatch) -> None:
    """The first round: everything is done, merged and judged."""
    with work.timed("work"):
        await do_tasks(work, dict.fromkeys(task.id for task in work.planned.tasks), work.results, 0)
    work.merged = await merge(work, work.results)
    if work.merged is not None:
        work.evaluation = await evaluate(work, work.merged, work.results)
    score = work.evaluation and work.evaluation.mean
    tasks = tuple(task.id for task in work.planned.tasks)
    work.rounds.append(Round(number=0, tasks=tasks, score=score, kept=True))


async def finish(work: Dispatch) -> DispatchResult:
    """Store and show what came of it."""
    return await show(await publish_dispatch_step(result_of(work)))


@asynccontextmanager
async def kept(work: Dispatch) -> AsyncGenerator[None]:
    """Store what there is of a request that fails."""
    try:
        yield
    except C500Error as error:
        work.error = error
        await finish(work)
        raise


async def show(result: DispatchResult) -> DispatchResult:
    """Show the answer in the Prefect UI."""
    async with only_informing("answer"):
        await acreate_markdown_artifact(key=f"answer-{result.dispatch_id}", markdown=result_markdown(result))
    return result
