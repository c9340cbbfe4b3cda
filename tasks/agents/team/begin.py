"""Beginning a team's run: who coordinates, who is in it, under which rules; fixed then for all its attempts."""

from datetime import UTC, datetime
from hashlib import sha256

from blocks.approvals import login_name
from blocks.errors import BadInput
from blocks.settings import Settings
from tasks.agents.definition import read_agent
from tasks.agents.given import WORKSPACES, checked_goal, checked_id, workspace_of
from tasks.agents.opened import private_folder
from tasks.agents.team.plan import TeamPlan, check_plan
from tasks.agents.team.result import TeamOptions
from tasks.agents.team.team_store import TeamBegun, TeamStore
from tasks.agents.team.text import storable

LONGEST_GOAL = 20_000
"""Characters: every specialist is told the team's goal beside its own."""


def begin_team(
    store: TeamStore,
    chosen: Settings,
    run_id: str,
    goal: str,
    agent: str,
    options: TeamOptions,
    plan: TeamPlan | None,
) -> TeamBegun:
    """The team's run as it was begun, or is now.

    Args:
        store: Its records.
        chosen: The settings.
        run_id: Names the run.
        goal: What it is to reach; not looked at when the run was begun before, and so with what follows.
        agent: The coordinator; the team are its specialists.
        options: How it works.
        plan: The caller's own.

    Raises:
        NotFound, BadInput: an agent is not there, or is wrong; there is no goal; the plan cannot be carried out.
        TooLarge: the goal is too long.
    """
    checked_id(run_id)
    if (found := store.begun()) is not None:
        return found
    begun = drafted(chosen, run_id, goal, agent, options, plan)
    if options.workspace is None:
        private_folder(chosen.agents_home, WORKSPACES, run_id)
    return store.begin(begun)


def drafted(
    chosen: Settings, run_id: str, goal: str, agent: str, options: TeamOptions, plan: TeamPlan | None
) -> TeamBegun:
    """A run that could be begun; nothing is written. See `begin_team`."""
    checked_goal(goal, "the team", LONGEST_GOAL)
    coordinator = read_agent(agent, chosen.agents_dir)
    if not coordinator.specialists:
        fix = f"name an agent that has `specialists`, or give {agent} some; docs/agents/teams.md shows how"
        raise BadInput(f"agent {agent} has no specialists to share work with", fix=fix, field="agent")
    begun = TeamBegun(
        run_id=run_id,
        goal=storable(goal),
        coordinator=coordinator,
        specialists={name: read_agent(name, chosen.agents_dir).description for name in coordinator.specialists},
        options=options,
        plan=plan,
        user=options.user or login_name(),
        workspace=str(workspace_of(chosen, run_id, options.workspace)),
        started_at=datetime.now(UTC),
    )
    if plan is not None:
        check_plan(plan, begun.bounds)
    return begun


def specialist_id(run_id: str, task_id: str) -> str:
    """The id of the run in which a task of a team is done: 16 hexadecimal digits, the same in every attempt."""
    return sha256(f"team/{run_id}/{task_id}".encode()).hexdigest()[:16]
