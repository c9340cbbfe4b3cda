"""Beginning a run: which agent, for whom, under which rules; fixed then for all its attempts."""

from datetime import UTC, datetime

from blocks.approvals import login_name
from blocks.settings import Settings
from tasks.agents.definition import AgentDefinition, find_agent, read_agent
from tasks.agents.given import WORKSPACES, checked_goal, smaller, workspace_of
from tasks.agents.opened import private_folder
from tasks.agents.result import AgentOptions
from tasks.agents.runs import Begun, RunStore

LONGEST_GOAL = 100_000
"""Characters."""


def begin(store: RunStore, chosen: Settings, run_id: str, goal: str, agent: str, options: AgentOptions) -> Begun:
    """The run as it was begun, or is now.

    Args:
        store: Where runs are kept.
        chosen: The settings.
        run_id: Names the run.
        goal: What it is to reach; not looked at when the run was begun before.
        agent: Which agent, likewise.
        options: How, likewise, but for the budget: a run that goes on may be given another, up to what the agent's file
            allowed when it was begun.

    Raises:
        NotFound, BadInput: there is no such agent, or it is wrong.
        BadInput, TooLarge: there is no goal, or it is too long.
        NotAllowed: the session is somebody else's.
    """
    if (found := store.begun(run_id)) is not None:
        return found if options.budget_usd is None else store.allow_usd(found, options.budget_usd)
    checked_goal(goal, "the agent", LONGEST_GOAL)
    definition = read_agent(agent, chosen.agents_dir)
    user = options.user or login_name()
    before = store.join(options.session, user)
    own = options.session or run_id
    workspace = workspace_of(chosen, own, options.workspace)
    if options.workspace is None:
        private_folder(chosen.agents_home, WORKSPACES, own)
    return store.begin(
        Begun(
            run_id=run_id,
            goal=goal,
            definition=_within(definition, options),
            agent_usd=definition.limits.budget_usd,
            folder=str(find_agent(agent, chosen.agents_dir).parent),
            profile=options.profile or chosen.agent_profile,
            user=user,
            begun_by=login_name(),
            session=options.session,
            turns=len(before.runs),
            attended=(not definition.unattended) if options.attended is None else options.attended,
            dry_run=options.dry_run,
            approval_s=options.approval_s,
            workspace=str(workspace),
            labels=tuple(sorted({*options.labels, *before.labels})),
            started_at=datetime.now(UTC),
        ),
        before,
    )


def _within(definition: AgentDefinition, options: AgentOptions) -> AgentDefinition:
    """The agent with the smaller of its own budget and the one asked for."""
    budget_usd = smaller(definition.limits.budget_usd, options.budget_usd)
    limits = definition.limits.model_copy(update={"budget_usd": budget_usd})
    return definition.model_copy(update={"limits": limits})
