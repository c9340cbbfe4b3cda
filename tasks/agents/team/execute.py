"""Doing the tasks of a plan: each by its agent, in a run of its own, once."""

import asyncio

from blocks.action import Label
from blocks.errors import C500Error, Stopped
from blocks.progress import in_thread
from tasks.agents.result import AgentTrouble
from tasks.agents.team.claim import Claimant, Shared
from tasks.agents.team.handoff import Waited
from tasks.agents.team.intent import Intent
from tasks.agents.team.message_log import PERSON
from tasks.agents.team.order import delay_s, in_order
from tasks.agents.team.plan import TeamTask, before
from tasks.agents.team.prompts import Given, task_prompt
from tasks.agents.team.result import TaskOutcome, TaskState, agent_options, outcome_of
from tasks.agents.team.spent import spent_by
from tasks.agents.team.team_store import Assignment
from tasks.agents.team.team_work import TeamWork, trouble_of

FINAL: frozenset[TaskState] = frozenset({"done", "reused", "limited", "failed", "handed_off"})
"""What is kept. Tasks that were stopped or skipped are looked at again by the next attempt."""

SKIPPED = "SKIPPED"


async def do_tasks(work: TeamWork) -> None:
    """Do all tasks of the plan; a failure costs only what depends on it, a stop all that has not begun."""
    await _recall(work)

    async def perform(task: TeamTask, place: int) -> None:
        if task.id in work.outcomes:
            return
        outcome = await _outcome(work, task, place)
        if outcome.state == "stopped" and work.stopped is None:
            work.stopped = _stop_of(outcome)
        work.outcomes[task.id], work.states[task.id] = outcome, outcome.state

    await in_order(work.plan.tasks, perform, work.begun.options.at_once)


async def _recall(work: TeamWork) -> None:
    """Find what earlier attempts have come to, and what money they have given out."""
    for task in work.plan.tasks:
        if (given := await in_thread(work.store.find, Assignment, f"assignments/{task.id}")) is not None:
            work.shares.given(task.id, given.budget_usd)
        kept = await in_thread(work.store.outcome, task.id)
        if kept is not None and not await _is_handed_back(work, kept):
            work.outcomes[task.id], work.states[task.id] = kept, kept.state


async def _outcome(work: TeamWork, task: TeamTask, place: int) -> TaskOutcome:
    """What comes of a task that is open."""
    if (ended := _without_beginning(work, task)) is not None:
        return ended
    await asyncio.sleep(delay_s(place, work.begun.options.stagger_s, f"{work.begun.run_id}/{task.id}"))
    if (ended := _without_beginning(work, task)) is not None:
        return ended
    try:
        assignment = await _assigned(work, task)
        limit_s = work.shares.task_s(task.id, work.outcomes)
        ends = None if limit_s is None else asyncio.get_running_loop().time() + limit_s
        outcome = await _once(work, task, assignment, ends)
    except C500Error as error:
        state: TaskState = "limited" if error.code == "TIMED_OUT" else "failed"
        return work.without_result(task, state, trouble_of(error), work.run_of(task))
    if outcome.state in FINAL and not _is_of_the_deadline(outcome):
        await in_thread(work.store.keep, outcome)
        await _told(work, task, outcome)
    return outcome


async def _is_handed_back(work: TeamWork, kept: TaskOutcome) -> bool:
    """Whether a task waited for a person who has answered meanwhile."""
    if kept.state != "handed_off" or kept.handoff_id is None:
        return False
    back = await in_thread(work.handoffs.back, kept.handoff_id)
    if back is None:
        return False
    to = kept.run_id or kept.task_id
    await work.messages.post(to, f"{kept.task_id}/{kept.handoff_id}", PERSON, kept.agent, "handback", back.text)
    return True


def _without_beginning(work: TeamWork, task: TeamTask) -> TaskOutcome | None:
    """The outcome of a task that does not begin; None for one that does."""
    if work.stopped is not None:
        return work.without_result(task, "stopped", trouble_of(work.stopped))
    missing = [name for name in task.depends_on if not work.outcomes[name].is_good]
    if missing:
        why = AgentTrouble(
            code=SKIPPED, message=f"it needs the result of {', '.join(missing)}", fix="see why that has none"
        )
        return work.without_result(task, "skipped", why)
    return None


async def _assigned(work: TeamWork, task: TeamTask) -> Assignment:
    """What the agent is given; the same in every attempt."""

    async def make() -> Assignment:
        given = [Given(task_id=name, text=work.outcomes[name].output) for name in task.depends_on]
        return Assignment(
            task_id=task.id,
            run_id=work.run_of(task),
            goal=task_prompt(work.begun.goal, task, given),
            budget_usd=work.shares.give_usd(task.id, work.outcomes),
        )

    made = await work.store.once(Assignment, f"assignments/{task.id}", make)
    await work.messages.post(made.run_id, task.id, work.coordinator, task.agent, "task", made.goal)
    return made


async def _once(work: TeamWork, task: TeamTask, assignment: Assignment, ends: float | None) -> TaskOutcome:
    """Have the task done, unless somebody makes the same change already; then have their result."""
    if task.intent is None or work.dry_run:
        return await _by_agent(work, task, assignment, ends)
    owner, wait_s = _owner(work, task.id), work.begun.options.wait_s
    if ends is not None:
        wait_s = min(wait_s, ends - asyncio.get_running_loop().time())
    shared = await work.intents.once(
        task.intent,
        Claimant(owner=owner, run_id=assignment.run_id, user=work.begun.user),
        lambda: _by_agent(work, task, assignment, ends),
        wait_s=wait_s,
        # What is to be done again after another task is meant to be.
        ignoring=frozenset(_owner(work, name) for name in before(task, work.plan.tasks)),
    )
    if shared.lost:
        message = f"Its claim to «{task.intent}» ran out while it worked: see that the change was not made twice."
        work.note(task.id, "claim_lost", message)
    return shared.outcome if shared.claim.by.owner == owner else _reused(work, task, task.intent, shared)


async def _by_agent(work: TeamWork, task: TeamTask, assignment: Assignment, ends: float | None) -> TaskOutcome:
    """What comes of the task when its agent does it, until the event loop's time `ends`."""
    labels: set[Label] = {label for name in task.depends_on for label in work.outcomes[name].labels}
    options = agent_options(work.begun.options, work.begun.user, work.begun.workspace, assignment.budget_usd, labels)
    if work.stopped is not None:
        return work.without_result(task, "stopped", trouble_of(work.stopped))
    work.states[task.id] = "running"
    guard = asyncio.timeout_at(ends)
    try:
        async with guard:
            result = await work.specialist(assignment.goal, task.agent, options, assignment.run_id)
    except TimeoutError:
        if not guard.expired():
            raise
        return await _cut_off(work, task, "limited", work.shares.timed_out())
    except Stopped as error:
        # Where the team was stopped, the agents' own switches are the team's, and nothing that a person would clear.
        return await _cut_off(work, task, "stopped", work.stopped or error)
    except C500Error as error:
        return await _cut_off(work, task, "failed", error)
    outcome = outcome_of(task.id, result)
    return await _waiting(work, outcome) if outcome.state == "handed_off" else outcome


async def _cut_off(work: TeamWork, task: TeamTask, state: TaskState, error: C500Error) -> TaskOutcome:
    """The outcome of a run that ended without a result; what it has cost is cost all the same."""
    outcome = work.without_result(task, state, trouble_of(error), work.run_of(task))
    return outcome.model_copy(update={"usage": await spent_by(work.run_of(task))})


async def _waiting(work: TeamWork, outcome: TaskOutcome) -> TaskOutcome:
    """The outcome of a task whose agent handed it to a person, with what it handed off."""
    waiting = await in_thread(work.handoffs.waiting, outcome.run_id)
    if not waiting:
        return outcome
    found = waiting[-1].handoff_id
    await in_thread(work.handoffs.waited_by, found, Waited(team=work.begun.run_id, task_id=outcome.task_id))
    return outcome.model_copy(update={"handoff_id": found})


def _reused(work: TeamWork, task: TeamTask, intent: Intent, shared: Shared) -> TaskOutcome:
    """The result of whoever made the same change; of another user's no more than that it was made."""
    theirs, by = shared.outcome, shared.claim.by
    own = by.user == work.begun.user
    said = theirs.output if own else "What its agent said is not shown, since it worked for another user."
    work.note(task.id, "intent_reused", f"«{intent}» was made by run {by.run_id} already; it was not made again.")
    return TaskOutcome(
        task_id=task.id,
        agent=task.agent,
        state="reused",
        labels=theirs.labels,
        output=f"Run {by.run_id} made this change ({intent}); it was not made again.\n\n{said}",
        shared_with=by.run_id,
    )


async def _told(work: TeamWork, task: TeamTask, outcome: TaskOutcome) -> None:
    """Write down what the agent told the coordinator."""
    run_id = outcome.run_id or outcome.shared_with or work.run_of(task)
    if outcome.state == "handed_off":
        body = outcome.trouble.message if outcome.trouble else ""
        await work.messages.post(run_id, f"{task.id}/{outcome.handoff_id}", task.agent, PERSON, "handoff", body)
        return
    await work.messages.post(run_id, task.id, task.agent, work.coordinator, "result", outcome.output)


def _owner(work: TeamWork, task_id: str) -> str:
    return f"{work.begun.run_id}/{task_id}"


def _is_of_the_deadline(outcome: TaskOutcome) -> bool:
    """Whether it was the team's deadline that cut it off: its run has not ended, and can go on."""
    return outcome.state == "limited" and outcome.trouble is not None and outcome.trouble.code == "TIMED_OUT"


def _stop_of(outcome: TaskOutcome) -> Stopped:
    trouble = outcome.trouble or AgentTrouble(code=Stopped.code, message="it was stopped", fix="go on with the run")
    return Stopped(f"agent {outcome.agent} was stopped: {trouble.message}", fix=trouble.fix)
