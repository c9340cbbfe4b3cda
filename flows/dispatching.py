"""A request on its way: what was made so far, and how sub-tasks, merge and evaluation follow each other."""

import time
from collections.abc import AsyncGenerator, Awaitable, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar
from uuid import uuid4

from blocks import timeline
from blocks.accounts.open import open_pool
from blocks.errors import BudgetExceeded, C500Error, EngineFailed, EngineUnavailable, LimitReached, TimedOut
from blocks.job import Notice
from tasks.dispatch.evaluate import criteria_of, evaluate_step, is_better
from tasks.dispatch.means import Means, provided
from tasks.dispatch.merge import merge_step, merged_by_rule
from tasks.dispatch.order import in_order
from tasks.dispatch.plan import Plan, SubTask
from tasks.dispatch.prompts import Brief, Quoted, lowest_scores
from tasks.dispatch.report import answer_markdown
from tasks.dispatch.request import DispatchRequest
from tasks.dispatch.result import (
    Clarification,
    DispatchResult,
    Evaluation,
    Merged,
    Round,
    Status,
    SubTaskResult,
    Trouble,
)
from tasks.dispatch.work import Redo, sub_task_step

T = TypeVar("T")

ENDED = (BudgetExceeded, LimitReached, TimedOut, EngineUnavailable)
"""Errors of what money, limits, time or the accounts ended: the same request may go on there."""


@dataclass(kw_only=True)
class Dispatch:
    """A request in hand.

    Attributes:
        asked: What was asked.
        means: What it may use.
        refresh: Whether to ask anew what is stored.
        clarifications: What the user was asked and answered.
        plan: Set once there is one.
        results: What came of each sub-task in the best round.
        states: What each sub-task does now.
        merged: Of the best round.
        evaluation: Of the best round.
        rounds: All rounds.
        stuck: Whether another round is no use.
        notices: What the user should know.
        error: The first that cost a sub-task or a stage.
        ended: The first of `ENDED` among them.
        timings_s: Wall time of each stage.
    """

    asked: DispatchRequest
    means: Means
    refresh: bool
    clarifications: tuple[Clarification, ...] = ()
    plan: Plan | None = None
    results: dict[str, SubTaskResult] = field(default_factory=dict[str, SubTaskResult])
    states: dict[str, str] = field(default_factory=dict[str, str])
    merged: Merged | None = None
    evaluation: Evaluation | None = None
    rounds: list[Round] = field(default_factory=list[Round])
    stuck: bool = False
    notices: list[Notice] = field(default_factory=list[Notice])
    error: C500Error | None = None
    ended: C500Error | None = None
    timings_s: dict[str, float] = field(default_factory=dict[str, float])

    @property
    def brief(self) -> Brief:
        """What every model is told of the request."""
        return Brief(request=self.asked.text.strip(), clarifications=self.clarifications)

    @property
    def planned(self) -> Plan:
        """The plan of a request that has one."""
        if self.plan is None:
            raise TypeError("the request has not been planned")
        return self.plan

    @property
    def improvable(self) -> bool:
        """Whether another round may make it better."""
        found, options = self.evaluation, self.asked.options
        if found is None or self.stuck or not found.improve:
            return False
        return found.mean < options.good_enough and len(self.rounds) <= options.rounds

    @contextmanager
    def timed(self, stage: str) -> Generator[None]:
        """Time a stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.timings_s[stage] = round(self.timings_s.get(stage, 0.0) + time.perf_counter() - start, 3)

    def note(self, error: C500Error) -> None:
        """An error has cost a sub-task or a stage."""
        self.error = self.error or error
        if isinstance(error, ENDED):
            self.ended = self.ended or error

    async def attempt(self, stage: str, made: Awaitable[T]) -> T | None:
        """The outcome of a stage the request can do without; its failure becomes a notice."""
        try:
            with self.timed(stage):
                return await made
        except C500Error as error:
            self.note(error)
            self.notices.append(Notice(step=stage, code=error.code, message=f"{error.message} ({error.fix})"))
            return None


@asynccontextmanager
async def dispatching(asked: DispatchRequest, *, refresh: bool) -> AsyncGenerator[Dispatch]:
    """A request in hand, with the pool open."""
    async with open_pool() as pool:
        purse = f"{asked.dispatch_id}/{uuid4().hex}" if refresh else asked.dispatch_id
        work = Dispatch(asked=asked, means=Means(pool, asked.dispatch_id, asked.options, purse), refresh=refresh)
        with provided(work.means):
            yield work


async def do_tasks(
    work: Dispatch, tasks: Mapping[str, Redo | None], results: dict[str, SubTaskResult], number: int
) -> None:
    """Do sub-tasks side by side, each once what it needs is there; a failure costs only what depends on it.

    Args:
        work: The request.
        tasks: Which, and why those that are done again.
        results: What came of the sub-tasks; changed here. One that is done again and fails keeps its last result.
        number: Of the round.
    """
    work.means.begin_work()

    async def perform(task: SubTask) -> None:
        last = results.get(task.id)
        work.states[task.id] = "running"
        made = await _do(work, task, tasks[task.id], results, number)
        if made.status != "done" and last is not None and last.status == "done":
            why = made.trouble.message if made.trouble else made.status
            work.notices.append(
                Notice(step=task.id, code="not_improved", message=f"Its result of round {last.round} stands: {why}.")
            )
            made = last
        results[task.id] = made
        work.states[task.id] = made.status

    named = [task for task in work.planned.tasks if task.id in tasks]
    await in_order(named, perform, work.asked.options.at_once)


async def _do(
    work: Dispatch, task: SubTask, redo: Redo | None, results: Mapping[str, SubTaskResult], number: int
) -> SubTaskResult:
    """What comes of one sub-task, a failure included."""
    missing = [one for one in task.depends_on if one not in results or results[one].status != "done"]
    if missing:
        why = Trouble(
            code="SKIPPED", message=f"it needs the result of {', '.join(missing)}", fix="see why that has none"
        )
        return SubTaskResult(id=task.id, title=task.title, status="skipped", round=number, trouble=why)
    given = tuple(quoted(work.planned, results, dict.fromkeys(task.depends_on)))
    speciality = work.asked.options.table[task.speciality]
    try:
        with _shown(task):
            step = sub_task_step(work.asked.dispatch_id, work.brief, task, speciality, given, redo, number)
            return await work.means.have(step, "worker")
    except C500Error as error:
        work.note(error)
        trouble = Trouble.of(error)
        return SubTaskResult(id=task.id, title=task.title, status="failed", round=number, trouble=trouble)


@contextmanager
def _shown(task: SubTask) -> Generator[None]:
    """Show the sub-task by its own name, not by that of the step that all have."""
    display = timeline.on_step.get()
    token = timeline.on_step.set(None)
    if display:
        display(task.id, False)
    try:
        yield
        if display:
            display(task.id, True)
    finally:
        timeline.on_step.reset(token)


def quoted(plan: Plan, results: Mapping[str, SubTaskResult], ids: Mapping[str, None] | None = None) -> list[Quoted]:
    """Results as prompts quote them, in the order of the plan."""
    return [
        Quoted(id=task.id, text=results[task.id].output or "", priority=task.priority)
        for task in plan.tasks
        if (ids is None or task.id in ids) and task.id in results and results[task.id].status == "done"
    ]


async def merge(work: Dispatch, results: Mapping[str, SubTaskResult]) -> Merged | None:
    """The results put together; None when no model does and the fallback is not declared.

    Raises:
        C500Error: there is no result at all: why the first sub-task failed.
    """
    given = tuple(quoted(work.planned, results))
    if not given:
        raise work.error or EngineFailed("no sub-task has a result", fix="say the request in other words")
    step = work.means.have(merge_step(work.asked.dispatch_id, work.brief, given, work.asked.options.coordinator))
    merged = await work.attempt("merge", step)
    if merged is None and work.asked.options.fallback_merge:
        merged = merged_by_rule(given)
    return merged


async def evaluate(work: Dispatch, merged: Merged, results: Mapping[str, SubTaskResult]) -> Evaluation | None:
    """The answer held against its criteria; None when that could not be done."""
    options = work.asked.options
    tasks = tuple((task, results[task.id].status) for task in work.planned.tasks)
    step = evaluate_step(
        work.asked.dispatch_id, work.brief, criteria_of(options, work.planned), merged, tasks, options.coordinator
    )
    return await work.attempt("evaluate", work.means.have(step))


async def improve_once(work: Dispatch, before: Evaluation) -> None:
    """One round: do again what the evaluation names, and keep the outcome if it is better."""
    number = len(work.rounds)
    results = dict(work.results)
    named = dict.fromkeys(one.task_id for one in before.improve)
    redo = {task_id: _redo(work, task_id, before) for task_id in named}
    with work.timed("work"):
        await do_tasks(work, redo, results, number)
    merged = await merge(work, results)
    evaluation = await evaluate(work, merged, results) if merged is not None and merged.by == "model" else None
    better = evaluation is not None and is_better(evaluation, before)
    work.rounds.append(Round(number=number, tasks=tuple(redo), score=evaluation and evaluation.mean, kept=better))
    work.stuck = not better
    if better:
        work.rounds[:-1] = [one.model_copy(update={"kept": False}) for one in work.rounds[:-1]]
        work.results, work.merged, work.evaluation = results, merged, evaluation


def _redo(work: Dispatch, task_id: str, before: Evaluation) -> Redo:
    last = quoted(work.planned, work.results, {task_id: None})
    what = [one.what for one in before.improve if one.task_id == task_id]
    return Redo(last=last[0] if last else None, what="\n".join([*what, lowest_scores(before.scores)]).strip())


def result_of(work: Dispatch) -> DispatchResult:
    """What came of the request, as far as it got."""
    plan, merged = work.plan, work.merged
    status = status_of(work)
    error = work.error if status == "failed" else work.ended or work.error
    parts = [merged.notices if merged else (), *(one.notices for one in work.results.values())]
    return DispatchResult(
        dispatch_id=work.asked.dispatch_id,
        status=status,
        request=work.asked.text,
        answer=answer_markdown(merged.statements, merged.conflicts) if merged else None,
        statements=merged.statements if merged else (),
        conflicts=merged.conflicts if merged else (),
        merged_by=merged.by if merged else None,
        results=tuple(work.results[task.id] for task in plan.tasks if task.id in work.results) if plan else (),
        evaluation=work.evaluation,
        rounds=tuple(work.rounds),
        plan=plan,
        clarifications=work.clarifications,
        assumptions=_assumptions(work),
        notices=(*work.notices, *(notice for part in parts for notice in part)),
        trouble=Trouble.of(error) if error and status != "complete" else None,
        spent=work.means.spent,
        timings_s=work.timings_s,
        finished_at=datetime.now(UTC),
    )


def status_of(work: Dispatch) -> Status:
    """`complete` when every sub-task has its result, a model merged them all, and the answer was judged and improved.

    An improvement that failed by itself has had its chance; one that was ended has not.
    """
    done = [one.status == "done" for one in work.results.values()]
    if not any(done):
        return "failed"
    merged = work.merged
    all_merged = (
        merged is not None and merged.by == "model" and not any(n.code == "results_left_out" for n in merged.notices)
    )
    whole = all(done) and all_merged and work.evaluation is not None and work.ended is None
    return "complete" if whole else "partial"


def _assumptions(work: Dispatch) -> tuple[str, ...]:
    unanswered = [one.question.assumption for one in work.clarifications if one.answer is None]
    return tuple(dict.fromkeys((*unanswered, *(work.plan.assumptions if work.plan else ()))))
