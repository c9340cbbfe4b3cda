"""What vLLM tells of itself: read from its text, less what was before, and compared with ours."""

import pytest

from blocks.accounts.routes import Route
from tasks.fast_response.latencies import latencies
from tasks.fast_response.server_metrics import Histogram, ServerMetrics, read_histograms
from tests.tasks.fast_response.serving import account

TEXT = """# HELP vllm:time_to_first_token_seconds Histogram of time to first token in seconds.
# TYPE vllm:time_to_first_token_seconds histogram
vllm:time_to_first_token_seconds_bucket{engine="0",le="0.1",model_name="m"} 90.0
vllm:time_to_first_token_seconds_bucket{engine="0",le="0.25",model_name="m"} 96.0
vllm:time_to_first_token_seconds_bucket{engine="0",le="+Inf",model_name="m"} 100.0
vllm:time_to_first_token_seconds_count{engine="0",model_name="m"} 100.0
vllm:time_to_first_token_seconds_sum{engine="0",model_name="m"} 12.0
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="m"} 3.0
"""


def test_histograms_of_engines_and_servers_are_summed() -> None:
    found = read_histograms([TEXT, TEXT.replace('engine="0"', 'engine="1"') + TEXT])["ttft"]
    assert (found.count, found.sum_s) == (300, 36)
    assert found.bucket_s(95) == (0.1, 0.25)
    assert found.bucket_s(99) == (0.25, float("inf"))
    assert found.bucket_s(50) == (0.0, 0.1)


def test_what_is_no_text_of_prometheus_is_refused() -> None:
    with pytest.raises(ValueError):
        read_histograms(["<html>502</html>"])


def test_what_was_before_is_taken_away() -> None:
    found = Histogram({0.1: 10, 0.25: 20}, 20, 3.0)
    found.add(Histogram({0.1: 10, 0.25: 12}, 12, 1.0), sign=-1)
    assert (found.count, found.sum_s, found.bucket_s(50)) == (8, 2.0, (0.1, 0.25))


async def test_a_server_that_is_away_tells_nothing() -> None:
    metrics = ServerMetrics(["http://127.0.0.1:1/metrics"])
    await metrics.before()
    await metrics.after()
    assert metrics.compared(latencies([]), latencies([])) == ()


def test_two_keys_of_one_server_are_one_server() -> None:
    def route(provider: str) -> Route:
        given = account(provider)
        return Route(account=given, name="fast", model=given.models["fast"], limits=({}, {}))

    found = ServerMetrics.of([route("vllm"), route("vllm"), route("openai-compatible")])
    assert found is not None and found.urls == ("http://127.0.0.1:1/metrics",)
    assert ServerMetrics.of([route("openai-compatible")]) is None
