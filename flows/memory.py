"""The agents' memory tidied at night."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from prefect import flow
from prefect.artifacts import acreate_markdown_artifact
from prefect.runtime import flow_run

from blocks.progress import only_informing
from blocks.settings import settings
from tasks.agents.consolidate import Consolidated, consolidate

if TYPE_CHECKING:
    from blocks.accounts.pool import Pool

LONGEST_S = 4 * 3600
"""Seconds after which a consolidation ends; the next one goes on where it was."""


def run_name() -> str:
    """Says whose memory it is about."""
    given = flow_run.parameters
    return f"of {given.get('agent') or 'all agents'} for {given.get('user') or 'all users'}"


@flow(name="consolidate-memory", flow_run_name=run_name, persist_result=False, timeout_seconds=LONGEST_S)
async def consolidate_memory(agent: str | None = None, user: str | None = None) -> Consolidated:
    """Merge memories that say the same, archive what nobody needed, erase what was merged or forgotten 30 days ago.

    A model merges where ACCOUNTS_FILE has one; without, only memories with the same words are merged. What waits for a
    person stays as it is. A run that was killed loses nothing; a second run finds nothing to do.

    Args:
        agent: Only this agent's memories are merged; None for all.
        user: Only this user's.

    Returns:
        What became of them.

    Raises:
        StoreFailed: the memory cannot be written.
        BadInput: the accounts file is wrong.
    """
    from blocks.memory.open import open_memory

    memory = open_memory()
    try:
        async with _pool() as pool:
            return await _show(await consolidate(memory, pool, agent=agent, user=user))
    finally:
        memory.close()


@asynccontextmanager
async def _pool() -> "AsyncGenerator[Pool | None]":
    """The account pool; None where there is no accounts file."""
    if not settings().accounts_file.expanduser().exists():
        yield None
        return
    from blocks.accounts.open import open_pool

    async with open_pool() as pool:
        yield pool


async def _show(made: Consolidated) -> Consolidated:
    facts = made.model_dump(exclude={"troubles"})
    rows = [f"| {name.replace('_', ' ')} | {number} |" for name, number in facts.items()]
    lines = ["# Memory", "", "| what | how many |", "|---|---|", *rows]
    lines += ["", *(f"- {trouble}" for trouble in made.troubles)] if made.troubles else []
    async with only_informing():
        await acreate_markdown_artifact("\n".join(lines), key="memory-consolidation")
    return made
