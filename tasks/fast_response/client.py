"""What measuring costs on our own side, and whether it disturbs what is measured."""

import asyncio
import gc
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from blocks.model import Frozen
from tasks.fast_response.call import Call
from tasks.fast_response.latencies import Latencies, latencies

PROBE_S = 0.02
"""The event loop is looked at so often. Its own timers are late by up to a millisecond (epoll counts in those)."""

BUSY_SHARE = 0.7
"""Of one core: above it latencies are ours as well as the server's."""


class ClientCost(Frozen):
    """What our client does to the measurement.

    Attributes:
        cpu_ms_per_request: CPU time of this process for each request.
        cpu_share: CPU time of this process over the time of the loop; 1 is one core, the most an event loop has.
        lag: How late the event loop was, by a timer of its own: so late may any time be that we tell.
        sent_late: How late requests were sent, in an open loop; it is part of their latency.
        waited_share: Requests that waited for our own limits in `accounts.yaml`.
        retried: Requests that were sent more than once; the time of all attempts counts.
    """

    cpu_ms_per_request: float
    cpu_share: float
    lag: Latencies
    sent_late: Latencies | None
    waited_share: float
    retried: int

    @property
    def is_busy(self) -> bool:
        """Whether our own process may be what is slow."""
        return self.cpu_share > BUSY_SHARE


@dataclass
class Watch:
    """What is noted while a loop runs."""

    cpu_s: float = 0.0
    seconds: float = 0.0
    lag_ms: list[float] = field(default_factory=list[float])

    def cost(self, calls: Sequence[Call], sent_late_ms: Sequence[float] | None) -> ClientCost:
        """What the loop cost."""
        return ClientCost(
            cpu_ms_per_request=1000 * self.cpu_s / max(1, len(calls)),
            cpu_share=self.cpu_s / self.seconds if self.seconds else 0.0,
            lag=latencies(self.lag_ms),
            sent_late=None if sent_late_ms is None else latencies(sent_late_ms),
            waited_share=sum(call.waited_ms > 1 for call in calls) / max(1, len(calls)),
            retried=sum(call.attempts > 1 for call in calls),
        )


@asynccontextmanager
async def watched() -> AsyncGenerator[Watch]:
    """Note what the block costs, and keep our own garbage collector out of it.

    Looking through all objects of a process that has loaded Prefect stops it for a tenth of a second, which would be
    told as latency of the server. What there is before is therefore not looked through.
    """
    watch = Watch()
    gc.collect()
    gc.freeze()
    probe = asyncio.create_task(_look(watch.lag_ms))
    cpu, start = time.process_time(), time.monotonic()
    try:
        yield watch
    finally:
        watch.cpu_s, watch.seconds = time.process_time() - cpu, time.monotonic() - start
        probe.cancel()
        gc.unfreeze()


async def _look(lag_ms: list[float]) -> None:
    due = time.monotonic()
    while True:
        due = max(due + PROBE_S, time.monotonic())
        await asyncio.sleep(due - time.monotonic())
        lag_ms.append(1000 * (time.monotonic() - due))
