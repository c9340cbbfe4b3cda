"""What a vLLM server says at `/metrics`, of a simulated one: the histograms of its latencies.

Names and buckets as vLLM 0.12 has them (docs.vllm.ai/en/v0.12.0/design/metrics). The queue's and the whole's begin at
0.3 s, so that replies within some hundred milliseconds all lie in one bucket: only their mean is exact.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prometheus_client import Histogram

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

FIRST_TOKEN_S = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0),
    *(80.0, 160.0, 640.0, 2560.0),
)
REQUEST_S = (
    *(0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0, 240.0, 480.0),
    *(960.0, 1920.0, 7680.0),
)


class VllmMetrics:
    """The histograms of one server."""

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Histogram

        self._registry = CollectorRegistry()

        def histogram(name: str, told: str, buckets: tuple[float, ...]) -> "Histogram":
            return Histogram(name, told, ("model_name",), buckets=buckets, registry=self._registry)

        self._first = histogram("vllm:time_to_first_token_seconds", "Time to the first token.", FIRST_TOKEN_S)
        self._whole = histogram("vllm:e2e_request_latency_seconds", "Time to the last token.", REQUEST_S)
        self._queued = histogram("vllm:request_queue_time_seconds", "Time in the queue.", REQUEST_S)

    def note(self, model: str, queued_s: float, first_s: float, whole_s: float) -> None:
        """A request was answered; all times from its arrival, in seconds."""
        self._queued.labels(model).observe(queued_s)
        self._first.labels(model).observe(first_s)
        self._whole.labels(model).observe(whole_s)

    def text(self) -> bytes:
        """As Prometheus reads it."""
        from prometheus_client import generate_latest

        return generate_latest(self._registry)
