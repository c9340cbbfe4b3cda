"""What is measured of the LLM accounts: by the books and the limits of all processes, and nothing by user.

Every gateway tells the same, so of several take the largest, not the sum.
"""

from collections.abc import Generator, Iterable, Iterator, Sequence
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family

from blocks.accounts.account import USD_UNIT
from blocks.accounts.pool import Pool
from blocks.accounts.standing import account_limits
from blocks.accounts.tally import BUCKETS_S, Tallied, Tally
from blocks.limits.limit import Standing
from blocks.progress import in_thread
from deployments.gateway.llm import LivePool, NoAccounts
from deployments.gateway.metrics.families import gauge_family
from deployments.gateway.metrics.table import TABLE

FRESH_S = 10.0

TOKENS = ("prompt", "completion", "cached")


class LlmLook:
    """Looks at a gateway's account pool.

    Args:
        live_pool: The pool.
    """

    def __init__(self, live_pool: LivePool) -> None:
        self._live_pool = live_pool
        self._tally: Tally | None = None

    async def read(self) -> Sequence[Family] | None:
        """What there is now; None where there are no accounts."""
        try:
            pool = await self._live_pool.pool()
        except NoAccounts:
            return None
        return [*counted(await in_thread(self._tallied, pool)), *standing(await _standings(pool))]

    def _tallied(self, pool: Pool) -> Tallied:
        if self._tally is None:
            self._tally = Tally(pool.books.engine())
        return self._tally.read()


def counted(tallied: Tallied) -> Iterator[Family]:
    """Counters and latencies, by what the books say."""
    calls, tokens, cost = (_counter(f"c500_llm_{what}_total") for what in ("calls", "tokens", "cost_usd"))
    told = TABLE["c500_llm_latency_seconds"]
    latency = HistogramMetricFamily(told.name, told.told, labels=told.labels)
    for row, what in tallied.totals.items():
        calls.add_metric(row, what["calls"])
    for route, sums in _by_route(tallied):
        for kind in TOKENS:
            tokens.add_metric((*route, kind), sums[f"{kind}_tokens"])
        cost.add_metric(route, sums["cost_units"] / USD_UNIT)
    bounds = (*map(str, BUCKETS_S), "+Inf")
    for route, (counts, seconds) in tallied.latencies.items():
        latency.add_metric(route, list(zip(bounds, accumulate(counts), strict=True)), seconds)
    yield from (calls, tokens, cost, latency)


def standing(standings: Iterable[Standing]) -> Iterator[Family]:
    """How full the limits of the accounts are."""
    known = list(standings)
    used = {(one.key,): (one.settled + one.held) / one.amount if one.amount else 1.0 for one in known}
    yield gauge_family("c500_llm_limit_used_ratio", used)
    yield gauge_family("c500_llm_limit_blocked", {(one.key,): float(one.blocked_s > 0) for one in known})


def _counter(name: str) -> CounterMetricFamily:
    return CounterMetricFamily(name, TABLE[name].told, labels=TABLE[name].labels)


async def _standings(pool: Pool) -> list[Standing]:
    return await pool.limiter.standing(account_limits(pool.accounts))


def _by_route(tallied: Tallied) -> Generator[tuple[tuple[str, str], dict[str, int]]]:
    """The sums over all outcomes."""
    routes: dict[tuple[str, str], dict[str, int]] = {}
    for (account, model, _), what in tallied.totals.items():
        sums = routes.setdefault((account, model), dict.fromkeys(what, 0))
        for name, amount in what.items():
            sums[name] += amount
    yield from routes.items()
