"""A team of agents: a goal is shared out, each part done by a specialist in a run of its own, and put together."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import structlog
from prefect import flow
from prefect.artifacts import acreate_markdown_artifact
from prefect.runtime import flow_run

from blocks.board import board
from blocks.errors import C500Error, EngineFailed, Stopped
from blocks.progress import in_thread, only_informing
from blocks.redact import default_redactor
from blocks.settings import settings
from blocks.store import open_store
from flows.names import plain
from flows.running import is_server_lost, job_run
from tasks.agents.result import AgentOptions, AgentResult
from tasks.agents.team.plan import TeamPlan
from tasks.agents.team.report import plan_markdown, team_markdown
from tasks.agents.team.result import TeamOptions, TeamResult

if TYPE_CHECKING:
    from blocks.accounts.pool import Pool
    from blocks.switches import Switches
    from tasks.agents.team.aggregate import Answered
    from tasks.agents.team.message_log import Record
    from tasks.agents.team.planning import Planned
    from tasks.agents.team.team_store import TeamBegun, TeamStore
    from tasks.agents.team.team_work import Specialist, TeamWork

log = structlog.stdlib.get_logger("c500")


def run_name() -> str:
    """Coordinator and goal, without secrets: names stand in lists and logs."""
    given = flow_run.parameters
    goal = default_redactor().text(given.get("goal") or given.get("run_id") or "")
    return plain(f"{given.get('agent') or 'team'}: {goal}")


@flow(name="run-team", flow_run_name=run_name, persist_result=False)
async def run_team(
    goal: str = "",
    agent: str = "coordinator",
    plan: TeamPlan | None = None,
    options: TeamOptions | None = None,
    run_id: str | None = None,
) -> TeamResult:
    """Have a team of agents work on a goal.

    The same `run_id` goes on where a run was killed or stopped, or where a person has answered what an agent handed
    off: tasks that ended are not done again.

    Args:
        goal: What it is to reach, in plain words; not looked at when the run was begun before, as all that follows.
        agent: The coordinator; the team are its `specialists`.
        plan: Your own plan; None has the coordinator make one.
        options: Budget, deadline, how many at once; None for the defaults.
        run_id: Of a run to go on with; None for a new one.

    Returns:
        What came of it, whatever became of single tasks; it lies in the store under `agents/teams/<run_id>/`.

    Raises:
        BadInput, NotFound: goal, plan, an agent, the policy or the accounts cannot be used.
        EngineFailed: the coordinator's plan cannot be carried out, nor could its second one.
        Stopped: a switch stopped it before there was a plan.
        Conflict: another process does this run.
    """
    async with job_run(refresh=False):
        return await team_run(goal, agent, plan, options or TeamOptions(), run_id or _own_id(), by_flow)


async def by_flow(goal: str, agent: str, options: AgentOptions, run_id: str) -> AgentResult:
    """Have a specialist do a task, as a sub-flow."""
    from flows.agent import run_agent

    try:
        return await run_agent(goal, agent, options, run_id)
    except C500Error:
        raise
    except Exception as error:
        if is_server_lost(error):
            raise
        log.exception("a specialist's run failed", run_id=run_id, agent=agent)
        raise EngineFailed(
            f"the run of agent {agent} failed: {type(error).__name__}: {error}"[:1000],
            fix="see the log of its flow run, and report it",
        ) from error


async def team_run(
    goal: str, agent: str, plan: TeamPlan | None, options: TeamOptions, run_id: str, specialist: "Specialist"
) -> TeamResult:
    """See `run_team`; `specialist` does a task."""
    from tasks.agents.given import checked_id
    from tasks.agents.team.begin import begin_team
    from tasks.agents.team.conclude import is_final
    from tasks.agents.team.handoff import HandOffs
    from tasks.agents.team.team_store import TeamStore

    files = open_store()
    store = TeamStore(files, checked_id(run_id))
    with store.alone():
        begun = await in_thread(begin_team, store, settings(), run_id, goal, agent, options, plan)
        if (found := store.result()) is not None and is_final(found, HandOffs(files)):
            return await show(found)
        record = recorder(begun)
        await record("run_started", f"started/{flow_run.id}", trigger=begun.goal)
        try:
            result = await _attempt(store, begun, specialist, record)
        except C500Error as error:
            await record("run_ended", f"ended/{flow_run.id}", outcome=f"{error.code}: {error.message}")
            raise
        await record("run_ended", f"ended/{flow_run.id}", outcome=result.status, details=result.usage.model_dump())
        return await show(store.end(result))


async def _attempt(store: "TeamStore", begun: "TeamBegun", specialist: "Specialist", record: "Record") -> TeamResult:
    """Plan, do the tasks, put the results together."""
    from tasks.agents.team.conclude import result_of
    from tasks.agents.team.execute import do_tasks
    from tasks.agents.team.stopping import stoppable

    dry_run, redact = _is_dry(begun), default_redactor().text
    async with _means() as (pool, switches):
        planned = await _planned(pool, switches, store, begun)
        await record("plan", "plan", details=planned.plan.model_dump(mode="json"))
        work = _at_work(begun, planned.plan, store, specialist, record)
        work.dry_run = dry_run
        async with (
            board(f"team-{begun.run_id}", lambda: redact(plan_markdown(work.plan, work.states, work.outcomes))),
            stoppable(work, switches),
        ):
            await do_tasks(work)
        answered = await _answered(pool, switches, work)
        return await result_of(work, answered, planned.usage)


@asynccontextmanager
async def _means() -> "AsyncGenerator[tuple[Pool, Switches]]":
    """The accounts, and the switches that stop agents."""
    from blocks.accounts.open import open_pool
    from blocks.switches import FOLDER, open_switches
    from tasks.agents.opened import private_folder

    chosen = settings()
    async with open_pool() as pool:
        yield pool, open_switches(chosen.switches_url, private_folder(chosen.agents_home, FOLDER))


async def _planned(pool: "Pool", switches: "Switches", store: "TeamStore", begun: "TeamBegun") -> "Planned":
    """The caller's plan, that of an earlier attempt, or a new one."""
    from tasks.agents.team.planning import Planned, planned
    from tasks.agents.team.shares import Shares
    from tasks.agents.team.stopping import unless_stopped

    async def make() -> Planned:
        if begun.plan is not None:
            return Planned(plan=begun.plan)
        left_s = Shares(begun, ()).left_s()
        return await unless_stopped(
            switches, begun.coordinator.name, begun.run_id, lambda: planned(pool, begun, left_s)
        )

    return await store.once(Planned, "plan", make)


def _is_dry(begun: "TeamBegun") -> bool:
    """Whether nothing is changed. Raises `NotFound`: there is no such profile."""
    from blocks.policy.open import open_policy

    return open_policy().dry_run(begun.options.profile or settings().agent_profile) or begun.options.dry_run


def _at_work(
    begun: "TeamBegun", plan: TeamPlan, store: "TeamStore", specialist: "Specialist", record: "Record"
) -> "TeamWork":
    from tasks.agents.team.handoff import HandOffs
    from tasks.agents.team.intents import Intents
    from tasks.agents.team.message_log import MessageLog
    from tasks.agents.team.shares import Shares
    from tasks.agents.team.team_work import TeamWork

    files = open_store()
    return TeamWork(
        begun=begun,
        plan=plan,
        store=store,
        messages=MessageLog(files, store.folder, record),
        intents=Intents(files, begun.workspace),
        handoffs=HandOffs(files),
        shares=Shares(begun, plan.tasks),
        specialist=specialist,
    )


async def _answered(pool: "Pool", switches: "Switches", work: "TeamWork") -> "Answered":
    """The results put together; by rule where the team was stopped."""
    from blocks.action import hash_of
    from tasks.agents.team.aggregate import Answered, answered, unmerged
    from tasks.agents.team.stopping import unless_stopped

    outcomes = [work.outcomes[task.id] for task in work.plan.tasks]

    async def make() -> Answered:
        left_s = work.shares.left_s()
        return await unless_stopped(
            switches, work.coordinator, work.begun.run_id, lambda: answered(pool, work.begun, outcomes, left_s)
        )

    if work.stopped is None:
        try:
            content: list[Any] = [one.model_dump(mode="json") for one in outcomes]
            return await work.store.once(Answered, f"answers/{hash_of('team', content)[:16]}", make)
        except Stopped as error:
            work.stopped = error
    return unmerged(outcomes)


def recorder(begun: "TeamBegun") -> "Record":
    """Writes into the audit under the team's run, once for each entry id."""
    from blocks.audit import Entry
    from blocks.audit.places import open_audit

    audit = open_audit(settings().agents_home)

    async def record(phase: str, entry_id: str, **facts: Any) -> None:
        entry = Entry(
            entry_id=f"{begun.run_id}/{entry_id}",
            run_id=begun.run_id,
            agent=begun.coordinator.name,
            user=begun.user,
            phase=phase,  # pyright: ignore[reportArgumentType] - pydantic checks it
            **facts,
        )
        await in_thread(audit.append, entry)

    return record


def _own_id() -> str:
    """The id of a team's run that this flow run begins; the same when Prefect runs it again."""
    return sha256(f"team/{flow_run.id}".encode()).hexdigest()[:16]


async def show(result: TeamResult) -> TeamResult:
    """Show what came of it in the Prefect UI."""
    async with only_informing("team's result"):
        await acreate_markdown_artifact(
            key=f"team-result-{result.run_id}", markdown=team_markdown(result), description=result.goal[:200]
        )
    return result
