"""Beginning a team's run: who coordinates, who is in it, under which rules; fixed then for all its attempts."""

import re
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from blocks.approvals import login_name
from blocks.errors import BadInput, TooLarge
from blocks.settings import Settings
from tasks.agents.definition import read_agent
from tasks.agents.opened import private_folder
from tasks.agents.team.plan import TeamPlan, check_plan
from tasks.agents.team.result import TeamOptions
from tasks.agents.team.team_store import TeamBegun, TeamStore
from tasks.agents.team.text import storable

LONGEST_GOAL = 20_000
"""Characters: every specialist is told the team's goal beside its own."""

RUN_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


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
        private_folder(chosen.agents_home, "workspaces", run_id)
    return store.begin(begun)


def drafted(
    chosen: Settings, run_id: str, goal: str, agent: str, options: TeamOptions, plan: TeamPlan | None
) -> TeamBegun:
    """A run that could be begun; nothing is written. See `begin_team`."""
    if not goal.strip():
        raise BadInput("the team has no goal", fix="say what it is to reach", field="goal")
    if len(goal) > LONGEST_GOAL:
        raise TooLarge(
            f"the goal has {len(goal)} characters, and may have {LONGEST_GOAL}",
            fix="put the material into a file of the workspace, and name it in the goal",
            field="goal",
        )
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
        workspace=_workspace(chosen, run_id, options),
        started_at=datetime.now(UTC),
    )
    if plan is not None:
        check_plan(plan, begun.bounds)
    return begun


def checked_id(run_id: str) -> str:
    """The id, if a team's run may have it. Raises `BadInput`."""
    if RUN_ID.fullmatch(run_id):
        return run_id
    fix = "use lower-case letters, digits and `-`, at most 63"
    raise BadInput(f"a team's run cannot have the id {run_id[:80]!r}", fix=fix, field="run_id")


def specialist_id(run_id: str, task_id: str) -> str:
    """The id of the run in which a task of a team is done: 16 hexadecimal digits, the same in every attempt."""
    return sha256(f"team/{run_id}/{task_id}".encode()).hexdigest()[:16]


def _workspace(chosen: Settings, run_id: str, options: TeamOptions) -> str:
    if options.workspace is None:
        return str(chosen.agents_home.expanduser() / "workspaces" / run_id)
    folder = Path(options.workspace).expanduser().absolute()
    if not folder.is_dir():
        raise BadInput(f"there is no folder {folder}", fix="name one that exists, or make it", field="workspace")
    return str(folder)
