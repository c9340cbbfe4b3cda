"""What the rest of a batch will cost and how long it will take: from its prompts, or better from what a pilot took."""

from collections.abc import Sequence
from math import ceil

from blocks.accounts.account import USD_UNIT
from blocks.accounts.chat import Caller
from blocks.accounts.pool import Pool
from blocks.accounts.routes import Route, candidates
from blocks.accounts.tokens import BYTES_PER_TOKEN
from blocks.model import Frozen
from tasks.batch_prompts.chunk import Chunk, prompt_of
from tasks.batch_prompts.ledger import Ledger
from tasks.batch_prompts.llm import LlmEngine
from tasks.batch_prompts.plan import Plan
from tasks.batch_prompts.run import Tally

SAMPLE_CHUNKS = 20
"""Of each group."""

ASSUMED_LATENCY_S = 5.0
MINUTE_S = 60.0


class Estimate(Frozen):
    """What is to be expected of the rows that are left.

    Attributes:
        rows: How many.
        questions: To be asked.
        prompt_tokens: To be sent.
        output_tokens: To be answered; at the most, where nothing was measured.
        cost_usd: None where a price is unknown.
        seconds: About.
        binds: The limit that makes it take so long: `rpm`, `tpm` or `concurrency`.
        measured: Whether it goes by questions that were answered; else by the prompts, and the longest answers.
    """

    rows: int
    questions: int
    prompt_tokens: int
    output_tokens: int
    cost_usd: float | None
    seconds: float
    binds: str
    measured: bool


def estimate(plan: Plan, ledger: Ledger, pool: Pool, tally: Tally | None = None) -> Estimate:
    """What is to be expected. Blocks.

    Args:
        plan: What to do.
        ledger: What is done.
        pool: Who answers.
        tally: What a pilot took; None before there was one.

    Raises:
        Unsupported: no account has such a model, or such a label.
    """
    engine, size = LlmEngine(pool, plan), plan.file.chunk_size
    rows = questions = prompts = outputs = 0
    most_units = 0
    is_priced = True
    found: dict[str, Route] = {}
    for group in plan.templates:
        due = ledger.due(group)
        if not due:
            continue
        calls = ceil(len(due) / size)
        sent = _prompt_bytes(plan, ledger, group, due) * calls / BYTES_PER_TOKEN
        routes = _routes(plan, pool, engine, group)
        answered = max(route.model.output_tokens(plan.file.max_output_tokens) for route in routes) * calls
        if tally is not None and tally.asked:
            done = max(1, tally.answered + tally.given_up)
            calls = ceil(calls * tally.asked / tally.chunks)
            sent = tally.prompt_tokens / done * len(due)
            answered = ceil(tally.completion_tokens / done * len(due))
        rows, questions, prompts, outputs = rows + len(due), questions + calls, prompts + ceil(sent), outputs + answered
        prices = [route.model.price for route in routes]
        is_priced = is_priced and None not in prices
        most_units += max((price.cost_units(ceil(sent), answered) for price in prices if price is not None), default=0)
        found |= {route.key: route for route in routes}
    latency_s = tally.latency_s / tally.asked if tally is not None and tally.asked else ASSUMED_LATENCY_S
    seconds, binds = _longest(plan, list(found.values()), questions, prompts + outputs, latency_s)
    return Estimate(
        rows=rows,
        questions=questions,
        prompt_tokens=prompts,
        output_tokens=outputs,
        cost_usd=most_units / USD_UNIT if is_priced else None,
        seconds=seconds,
        binds=binds,
        measured=tally is not None and tally.asked > 0,
    )


def _prompt_bytes(plan: Plan, ledger: Ledger, group: str, due: Sequence[int]) -> float:
    """Mean bytes of a prompt, over the first chunks of a group."""
    size, sizes = plan.file.chunk_size, list[int]()
    for first in range(0, min(len(due), SAMPLE_CHUNKS * size), size):
        items = tuple(ledger.items(due[first : first + size]))
        wanted = {item.number: plan.per_row.units for item in items}
        sizes.append(len(prompt_of(plan, Chunk(group=group, items=items, wanted=wanted)).encode()))
    return sum(sizes) / len(sizes)


def _routes(plan: Plan, pool: Pool, engine: LlmEngine, group: str) -> list[Route]:
    caller = Caller(user=plan.file.user, labels=plan.file.accounts)
    return [
        route for some in candidates(pool.routes, pool.accounts, engine.request(group, "-"), caller) for route in some
    ]


def _longest(plan: Plan, routes: Sequence[Route], questions: int, tokens: int, latency_s: float) -> tuple[float, str]:
    bounds = [(questions * latency_s / plan.file.concurrency, "concurrency")]
    accounts = list({route.account.name: route.account for route in routes}.values())
    for name, amount in (("rpm", questions), ("tpm", tokens)):
        limits = [getattr(account.quota, name) for account in accounts]
        if limits and None not in limits:
            bounds.append((amount / max(1, sum(limits)) * MINUTE_S, name))
    return max(bounds)
