"""A server that works on a bounded number of calls at once, and what it tells of its latencies."""

import asyncio

import pytest
from prometheus_client.parser import text_string_to_metric_families

from deployments.simulator.slots import Slots
from tests.deployments.simulator.calling import HTTP, SAID, account, chat, events
from tests.deployments.simulator.conftest import Serve


async def test_calls_get_their_slots_in_the_order_of_their_arrival() -> None:
    slots, order = Slots(1), list[int]()
    began = await slots.enter()

    async def one(number: int) -> float:
        at = await slots.enter()
        order.append(number)
        slots.leave(at + 1)
        return at

    waiting = [asyncio.create_task(one(number)) for number in range(3)]
    await asyncio.sleep(0)
    assert order == []
    slots.leave(began + 100)
    first, second, third = await asyncio.gather(*waiting)
    assert order == [0, 1, 2]
    # The moments when they should have ended, whatever the clock says meanwhile.
    assert [first - began, second - first, third - second] == pytest.approx([100, 1, 1])


async def test_whoever_gives_up_takes_no_slot_with_him() -> None:
    slots = Slots(1)
    began = await slots.enter()
    impatient, handed, last = (asyncio.create_task(slots.enter()) for _ in range(3))
    await asyncio.sleep(0)
    impatient.cancel()
    await asyncio.sleep(0)
    slots.leave(began)
    handed.cancel()  # it has the slot, and does not know yet
    await last
    assert impatient.cancelled()
    slots.leave(began)
    assert await slots.enter() >= began


async def test_more_slots_let_those_in_who_wait() -> None:
    slots = Slots(1)
    await slots.enter()
    waiting = [asyncio.create_task(slots.enter()) for _ in range(2)]
    await asyncio.sleep(0)
    slots.set(None)
    await asyncio.gather(*waiting)


def test_a_vllm_server_tells_its_latencies_and_others_do_not(serve: Serve) -> None:
    simulator = serve(account(provider="vllm"), account("second"), slots=1, piece_tokens=1, token_ms=1)
    answered = chat(simulator, stream=True)
    assert len([event for event in events(answered) if '"content":"' in event]) == 1 + -(-len(SAID) // 4)
    shown = HTTP.get(f"{simulator.url}/a/first/metrics").raise_for_status().text
    counts = {
        sample.name: sample.value
        for family in text_string_to_metric_families(shown)
        for sample in family.samples
        if sample.name.endswith("_count")
    }
    assert counts == {
        "vllm:time_to_first_token_seconds_count": 1,
        "vllm:e2e_request_latency_seconds_count": 1,
        "vllm:request_queue_time_seconds_count": 1,
    }
    assert HTTP.get(f"{simulator.url}/a/second/metrics").status_code == 404
    assert HTTP.get(f"{simulator.url}/a/nobody/metrics").status_code in (401, 404)
