"""All rows looked at once before any is asked: whether each has its columns, how many there are and how long."""

import random
from collections import Counter
from dataclasses import dataclass, field

from prefect import task
from prefect.cache_policies import NO_CACHE

from blocks.errors import BadInput
from blocks.progress import in_thread
from blocks.rows.prompt import Prompt
from tasks.swarm.counted import counted_in
from tasks.swarm.index import items
from tasks.swarm.job import SwarmJob
from tasks.swarm.ledger import Ledger, State

SAMPLE = 200
SAMPLE_CHARACTERS = 20_000
"""Of each prompt in the sample: enough to see how many tokens its bytes are."""


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What there is to do.

    Attributes:
        rows: Rows of the source.
        due: Rows to do in this run.
        answered: Rows of the source that were answered before.
        prompt_bytes: Of the prompts of all rows to do.
        longest_bytes: Of the longest of them.
        sample: The beginnings of some of them, drawn at random.
        sample_bytes: Of each of these, whole.
        due_rows: A byte for each row of the source: 1 where it is to be done in this run.
    """

    rows: int = 0
    due: int = 0
    answered: int = 0
    prompt_bytes: int = 0
    longest_bytes: int = 0
    sample: tuple[str, ...] = field(default=(), repr=False)
    sample_bytes: tuple[int, ...] = field(default=(), repr=False)
    due_rows: bytes = field(default=b"", repr=False)


def survey(job: SwarmJob, ledger: Ledger) -> Survey:
    """Read all rows and make the prompts of those that are to be done.

    Raises:
        BadInput: a row cannot be read, or lacks a column that the prompt names; or a file has no rows.
        ContractBroken: reading it lost or doubled a row.
    """
    prompt, chance = Prompt(job.prompt), random.Random(0)  # noqa: S311 - a sample
    wanted = "failed" if job.retry_failed else "new"
    due_rows = bytearray()
    states, total, longest, sample = Counter[State](), 0, 0, list[tuple[str, int]]()
    for item in counted_in(items(job)):
        state = ledger.state_of(item)
        states[state] += 1
        due_rows.append(state == wanted)
        if state != wanted:
            continue
        text = prompt.render(item.row, item.number)
        total += (size := len(text.encode()))
        longest = max(longest, size)
        # Algorithm R (Vitter 1985): each row has the same chance to be in the sample.
        place = len(sample) if len(sample) < SAMPLE else chance.randrange(states[wanted])
        if place < SAMPLE:
            sample[place : place + 1] = [(text[:SAMPLE_CHARACTERS], size)]
    if isinstance(job.source, str) and not states:  # a list that a program made may well be empty
        raise BadInput(
            f"{job.source} has no rows",
            fix="check that it is the right file; the first line of a table holds the names of its columns",
            field="source",
        )
    return Survey(
        rows=states.total(),
        due=states[wanted],
        answered=states["answered"],
        prompt_bytes=total,
        longest_bytes=longest,
        sample=tuple(text for text, _ in sample),
        sample_bytes=tuple(size for _, size in sample),
        due_rows=bytes(due_rows),
    )


@task(name="survey", cache_policy=NO_CACHE, persist_result=False)
async def survey_step(job: SwarmJob, ledger: Ledger) -> Survey:
    """See `survey`."""
    return await in_thread(survey, job, ledger)
