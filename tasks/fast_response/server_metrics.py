"""What vLLM servers say of their own latencies at `/metrics`, to compare with what we measured.

Source: docs.vllm.ai/en/v0.12.0/design/metrics. Only mean and count of a histogram are exact; a percentile lies
somewhere in its bucket, and vLLM's first bucket of whole requests ends at 300 ms.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf, isinf
from typing import Literal

import structlog

from blocks.accounts.routes import Route
from blocks.model import Frozen
from tasks.fast_response.latencies import Latencies

Told = Literal["ttft", "total", "queue"]

NAMES: dict[Told, str] = {
    "ttft": "vllm:time_to_first_token_seconds",
    "total": "vllm:e2e_request_latency_seconds",
    "queue": "vllm:request_queue_time_seconds",
}

ASK_TIMEOUT_S = 5.0
PERCENT = 95

log = structlog.stdlib.get_logger("c500")


@dataclass
class Histogram:
    """A histogram of Prometheus: how many values are up to each bound, their number and their sum, in seconds."""

    up_to: dict[float, float] = field(default_factory=dict[float, float])
    count: float = 0.0
    sum_s: float = 0.0

    def add(self, other: "Histogram", sign: int = 1) -> None:
        """Add another one, or take it away."""
        for bound, count in other.up_to.items():
            self.up_to[bound] = self.up_to.get(bound, 0.0) + sign * count
        self.count += sign * other.count
        self.sum_s += sign * other.sum_s

    def bucket_s(self, percent: int) -> tuple[float, float]:
        """Between which bounds the percentile lies."""
        wanted, low = self.count * percent / 100, 0.0
        for bound in sorted(self.up_to):
            if self.up_to[bound] >= wanted:
                return low, bound
            low = bound
        return low, inf


class Compared(Frozen):
    """What a server says of one latency, beside what we measured.

    Attributes:
        what: Time to the first token, to the last, or in its queue.
        count: Requests that the server counted meanwhile.
        mean_ms: Their mean, as the server says.
        low_ms: The server's p95 is more than this,
        high_ms: and at most this; None where its buckets end before.
        ours_mean_ms: The mean that we measured; None of the queue, which only the server sees.
        ours_p95_ms: Our p95.
        added_ms: Our mean less the server's: network, connection, our client, and in an open loop what we sent late.
    """

    what: Told
    count: int
    mean_ms: float
    low_ms: float
    high_ms: float | None
    ours_mean_ms: float | None = None
    ours_p95_ms: float | None = None
    added_ms: float | None = None


class ServerMetrics:
    """The histograms of servers before and after a loop.

    Args:
        urls: Where they are told.
    """

    def __init__(self, urls: Iterable[str]) -> None:
        self.urls = tuple(sorted(set(urls)))
        self._told: dict[Told, Histogram] = {}
        self._before: dict[Told, Histogram] | None = None

    @classmethod
    def of(cls, routes: Iterable[Route]) -> "ServerMetrics | None":
        """Of all vLLM servers among these; None where there is none."""
        accounts = [route.account for route in routes]
        urls = [f"{one.url.removesuffix('/v1')}/metrics" for one in accounts if one.provider == "vllm"]
        return cls(urls) if urls else None

    async def before(self) -> None:
        """Note what they say before the loop."""
        self._before = await self._asked()

    async def after(self) -> None:
        """Note what has come since."""
        now = await self._asked()
        if now is None or self._before is None:
            return
        for what, histogram in now.items():
            histogram.add(self._before.get(what, Histogram()), sign=-1)
            if histogram.count > 0:
                self._told[what] = histogram

    def compared(self, ttft: Latencies, total: Latencies) -> tuple[Compared, ...]:
        """Each latency that the servers tell, beside ours."""
        ours: Mapping[Told, Latencies | None] = {"ttft": ttft, "total": total, "queue": None}
        return tuple(_compared(what, self._told[what], ours[what]) for what in NAMES if what in self._told)

    async def _asked(self) -> dict[Told, Histogram] | None:
        """What all servers together say; None when one says nothing, which stops no measurement."""
        import httpx

        try:
            async with httpx.AsyncClient(timeout=ASK_TIMEOUT_S, trust_env=False) as client:
                answers = await asyncio.gather(*(client.get(url) for url in self.urls))
            return read_histograms([answer.raise_for_status().text for answer in answers])
        except (httpx.HTTPError, ValueError) as error:
            log.warning("server metrics unread", error=f"{type(error).__name__}: {error}"[:300])
            return None


def read_histograms(texts: Sequence[str]) -> dict[Told, Histogram]:
    """The histograms in texts of Prometheus, summed over servers, engines and models.

    Raises:
        ValueError: a text is none of Prometheus.
    """
    from prometheus_client.parser import text_string_to_metric_families

    found: dict[Told, Histogram] = {what: Histogram() for what in NAMES}
    kinds: dict[str, Told] = {name: what for what, name in NAMES.items()}
    for text in texts:
        for family in text_string_to_metric_families(text):
            if (what := kinds.get(family.name)) is None:
                continue
            for sample in family.samples:
                _take(found[what], sample.name.removeprefix(family.name), sample.labels, sample.value)
    return found


def _take(histogram: Histogram, suffix: str, labels: Mapping[str, str], value: float) -> None:
    if suffix == "_bucket":
        bound = float(labels["le"])
        histogram.up_to[bound] = histogram.up_to.get(bound, 0.0) + value
    elif suffix == "_count":
        histogram.count += value
    elif suffix == "_sum":
        histogram.sum_s += value


def _compared(what: Told, histogram: Histogram, ours: Latencies | None) -> Compared:
    low_s, high_s = histogram.bucket_s(PERCENT)
    mean_ms = 1000 * histogram.sum_s / histogram.count
    ours_mean_ms = ours.mean_ms if ours else None
    return Compared(
        what=what,
        count=round(histogram.count),
        mean_ms=mean_ms,
        low_ms=1000 * low_s,
        high_ms=None if isinf(high_s) else 1000 * high_s,
        ours_mean_ms=ours_mean_ms,
        ours_p95_ms=ours.at(PERCENT) if ours else None,
        added_ms=None if ours_mean_ms is None else ours_mean_ms - mean_ms,
    )
