"""Limits over HTTP: exact, told honestly, and counted."""

import asyncio
import re
import time
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from itertools import pairwise

import aiohttp
import httpx
import pytest

from deployments.simulator.asked import tokens_in
from deployments.simulator.behaviour import Drift
from deployments.simulator.serve import InProcess
from tests.deployments.simulator.calling import HTTP, SAID, account, chat
from tests.deployments.simulator.conftest import Serve
from tests.processes import eventually

TOKENS = 2 * tokens_in(SAID)
"""Of one call that echoes `SAID`."""


def seconds(duration: str) -> float:
    """`1m2.5s` or `20ms`, the form of OpenAI's reset headers."""
    units = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
    parts = re.findall(r"([\d.]+)(ms|[hms])", duration)
    assert "".join(number + unit for number, unit in parts) == duration
    return sum(float(number) * units[unit] for number, unit in parts)


def test_headers_tell_what_is_left_and_a_429_says_when(serve: Serve) -> None:
    simulator = serve(account(quota={"rpm": 2, "tpm": 1000}))
    first, second, refused = (chat(simulator) for _ in range(3))
    assert first.headers["x-ratelimit-limit-requests"] == "2"
    assert [one.headers["x-ratelimit-remaining-requests"] for one in (first, second, refused)] == ["1", "0", "0"]
    assert second.headers["x-ratelimit-remaining-tokens"] == str(1000 - 2 * TOKENS)
    assert 50 < seconds(second.headers["x-ratelimit-reset-requests"]) <= 60
    assert refused.status_code == 429
    wait_ms = int(refused.headers["retry-after-ms"])
    assert 50_000 < wait_ms <= 60_000
    assert int(refused.headers["retry-after"]) == -(-wait_ms // 1000)
    error = refused.json()["error"]
    assert (error["type"], error["code"]) == ("requests", "rate_limit_exceeded")
    assert "Limit 2, Used 2, Requested 1. Please try again in" in error["message"]
    window = simulator.books()["accounts"]["first"]["windows"]["rpm"]
    assert window == {"limit": 2, "peak": 2, "too_many": 1}


def test_who_waits_as_long_as_told_is_let_in(serve: Serve) -> None:
    simulator = serve(account(quota={"rpm": 2}), window_s=0.2)
    waits = 0
    for _ in range(12):
        while (answer := chat(simulator)).status_code == 429:
            time.sleep(int(answer.headers["retry-after-ms"]) / 1000)
            assert chat(simulator, said="the next").status_code == 200
            waits += 1
    assert waits > 0
    assert simulator.books()["accounts"]["first"]["windows"]["rpm"]["peak"] == 2


@pytest.mark.parametrize("pace_s", [0.0, pytest.param(0.002, marks=pytest.mark.soak, id="for longer")])
async def test_no_window_ever_holds_more_than_the_limit(serve: Serve, pace_s: float) -> None:
    window_s, limit = 0.25, 20
    simulator = serve(account(quota={"rpm": limit}), window_s=window_s)
    taken = await hammer(simulator, for_s=1.0 if pace_s == 0 else 10.0, pace_s=pace_s)
    for first in taken:
        # A call surely within the window that begins when the first was sent: answered before that window's end.
        within = [one for one in taken if one[0] >= first[0] and one[1] < first[0] + window_s]
        assert len(within) <= limit
    books = simulator.books()["accounts"]["first"]
    assert (books["accepted"], books["windows"]["rpm"]["peak"]) == (len(taken), limit)
    assert books["refused"] == {"rpm": books["windows"]["rpm"]["too_many"]}
    assert len(taken) > 2 * limit  # windows that are over let others in


async def hammer(simulator: InProcess, for_s: float, pace_s: float) -> list[tuple[float, float]]:
    """Ten callers without a limiter: when each taken call was sent and answered, by the sending."""
    taken: list[tuple[float, float]] = []
    end = time.monotonic() + for_s
    body = {"model": "small", "messages": [{"role": "user", "content": SAID}]}

    async def caller(session: aiohttp.ClientSession) -> None:
        while (sent := time.monotonic()) < end:
            async with session.post(f"{simulator.base_url('first')}/chat/completions", json=body) as answer:
                await answer.read()
                if answer.status == 200:
                    taken.append((sent, time.monotonic()))
            await asyncio.sleep(pace_s)

    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*(caller(session) for _ in range(10)))
    assert all(sent <= answered for sent, answered in taken)
    return sorted(taken)


def test_tokens_count_as_they_were_when_the_call_ended(serve: Serve) -> None:
    simulator = serve(account(quota={"tpm": TOKENS + tokens_in(SAID)}))
    assert chat(simulator, max_tokens=500).status_code == 200  # what it may use does not count
    assert chat(simulator).status_code == 200  # its prompt fits just so, its answer passes the limit
    refused = chat(simulator)
    assert refused.json()["error"]["type"] == "tokens"
    windows = simulator.books()["accounts"]["first"]["windows"]
    assert windows["tpm"] == {"limit": TOKENS + tokens_in(SAID), "peak": 2 * TOKENS, "too_many": 1}


def test_tokens_count_as_estimated_before_the_call(serve: Serve) -> None:
    simulator = serve(account(quota={"tpm": 300}), tpm_rule="estimate")
    answer = chat(simulator, max_tokens=200)
    assert answer.headers["x-ratelimit-remaining-tokens"] == str(300 - tokens_in(SAID) - 200)
    refused = chat(simulator, max_tokens=100)
    assert f"Used {tokens_in(SAID) + 200}, Requested {tokens_in(SAID) + 100}." in refused.json()["error"]["message"]
    assert chat(simulator, max_tokens=50).status_code == 200
    large = chat(simulator, max_tokens=400)
    assert "Request too large" in large.json()["error"]["message"]
    assert "retry-after" not in large.headers


def test_days_limit_requests_and_tokens(serve: Serve) -> None:
    simulator = serve(account(quota={"rpd": 2}), account("second", quota={"tpd": TOKENS}))
    assert [chat(simulator).status_code for _ in range(3)] == [200, 200, 429]
    assert [chat(simulator, account="second").status_code for _ in range(2)] == [200, 429]
    assert chat(simulator).headers["x-ratelimit-limit-requests"] == "2"
    assert simulator.books()["accounts"]["second"]["refused"] == {"tpd": 1}


async def test_only_so_many_run_at_once(serve: Serve) -> None:
    simulator = serve(account(quota={"concurrency": 3}), next_faults={"hang": 3})

    def running() -> dict[str, int]:
        return simulator.books()["accounts"]["first"]["windows"]["concurrency"]

    with ThreadPoolExecutor(3) as pool:
        hanging = [pool.submit(chat_until, simulator, 2.0) for _ in range(3)]
        await eventually(lambda: running()["peak"] == 3)
        refused = chat(simulator)
        assert refused.status_code == 429
        assert "concurrency: 3" in refused.json()["error"]["message"]
        assert all(isinstance(one.exception(), httpx.TimeoutException) for one in hanging)
    assert chat(simulator).status_code == 200
    assert running() == {"limit": 3, "peak": 3, "too_many": 1}


def chat_until(simulator: InProcess, timeout_s: float) -> None:
    body = {"model": "small", "messages": [{"role": "user", "content": SAID}]}
    HTTP.post(f"{simulator.base_url('first')}/chat/completions", json=body, timeout=timeout_s)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_caller_one_at_a_time_is_never_refused(serve: Serve, stream: bool) -> None:
    simulator = serve(account(quota={"concurrency": 1}))
    async with aiohttp.ClientSession() as session:
        body = {"model": "small", "messages": [{"role": "user", "content": SAID}], "stream": stream}
        for _ in range(100):
            async with session.post(f"{simulator.base_url('first')}/chat/completions", json=body) as answer:
                assert answer.status == 200
                await answer.read()


async def test_a_caller_that_gave_up_holds_nothing(serve: Serve) -> None:
    simulator = serve(account(quota={"concurrency": 1}), next_faults={"hang": 20})
    async with aiohttp.ClientSession() as session:
        body = {"model": "small", "messages": [{"role": "user", "content": SAID}]}
        url = f"{simulator.base_url('first')}/chat/completions"
        for _ in range(20):
            with pytest.raises(TimeoutError):
                await session.post(url, json=body, timeout=aiohttp.ClientTimeout(total=0.05))
        async with session.post(url, json=body) as answer:
            assert answer.status == 200
    books = simulator.books()["accounts"]["first"]
    assert (books["abandoned"], books["refused"]) == (20, {})


def test_a_model_has_limits_of_its_own(serve: Serve) -> None:
    models = {"small": {"quota": {"rpm": 1}}, "large": {"name": "large-2026", "quota": {"rpm": 2}}}
    simulator = serve(account(models=models, quota={"rpm": 3}))
    assert [chat(simulator).status_code for _ in range(2)] == [200, 429]
    assert [chat(simulator, model="large-2026").status_code for _ in range(3)] == [200, 200, 429]
    book = simulator.books()["accounts"]["first"]
    assert book["models"]["small"]["windows"]["rpm"] == {"limit": 1, "peak": 1, "too_many": 1}
    assert book["windows"]["rpm"] == {"limit": 3, "peak": 3, "too_many": 1}
    assert chat(simulator, model="large").status_code == 404  # its name here is the provider's


def test_of_several_limits_in_the_way_the_longest_is_told(serve: Serve) -> None:
    simulator = serve(account(quota={"rpm": 1, "rpd": 1}), day_s=1e9)
    refused = [chat(simulator) for _ in range(2)][1]
    assert int(refused.headers["retry-after"]) > 1000
    books = simulator.books()
    assert books["accounts"]["first"]["refused"] == {"rpd": 1}
    assert [books["accounts"]["first"]["windows"][name]["too_many"] for name in ("rpm", "rpd", "tpm")] == [1, 1, 0]
    assert books["total"]["too_many"] == 1


def test_a_limit_may_only_be_counted_or_change(serve: Serve) -> None:
    simulator = serve(account(quota={"rpm": 1}), enforce=False)
    assert [chat(simulator).status_code for _ in range(3)] == [200, 200, 200]
    assert simulator.books()["accounts"]["first"]["windows"]["rpm"] == {"limit": 1, "peak": 3, "too_many": 2}
    assert simulator.books()["total"]["too_many"] == 2
    simulator.reset()
    simulator.change(enforce=True, quota={"rpm": 2})
    assert [chat(simulator).status_code for _ in range(3)] == [200, 200, 429]


def test_a_provider_may_tell_nothing(serve: Serve) -> None:
    simulator = serve(account(quota={"rpm": 1}), rate_limit_headers=False)
    assert not [name for name in chat(simulator).headers if "ratelimit" in name]


def test_a_wrong_clock_shows_in_dates_and_windows(serve: Serve) -> None:
    simulator = serve(account(quota={"rpm": 1}), drift={"offset_s": -3600})
    asked_s = time.time()
    first_s = parsedate_to_datetime(chat(simulator).headers["date"]).timestamp() + 3600
    assert asked_s - 1 <= first_s <= time.time()  # `Date` has whole seconds
    simulator.change(drift={"offset_s": -3600, "speed": 100})
    time.sleep(0.6)  # a minute of its clock
    assert chat(simulator).status_code == 200
    simulator.change(drift={"offset_s": 0, "speed": 0.001})
    again = chat(simulator)
    assert again.status_code == 429
    assert int(again.headers["retry-after"]) <= 60  # by its own clock


def test_windows_of_a_clock_that_is_set_go_on(serve: Serve) -> None:
    simulator = serve(account(quota={"rpm": 1}))
    clock = simulator.simulator.tenants["first"].clock
    moments = [clock.now_ns()]
    for speed in (5.0, 0.01, 1.0):
        clock.set(Drift(speed=speed))
        moments += [clock.now_ns(), clock.now_ns()]
    assert all(before <= after for before, after in pairwise(moments))
