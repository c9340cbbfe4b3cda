"""What the rest of a batch will cost and how long it will take: from its prompts, or better from what a pilot took."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil

from blocks.accounts.account import USD_UNIT, Model
from blocks.accounts.capacity import Capacity, bounds_of, capacity_of, fits
from blocks.accounts.chat import Caller
from blocks.accounts.pool import Pool
from blocks.accounts.routes import Route, candidates
from blocks.accounts.tokens import BYTES_PER_TOKEN, prompt_tokens
from blocks.model import Frozen
from blocks.progress import in_thread
from tasks.batch_prompts.chunk import Chunk, prompt_of
from tasks.batch_prompts.ledger import Ledger
from tasks.batch_prompts.llm import LlmEngine
from tasks.batch_prompts.plan import Plan
from tasks.batch_prompts.run import Tally

SAMPLE_CHUNKS = 20
"""Of each group."""

ASSUMED_LATENCY_S = 5.0


class Estimate(Frozen):
    """What is to be expected of the rows that are left.

    Attributes:
        rows: How many.
        questions: To be asked.
        prompt_tokens: To be sent.
        output_tokens: To be answered; at the most, where nothing was measured.
        cost_usd: None where a price is unknown.
        seconds: About.
        binds: The limit that makes it take so long: `rpm`, `tpm`, `rpd`, `tpd` or `concurrency`.
        permitted: The most in its window, of all accounts together.
        measured: Whether it goes by questions that were answered; else by the prompts, and the longest answers.
        usd_left: What is left of the budgets; None without one.
        budget_suffices: Whether that is enough for `cost_usd`; None without a budget or a price.
        longest_tokens: Tokens of the longest prompt that was looked at, about.
        longest_fits: Whether each group has a model that takes its longest prompt, and limits that let it pass.
    """

    rows: int
    questions: int
    prompt_tokens: int
    output_tokens: int
    cost_usd: float | None
    seconds: float
    binds: str
    permitted: int
    measured: bool
    usd_left: float | None = None
    budget_suffices: bool | None = None
    longest_tokens: int = 0
    longest_fits: bool = True


@dataclass(frozen=True)
class _Part:
    """What is left of one group.

    Attributes:
        rows: How many.
        questions: To be asked.
        prompts: Tokens to be sent.
        outputs: Tokens to be answered.
        longest: Tokens of the longest prompt that was looked at.
        fits: Whether a model takes that.
        routes: Where the questions may go.
    """

    rows: int
    questions: int
    prompts: int
    outputs: int
    longest: int
    fits: bool
    routes: tuple[Route, ...]

    @property
    def cost_usd(self) -> float | None:
        """At the dearest of the routes; None where a price is unknown."""
        prices = [route.model.price for route in self.routes]
        known = [price.cost_units(self.prompts, self.outputs) for price in prices if price is not None]
        return max(known) / USD_UNIT if len(known) == len(prices) else None


async def estimate(plan: Plan, ledger: Ledger, pool: Pool, tally: Tally | None = None) -> Estimate:
    """What is to be expected.

    Args:
        plan: What to do.
        ledger: What is done.
        pool: Who answers.
        tally: What a pilot took; None before there was one.

    Raises:
        Unsupported: no account has such a model, or such a label.
    """
    parts = await in_thread(_parts, plan, ledger, pool, tally)
    latency_s = tally.latency_s / tally.asked if tally is not None and tally.asked else ASSUMED_LATENCY_S
    questions, prompts = sum(part.questions for part in parts), sum(part.prompts for part in parts)
    outputs, tokens = sum(part.outputs for part in parts), sum(part.prompts + part.outputs for part in parts)
    caller = _caller(plan)
    everything = await capacity_of(pool, _routes_of(parts), caller)
    bound = bounds_of(
        everything,
        concurrency=plan.file.concurrency,
        calls=questions,
        used=tokens,
        held=tokens,
        latency_s=latency_s,
    )[0]
    cost_usd = _sum(part.cost_usd for part in parts)
    usd_left, suffices = await _budget(pool, caller, parts, everything)
    return Estimate(
        rows=sum(part.rows for part in parts),
        questions=questions,
        prompt_tokens=prompts,
        output_tokens=outputs,
        cost_usd=cost_usd,
        seconds=bound.seconds,
        binds=bound.limit,
        permitted=bound.permitted,
        measured=tally is not None and tally.asked > 0,
        usd_left=usd_left,
        budget_suffices=suffices,
        longest_tokens=max((part.longest for part in parts), default=0),
        longest_fits=all(part.fits for part in parts),
    )


async def _budget(
    pool: Pool, caller: Caller, parts: Sequence[_Part], everything: Capacity
) -> tuple[float | None, bool | None]:
    """What is left, and whether it suffices: of all accounts for all groups, and of its own ones for each group."""
    asked = [(_sum(part.cost_usd for part in parts), everything.usd_left)]
    for routes in dict.fromkeys(part.routes for part in parts):
        own = await capacity_of(pool, routes, caller)
        asked.append((_sum(part.cost_usd for part in parts if part.routes == routes), own.usd_left))
    limited = [(cost, left) for cost, left in asked if left is not None]
    if not limited:
        return None, None
    for cost, left in limited:
        if cost is not None and cost > left:
            return left, False
    return limited[0][1], None if any(cost is None for cost, _ in limited) else True


def _parts(plan: Plan, ledger: Ledger, pool: Pool, tally: Tally | None) -> list[_Part]:
    """What is left, by group. Blocks."""
    engine = LlmEngine(pool, plan)
    due = {group: ledger.due(group) for group in plan.templates}
    return [_part(plan, ledger, engine, pool, group, rows, tally) for group, rows in due.items() if rows]


def _part(
    plan: Plan, ledger: Ledger, engine: LlmEngine, pool: Pool, group: str, due: Sequence[int], tally: Tally | None
) -> _Part:
    calls = ceil(len(due) / plan.file.chunk_size)
    sizes = _prompt_bytes(plan, ledger, group, due)
    request = engine.request(group, "-")
    routes = tuple(route for some in candidates(pool.routes, pool.accounts, request, _caller(plan)) for route in some)
    longest = max(sizes) // BYTES_PER_TOKEN + prompt_tokens(request, Model())
    sent = sum(sizes) / len(sizes) * calls / BYTES_PER_TOKEN
    answered = max(route.model.output_tokens(plan.file.max_output_tokens) for route in routes) * calls
    if tally is not None and tally.asked:
        done = max(1, tally.answered + tally.given_up)
        calls = ceil(calls * tally.asked / tally.chunks)
        sent = tally.prompt_tokens / done * len(due)
        answered = ceil(tally.completion_tokens / done * len(due))
    return _Part(
        rows=len(due),
        questions=calls,
        prompts=ceil(sent),
        outputs=answered,
        longest=longest,
        fits=any(fits(route, longest, plan.file.max_output_tokens) for route in routes),
        routes=routes,
    )


def _prompt_bytes(plan: Plan, ledger: Ledger, group: str, due: Sequence[int]) -> list[int]:
    """Bytes of the prompts of the first chunks of a group."""
    size, sizes = plan.file.chunk_size, list[int]()
    for first in range(0, min(len(due), SAMPLE_CHUNKS * size), size):
        items = tuple(ledger.items(due[first : first + size]))
        wanted = {item.number: plan.per_row.units for item in items}
        sizes.append(len(prompt_of(plan, Chunk(group=group, items=items, wanted=wanted)).encode()))
    return sizes


def _caller(plan: Plan) -> Caller:
    return Caller(user=plan.file.user, labels=plan.file.accounts)


def _routes_of(parts: Iterable[_Part]) -> list[Route]:
    return list({route.key: route for part in parts for route in part.routes}.values())


def _sum(costs: Iterable[float | None]) -> float | None:
    """All together; None where one is unknown."""
    known = list(costs)
    return None if None in known else sum(cost for cost in known if cost is not None)
