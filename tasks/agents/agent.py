"""The agent of a run: its model, its tools, and what stands between them, outermost first."""

from collections.abc import Sequence
from pathlib import Path

from pydantic_ai import Agent
from pydantic_ai.capabilities import AbstractCapability

from blocks.accounts.chat import Caller
from tasks.agents.call_ids import CallIds
from tasks.agents.durability import durability
from tasks.agents.opened import Opened
from tasks.agents.permission import Permission
from tasks.agents.pooled_model import PooledModel
from tasks.agents.purse import purse_of
from tasks.agents.toolset import toolset_of
from tasks.agents.trail import Trail

CALL_S = 600.0
"""The longest that a call of the model waits for limits, and takes. A budget that is spent for longer ends the run as
`limited`, which says so; it can be gone on with when there is money again."""

RETRIES = 5
"""How often in a row the model may call a tool wrongly before the run fails."""


def agent_of(
    work: Opened,
    instructions: str,
    results: Path,
    *,
    outer: Sequence[AbstractCapability[str]] = (),
    inner: Sequence[AbstractCapability[str]] = (),
) -> Agent[str, str]:
    """The agent of a run.

    Args:
        work: What it works with.
        instructions: What the model is told first of all.
        results: Where results of model and tool calls are stored.
        outer: What comes before everything else: the guard.
        inner: What comes after permission: compaction, memory.
    """
    definition = work.definition
    return Agent(
        PooledModel(
            lambda: work.pool,
            lambda: caller_of(work),
            model=definition.model,
            tier=definition.tier,
            max_output_tokens=definition.limits.output_tokens,
            # Hidden only: what a run called before the rules changed must be found when it is replayed.
            hidden=work.hidden,
        ),
        name=definition.name,
        deps_type=str,
        instructions=instructions,
        retries=RETRIES,
        toolsets=[toolset_of(work.tools.values())],
        capabilities=[*outer, Trail(), CallIds(), Permission(), *inner, durability(work.run_id, results)],
    )


def caller_of(work: Opened) -> Caller:
    """For whom the model is called: budgets and books go by it."""
    purse = purse_of(work.run_id, work.definition.limits)
    return Caller(user=work.user, session=work.session, job=work.run_id, deadline_s=CALL_S, purse=purse)
