"""What is measured of the LLM accounts, for Prometheus: by the books and the limits of all processes.

Every gateway tells the same, so of several take the largest, not the sum. The books are read every 10 s at most, and
nothing is told by user: there may be any number of them.
"""

from collections.abc import Generator, Iterable, Iterator, Sequence
from itertools import accumulate

import structlog
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from sqlalchemy.exc import SQLAlchemyError

from blocks.accounts.account import USD_UNIT
from blocks.accounts.pool import Pool
from blocks.accounts.standing import account_limits
from blocks.accounts.tally import BUCKETS_S, Tallied, Tally
from blocks.errors import C500Error
from blocks.limits.limit import Standing
from blocks.progress import in_thread
from deployments.gateway.exposition import Exposition
from deployments.gateway.llm import LivePool, NoAccounts

FRESH_S = 10.0

ROUTE = ("account", "model")
TOKENS = ("prompt", "completion", "cached")


class LlmMetrics:
    """The metrics of a gateway's account pool.

    Args:
        live_pool: The pool.
    """

    def __init__(self, live_pool: LivePool) -> None:
        self._live_pool = live_pool
        self._tally: Tally | None = None
        self._exposition = Exposition(self._read, FRESH_S)

    async def exposed(self) -> bytes:
        """The metrics as Prometheus reads them; empty where there are no accounts."""
        return await self._exposition.exposed()

    async def _read(self) -> Sequence[Metric]:
        up = GaugeMetricFamily("c500_llm_up", "Whether books and limits of the LLM accounts can be read.")
        try:
            pool = await self._live_pool.pool()
            families = [*counted(await in_thread(self._tallied, pool)), *standing(await _standings(pool))]
        except NoAccounts:
            return ()
        except (C500Error, SQLAlchemyError, OSError) as error:
            structlog.stdlib.get_logger("c500").warning("llm metrics cannot be read", error=str(error))
            up.add_metric((), 0)
            return (up,)
        up.add_metric((), 1)
        return (up, *families)

    def _tallied(self, pool: Pool) -> Tallied:
        if self._tally is None:
            self._tally = Tally(pool.books.engine())
        return self._tally.read()


def counted(tallied: Tallied) -> Iterator[Metric]:
    """Counters and latencies, by what the books say."""
    calls = CounterMetricFamily("c500_llm_calls", "LLM calls.", labels=(*ROUTE, "outcome"))
    tokens = CounterMetricFamily("c500_llm_tokens", "Tokens of LLM calls.", labels=(*ROUTE, "kind"))
    cost = CounterMetricFamily("c500_llm_cost_usd", "Cost of LLM calls in dollars.", labels=ROUTE)
    latency = HistogramMetricFamily(
        "c500_llm_latency_seconds", "Seconds of LLM calls that were answered, since this gateway began.", labels=ROUTE
    )
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


def standing(standings: Iterable[Standing]) -> Iterator[Metric]:
    """How full the limits of the accounts are."""
    used = GaugeMetricFamily(
        "c500_llm_limit_used_ratio", "Used and held share of an account's limit.", labels=("limit",)
    )
    blocked = GaugeMetricFamily("c500_llm_limit_blocked", "Whether nothing is granted of a limit.", labels=("limit",))
    for one in standings:
        used.add_metric((one.key,), (one.settled + one.held) / one.amount if one.amount else 1.0)
        blocked.add_metric((one.key,), float(one.blocked_s > 0))
    yield from (used, blocked)


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
