"""The books: equal to what a caller counts, under faults and many callers; and the same again with the same seed."""

import asyncio
import json
import random
from collections import Counter

import aiohttp
import pytest

from blocks.accounts.account import Price
from deployments.simulator.behaviour import MIXED
from deployments.simulator.serve import InProcess
from tests.deployments.simulator.calling import HTTP, PRICE, SAID, account, chat
from tests.deployments.simulator.conftest import Serve


class Counted:
    """What a caller knows after its calls."""

    def __init__(self) -> None:
        self.statuses: Counter[int] = Counter()
        self.broken = 0
        self.calls = self.prompt_tokens = self.completion_tokens = self.cost_units = 0

    def add(self, usage: dict[str, object]) -> None:
        cached = usage["prompt_tokens_details"]["cached_tokens"]
        self.calls += 1
        self.prompt_tokens += usage["prompt_tokens"]
        self.completion_tokens += usage["completion_tokens"]
        self.cost_units += Price(**PRICE).cost_units(usage["prompt_tokens"], usage["completion_tokens"], cached)


async def call_all(simulator: InProcess, texts: list[str], callers: int, **fields: object) -> Counted:
    """Send each text once."""
    counted, left = Counted(), list(texts)

    async def caller(session: aiohttp.ClientSession) -> None:
        while left:
            body = {"model": "small", "messages": [{"role": "user", "content": left.pop()}]} | fields
            try:
                async with session.post(f"{simulator.base_url('first')}/chat/completions", json=body) as answer:
                    content = await answer.read()
            except aiohttp.ClientError:
                counted.broken += 1
                continue
            counted.statuses[answer.status] += 1
            if answer.status == 200:
                counted.add(json.loads(content)["usage"])

    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*(caller(session) for _ in range(callers)))
    return counted


@pytest.mark.parametrize("rows", [600, pytest.param(20_000, marks=pytest.mark.soak)])
async def test_books_equal_what_callers_count_under_faults(serve: Serve, rows: int) -> None:
    faults = dict.fromkeys(MIXED, 0.3 / len(MIXED))
    quota = {"rpm": rows * 8 // 10}
    simulator = serve(account(quota=quota), faults=faults, answer_tokens=(5, 80), cached_share=0.3, seed=7)
    counted = await call_all(simulator, [f"{SAID} {number}" for number in range(rows)], callers=16)
    book = simulator.books()["accounts"]["first"]
    answered, faults = book["answered"], Counter(book["faults"])
    assert book["requests"] == rows
    assert (book["accepted"], book["refused"]) == (quota["rpm"], {"rpm": rows - quota["rpm"]})
    assert counted.statuses[429] == book["refused"]["rpm"] + faults["rate_limited"]
    assert counted.broken == faults["reset_before"] + faults["reset_after"] + faults["half_body"]
    for name in ("calls", "prompt_tokens", "completion_tokens", "cost_units"):
        assert answered[name] == getattr(counted, name)
    assert book["undelivered"]["calls"] == faults["reset_after"] + faults["half_body"] > 0
    uncharged = sum(faults[name] for name in ("error", "overloaded", "rate_limited", "html", "reset_before"))
    assert book["accepted"] == answered["calls"] + book["undelivered"]["calls"] + uncharged
    for name in answered:
        assert book["charged"][name] == answered[name] + book["undelivered"][name]


async def test_same_seed_same_requests_same_answers_in_whatever_order(serve: Serve) -> None:
    texts = [f"row {number % 40}" for number in range(120)]  # each is tried three times
    shuffled = random.Random(1).sample(texts, len(texts))
    faults = {"error": 0.2, "reset_before": 0.1, "prose": 0.2}

    async def outcome(texts: list[str], callers: int, seed: int) -> dict[str, object]:
        simulator = serve(faults=faults, answer_tokens=(5, 500), seed=seed)
        await call_all(simulator, texts, callers)
        total = simulator.books()["total"]
        return {name: total[name] for name in ("faults", "charged", "answered")}

    once = await outcome(texts, 1, seed=3)
    assert await outcome(shuffled, 12, seed=3) == once
    assert await outcome(texts, 1, seed=4) != once


def test_single_answers_are_the_same_again_after_a_reset(serve: Serve) -> None:
    simulator = serve(faults={"error": 0.3, "fence": 0.3}, answer_tokens=(1, 60))

    def answers() -> list[tuple[int, bytes]]:
        simulator.reset()
        got = [chat(simulator, said=f"row {number % 10}") for number in range(30)]
        return [(one.status_code, one.json()["choices"] if one.is_success else one.content) for one in got]

    first = answers()
    assert len({json.dumps(content) for _, content in first if not isinstance(content, bytes)}) > 10
    assert answers() == first


@pytest.mark.parametrize(
    ("identify", "fields", "headers"),
    [
        ("user", {"user": "row-1"}, {}),
        ("metadata.row", {"metadata": {"row": "row-1"}}, {}),
        ("header.X-Row", {}, {"x-row": "row-1"}),
    ],
)
def test_repeats_are_seen(serve: Serve, identify: str, fields: dict[str, object], headers: dict[str, str]) -> None:
    simulator = serve(identify=identify, next_faults={"error": 1})
    body = {"model": "small", "messages": [{"role": "user", "content": SAID}]}
    for extra in (fields, fields, {}):
        sent = headers if extra or identify.startswith("header") else {}
        HTTP.post(f"{simulator.base_url('first')}/chat/completions", json=body | extra, headers=sent)
    times = 3 if identify.startswith("header") else 2
    assert simulator.books()["total"]["seen"] == {"row-1": {"requests": times, "answered": times - 1}}


@pytest.mark.parametrize("metadata", ["row-1", ["row"], 1])
def test_metadata_of_another_form_names_no_row(serve: Serve, metadata: object) -> None:
    simulator = serve(account(quota={"concurrency": 1}), identify="metadata.row")
    assert [chat(simulator, metadata=metadata).status_code for _ in range(2)] == [200, 200]
    assert simulator.books()["total"]["seen"] == {}


def test_control_over_http(serve: Serve) -> None:
    simulator = serve(account("first"), account("second"))
    url = f"{simulator.url}/simulator"
    changed = HTTP.post(f"{url}/behaviour", params={"account": "second"}, json={"next_faults": {"error": 1}})
    assert changed.status_code == 204
    assert [chat(simulator, account=name).status_code for name in ("first", "second", "second")] == [200, 500, 200]
    assert HTTP.get(f"{url}/books").json() == simulator.books()
    assert HTTP.post(f"{url}/reset").status_code == 204
    assert simulator.books()["total"]["requests"] == 0
    for wrong in ({"latency": "slow"}, {"nonsense": 1}, {"script": "os.system"}, []):
        assert HTTP.post(f"{url}/behaviour", json=wrong).status_code == 400
    assert HTTP.post(f"{url}/behaviour", params={"account": "third"}, json={}).status_code == 400
    assert HTTP.get(f"{url}/other").status_code == 404


def test_models_without_a_price_are_told_apart(serve: Serve) -> None:
    simulator = serve(account(models={"small": {}}))
    chat(simulator)
    charged = simulator.books()["total"]["charged"]
    assert (charged["cost_units"], charged["unpriced"]) == (0, 1)
