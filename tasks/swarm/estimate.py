"""What a swarm will cost and how long it will take, from the limits and prices of the accounts, before it is run."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from math import ceil

from prefect import task
from prefect.cache_policies import NO_CACHE

from blocks.accounts.account import USD_UNIT, Model
from blocks.accounts.capacity import Bound, Capacity, bounds_of, capacities, fits
from blocks.accounts.chat import Caller
from blocks.accounts.pool import Pool
from blocks.accounts.routes import Route
from blocks.accounts.tokens import BYTES_PER_TOKEN, prompt_tokens
from blocks.model import Frozen
from blocks.progress import in_thread
from tasks.swarm.job import SwarmJob
from tasks.swarm.lately import lately
from tasks.swarm.survey import Survey

ASSUMED_LATENCY_S = 2.0
"""Where the books know no call of the model; the estimate says so."""

SHARE_STEPS = 20
"""To a millionth of the rows."""


class Estimate(Frozen):
    """What is to be expected; every row is taken for one call that succeeds.

    Attributes:
        due: Rows to do.
        models: Models they may go to, those of `spill_over` too.
        accounts: Accounts they may go to, those of `spill_over` too.
        first_choice: Accounts with their models that calls go to, as `account/model`.
        spill_over: Those that calls go to only when none of the first choice has room or works.
        spill_share: Share of the rows that go there, about, if all accounts work.
        prompt_tokens: Tokens of all prompts.
        counted: How: `estimated from all prompts`, or `counted on a sample of N`.
        longest_tokens: Tokens of the longest prompt, about.
        longest_fits: Whether a model takes it, and a limit of tokens lets it pass.
        output_tokens_most: Were every answer as long as it may be.
        output_tokens_likely: Were they as long as this model's answers lately; None when the books know none.
        cost_usd_most: Dollars at the longest answers and the dearest of all accounts; None when a price is unknown.
        cost_usd_likely: Dollars at likely lengths and mean prices.
        latency_s: Seconds a call takes.
        latency_is_measured: Whether the books say so; else it is assumed.
        bounds: The limits that apply, the tightest first; the first one binds.
        seconds: How long the swarm takes, about.
        usd_left: What is left of the tightest budget; None without one.
        budget_suffices: Whether that is enough for `cost_usd_most`; None without a budget or a price.
    """

    due: int
    models: tuple[str, ...]
    accounts: tuple[str, ...]
    first_choice: tuple[str, ...]
    spill_over: tuple[str, ...] = ()
    spill_share: float = 0.0
    prompt_tokens: int
    counted: str
    longest_tokens: int
    longest_fits: bool
    output_tokens_most: int
    output_tokens_likely: int | None = None
    cost_usd_most: float | None = None
    cost_usd_likely: float | None = None
    latency_s: float
    latency_is_measured: bool
    bounds: tuple[Bound, ...]
    seconds: float
    usd_left: float | None = None
    budget_suffices: bool | None = None

    @property
    def rate_per_s(self) -> float:
        """Rows a second."""
        return self.due / self.seconds if self.seconds else float(self.due)


async def estimate(job: SwarmJob, pool: Pool, survey: Survey) -> Estimate:
    """What is to be expected of a job.

    Raises:
        Unsupported: no account has such a model, or such a label.
    """
    requests = [job.request(text or "-") for text in survey.sample] or [job.request("-")]
    sizes = [prompt_tokens(job.request(""), Model()) + size // BYTES_PER_TOKEN for size in survey.sample_bytes or (1,)]
    stages = await capacities(pool, requests, sizes, Caller(user=job.user, labels=job.accounts))
    first, found, due = stages[0].routes, stages[-1], survey.due
    routes = found.routes
    known = await in_thread(lately, pool.books, [route.name for route in first])
    most = max(route.model.output_tokens(job.max_output_tokens) for route in routes)
    prompts, counted = await in_thread(_most_prompt_tokens, job, survey, routes)
    longest = survey.longest_bytes // BYTES_PER_TOKEN + prompt_tokens(job.request("-"), first[0].model)
    likely = known and min(known.output_tokens, most) * due
    latency_s = known.latency_s if known else ASSUMED_LATENCY_S
    used, held = prompts + (most * due if likely is None else ceil(likely)), prompts + most * due
    bounding = partial(bounds_of, concurrency=job.concurrency, latency_s=latency_s)
    bounds = bounding(found, calls=due, used=used, held=held)

    def is_done(stage: Capacity, share: float) -> bool:
        tightest = bounding(stage, calls=ceil(share * due), used=ceil(share * used), held=ceil(share * held))[0]
        return tightest.seconds <= bounds[0].seconds

    shares = [_share(partial(is_done, stage)) for stage in stages]
    at_most, at_likely = _costs(stages, shares, prompts, most * due, likely)
    return Estimate(
        due=due,
        models=_once(route.name for route in routes),
        accounts=_once(route.account.name for route in routes),
        first_choice=_once(route.key for route in first),
        spill_over=_once(route.key for route in routes[len(first) :]),
        spill_share=round(1 - shares[0], 4),
        prompt_tokens=prompts,
        counted=counted,
        longest_tokens=longest,
        longest_fits=any(fits(route, longest, job.max_output_tokens) for route in routes),
        output_tokens_most=most * due,
        output_tokens_likely=None if likely is None else ceil(likely),
        cost_usd_most=at_most,
        cost_usd_likely=at_likely,
        latency_s=latency_s,
        latency_is_measured=known is not None,
        bounds=bounds,
        seconds=bounds[0].seconds + (latency_s if due else 0),
        usd_left=found.usd_left,
        budget_suffices=None if found.usd_left is None or at_most is None else at_most <= found.usd_left,
    )


@task(name="estimate", cache_policy=NO_CACHE, persist_result=False)
async def estimate_step(job: SwarmJob, pool: Pool, survey: Survey) -> Estimate:
    """See `estimate`."""
    return await estimate(job, pool, survey)


def _share(is_done: Callable[[float], bool]) -> float:
    """The largest share of the rows that is done in time, by bisection."""
    low, high = 0.0, 1.0
    if is_done(high):
        return high
    for _ in range(SHARE_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if is_done(middle) else (low, middle)
    return low


def _costs(
    stages: Sequence[Capacity], shares: Sequence[float], prompts: int, most: int, likely: float | None
) -> tuple[float | None, float | None]:
    """Dollars at most, and likely: what a stage does not do in time spills over to the routes that the next one adds.

    Args:
        stages: As `capacities` gives them.
        shares: Share of the rows that each does in the time that all of them take.
        prompts: Tokens of all prompts.
        most: Tokens of all answers at most.
        likely: Tokens of all answers as they were lately.
    """
    routes = stages[-1].routes
    prices = [route.model.price for route in routes if route.model.price is not None]
    if len(prices) < len(routes):
        return None, None
    at_most = max(price.cost_units(prompts, most) for price in prices) / USD_UNIT
    if likely is None:
        return at_most, None
    usd = done = 0.0
    for share, before, stage in zip(shares, (0, *(len(one.routes) for one in stages)), stages, strict=False):
        own = prices[before : len(stage.routes)]
        mean_units = sum(price.cost_units(prompts, ceil(likely)) for price in own) / len(own)
        usd += max(0.0, share - done) * mean_units / USD_UNIT
        done = max(done, share)
    return at_most, usd


def _most_prompt_tokens(job: SwarmJob, survey: Survey, routes: Sequence[Route]) -> tuple[int, str]:
    """As `_prompt_tokens`, of the model that counts most."""
    models = {route.model.tokenizer: route.model for route in routes}
    return max(_prompt_tokens(job, survey, model) for model in models.values())


def _prompt_tokens(job: SwarmJob, survey: Survey, model: Model) -> tuple[int, str]:
    """Tokens of all prompts, and how they were counted: exactly on a sample where that takes its time."""
    frame = prompt_tokens(job.request("-"), model) * survey.due
    if model.tokenizer is None or not survey.sample:
        return survey.prompt_bytes // BYTES_PER_TOKEN + frame, "estimated from all prompts"
    empty = prompt_tokens(job.request("-"), model)
    tokens = sum(prompt_tokens(job.request(text or "-"), model) - empty for text in survey.sample)
    share = tokens / max(1, sum(len(text.encode()) for text in survey.sample))
    return ceil(survey.prompt_bytes * share) + frame, f"counted on a sample of {len(survey.sample)}"


def _once(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
