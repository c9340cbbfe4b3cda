"""Whether a model says the same twice: one chunk of each group asked two times, and the answers held together."""

import asyncio
import time
from dataclasses import replace

from blocks.model import Frozen
from blocks.progress import in_thread
from tasks.batch_prompts.chunk import Chunk, prompt_of
from tasks.batch_prompts.coverage import Coverage, Covered
from tasks.batch_prompts.engine import Answered, Engine
from tasks.batch_prompts.ledger import Ledger
from tasks.batch_prompts.plan import Plan


class Agreement(Frozen):
    """How far two answers to one chunk agree.

    Attributes:
        group: The chunk's group.
        rows: Input rows of the chunk.
        wanted: Output rows of the chunk.
        complete: Share of them that both answers have.
        same: Share of them that both have, with the same values everywhere.
        columns: By column, share of the output rows that both have whose values there are the same.
        cost_usd: Of both; None where it is not known.
    """

    group: str
    rows: int
    wanted: int
    complete: float
    same: float
    columns: dict[str, float]
    cost_usd: float | None


async def probe(plan: Plan, ledger: Ledger, engine: Engine) -> tuple[Agreement, ...]:
    """Ask the first chunk of each group twice; nothing of it goes into the ledger.

    Raises:
        C500Error: a chunk is not answered.
    """
    chunks = await in_thread(_first_chunks, plan, ledger)
    try:
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(_agreement(plan, engine, chunk)) for chunk in chunks]
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return tuple(one.result() for one in asked)


def _first_chunks(plan: Plan, ledger: Ledger) -> list[Chunk]:
    chunks: dict[str, Chunk] = {}
    for item in ledger.every():
        chunk = chunks.setdefault(item.group, Chunk(group=item.group, items=(), wanted={}))
        if len(chunk.items) < plan.file.chunk_size:
            items = (*chunk.items, item)
            wanted = {one.number: plan.per_row.units for one in items}
            chunks[item.group] = replace(chunk, items=items, wanted=wanted)
    return list(chunks.values())


async def _agreement(plan: Plan, engine: Engine, chunk: Chunk) -> Agreement:
    prompt = prompt_of(plan, chunk)
    # Each time as a chunk that no run has asked, nor will: an agent's session gives its answer to the same one again.
    now = time.time_ns()
    answers = [await engine.answer(replace(chunk, asked=-now - turn), prompt) for turn in range(2)]
    coverage = Coverage(plan)
    return compare(plan, chunk, answers, [coverage.check(chunk, answer.rows) for answer in answers])


def compare(plan: Plan, chunk: Chunk, answers: list[Answered], covered: list[Covered]) -> Agreement:
    """How far two answers to a chunk agree."""
    one, other = (
        {(number, unit): cells for number, units in found.found.items() for unit, cells in units.items()}
        for found in covered
    )
    both = one.keys() & other.keys()
    columns = {
        name: _share(sum(one[place][name] == other[place][name] for place in both), len(both))
        for name in plan.file.columns
    }
    costs = [answer.cost_usd for answer in answers]
    return Agreement(
        group=chunk.group,
        rows=len(chunk.items),
        wanted=chunk.units,
        complete=_share(len(both), chunk.units),
        same=_share(sum(one[place] == other[place] for place in both), chunk.units),
        columns=columns,
        cost_usd=None if None in costs else sum(cost or 0.0 for cost in costs),
    )


def _share(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0
