"""What our own client does to a measurement is seen, and told."""

import asyncio
import gc
import time
from pathlib import Path

from tasks.fast_response.call import Call, timed
from tasks.fast_response.client import watched
from tasks.fast_response.prompt import prepared
from tasks.fast_response.routes import caller_of
from tests.tasks.fast_response.serving import account, served, turns
from tests.tasks.fast_response.test_load import asked


async def test_what_a_request_waits_before_it_is_sent_is_part_of_its_time(tmp_path: Path) -> None:
    one = prepared(turns(1)[0], asked(), [account().models["fast"]])
    async with served(tmp_path) as (pool, _):
        now = time.monotonic()
        call = await timed(pool, one.request, caller_of(asked()), turn="1", intent=None, due=now - 5.0, began=now - 8.0)
    assert call.ttft_ms is not None and call.total_ms is not None
    assert call.total_ms >= call.ttft_ms >= 5000
    assert round(call.due_s, 6) == 3.0


async def test_an_event_loop_that_is_held_up_is_noticed() -> None:
    async with watched() as watch:
        await asyncio.sleep(0)
        until = time.process_time() + 0.05
        while time.process_time() < until:  # busy, as a client that is too slow
            pass
        while not watch.lag_ms:  # noqa: ASYNC110 - it is the loop itself that is looked at
            await asyncio.sleep(0)
    cost = watch.cost([Call(turn="1", attempts=2, waited_ms=5), Call(turn="2", attempts=1)], [1.0, 2.0])
    assert cost.cpu_ms_per_request >= 25
    assert (cost.lag.max_ms or 0) >= 20
    assert (cost.retried, cost.waited_share) == (1, 0.5)
    assert cost.sent_late is not None and cost.sent_late.max_ms == 2.0


async def test_what_was_there_before_is_kept_out_of_garbage_collection_meanwhile() -> None:
    async with watched():
        assert gc.get_freeze_count() > 0
    assert gc.get_freeze_count() == 0
