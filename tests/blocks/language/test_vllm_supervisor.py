"""When a vLLM server counts as idle."""

from typing import Any

import pytest

from blocks.language.vllm_supervisor import IdleClock, Use, use_in

METRICS = """\
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0"} 2.0
vllm:num_requests_waiting{engine="0"} 1.0
vllm:num_requests_waiting_by_reason{engine="0",reason="capacity"} 1.0
vllm:request_success_total{engine="0",finished_reason="stop"} 40.0
vllm:request_success_total{engine="0",finished_reason="length"} 2.0
vllm:request_success_created{engine="0",finished_reason="stop"} 1.7e+09
"""


def test_metrics_are_summed_over_their_labels() -> None:
    assert use_in(METRICS) == Use(in_hand=3, finished=42)
    assert use_in("") == Use(in_hand=0, finished=0)


@pytest.mark.parametrize(
    ("heard", "over_at_s"),
    [
        ([(0, None), (5, None)], 100),  # it never answered: the first limit stays
        ([(5, Use(0, 0))], 15),  # from the first answer on
        ([(5, Use(0, 0)), (9, Use(0, 0))], 15),
        ([(5, Use(0, 0)), (9, Use(1, 0))], 19),
        ([(5, Use(0, 0)), (9, Use(0, 1))], 19),  # a request between two looks
        ([(5, Use(0, 7)), (9, None), (12, Use(0, 7))], 15),
    ],
)
def test_the_clock_runs_while_there_is_no_work(heard: list[Any], over_at_s: float) -> None:
    clock = IdleClock(10, until_s=100)
    for now_s, use in heard:
        clock.note(now_s, use)
    assert not clock.over(over_at_s - 0.1)
    assert clock.over(over_at_s)
