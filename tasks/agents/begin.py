"""Beginning a run: which agent, for whom, under which rules; fixed then for all its attempts."""

import secrets
from datetime import UTC, datetime
from pathlib import Path

from blocks.approvals import login_name
from blocks.errors import BadInput, TooLarge
from blocks.settings import Settings
from tasks.agents.definition import AgentDefinition, find_agent, read_agent
from tasks.agents.opened import private_folder
from tasks.agents.result import AgentOptions
from tasks.agents.runs import Begun, RunStore

LONGEST_GOAL = 100_000


def new_run_id() -> str:
    """16 hexadecimal digits."""
    return secrets.token_hex(8)


def begin(store: RunStore, chosen: Settings, run_id: str, goal: str, agent: str, options: AgentOptions) -> Begun:
    """The run as it was begun, or is now.

    Args:
        store: Where runs are kept.
        chosen: The settings.
        run_id: Names the run.
        goal: What it is to reach; not looked at when the run was begun before.
        agent: Which agent, likewise.
        options: How, likewise, but for the budget: a run that goes on may be given another.

    Raises:
        NotFound, BadInput: there is no such agent, or it is wrong.
        BadInput: there is no goal, or it is too long.
        NotAllowed: the session is somebody else's.
    """
    if (found := store.begun(run_id)) is not None:
        return found if options.budget_usd is None else store.allow_usd(found, options.budget_usd)
    if not goal.strip():
        raise BadInput("the agent has no goal", fix="say what it is to reach", field="goal")
    if len(goal) > LONGEST_GOAL:
        raise TooLarge(
            f"the goal has {len(goal)} characters, and may have {LONGEST_GOAL}",
            fix="put the material into a file of the workspace, and name it in the goal",
            field="goal",
        )
    definition = _within(read_agent(agent, chosen.agents_dir), options)
    user = options.user or login_name()
    before = store.join(options.session, user)
    return store.begin(
        Begun(
            run_id=run_id,
            goal=goal,
            definition=definition,
            folder=str(find_agent(agent, chosen.agents_dir).parent),
            profile=options.profile or chosen.agent_profile,
            user=user,
            begun_by=login_name(),
            session=options.session,
            turns=len(before.runs),
            attended=(not definition.unattended) if options.attended is None else options.attended,
            dry_run=options.dry_run,
            approval_s=options.approval_s,
            workspace=str(_workspace(chosen, run_id, options)),
            labels=tuple(sorted({*options.labels, *before.labels})),
            started_at=datetime.now(UTC),
        ),
        before,
    )


def _within(definition: AgentDefinition, options: AgentOptions) -> AgentDefinition:
    """The agent with the smaller of its own budget and the one asked for."""
    budgets = [one for one in (definition.limits.budget_usd, options.budget_usd) if one is not None]
    limits = definition.limits.model_copy(update={"budget_usd": min(budgets, default=None)})
    return definition.model_copy(update={"limits": limits})


def _workspace(chosen: Settings, run_id: str, options: AgentOptions) -> Path:
    if options.workspace is None:
        return private_folder(chosen.agents_home, "workspaces", options.session or run_id)
    folder = Path(options.workspace).expanduser().absolute()
    if not folder.is_dir():
        raise BadInput(f"there is no folder {folder}", fix="name one that exists, or make it", field="workspace")
    return folder
