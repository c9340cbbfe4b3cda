"""When no account answers the pool knows it, and tells it from limits that are waited for."""

import asyncio
from pathlib import Path

import pytest
from aiohttp import web

from blocks.accounts.chat import Caller
from blocks.accounts.failure import Failure
from blocks.accounts.traffic import Traffic
from blocks.errors import C500Error
from tests.blocks.accounts.conftest import asked
from tests.blocks.accounts.providers import at, completion, never, pool_of, provider, refused
from tests.processes import eventually

NOBODY = "http://127.0.0.1:1/v1"
FAULT = Failure(kind="transient", message="gone")


async def test_an_outage_names_every_account_until_one_answers(tmp_path: Path) -> None:
    async with pool_of(tmp_path, at(NOBODY), at(NOBODY, "two")) as pool:
        waiting = [asyncio.create_task(pool.complete(asked(), Caller(deadline_s=60))) for _ in range(30)]
        await eventually(lambda: pool.traffic.outage_s > 0)
        assert pool.traffic.accounts == ["one", "two"]
        assert pool.traffic.told.startswith("one/small, two/small no answer: ")
        for call in waiting:
            call.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert pool.traffic.in_flight == 0


@pytest.mark.parametrize(("status", "is_outage"), [(429, False), (401, True)])
async def test_a_provider_that_asks_for_patience_is_no_outage(tmp_path: Path, status: int, is_outage: bool) -> None:
    async def answer(_: web.Request) -> web.Response:
        return refused(status)

    async with provider(answer) as url, pool_of(tmp_path, at(url)) as pool:
        with pytest.raises(C500Error):
            await pool.complete(asked(), Caller(deadline_s=5))
        assert (pool.traffic.outage_s > 0) is is_outage


async def test_an_account_that_works_beside_those_that_do_not_is_no_outage(tmp_path: Path) -> None:
    async def answer(_: web.Request) -> web.Response:
        return completion()

    async with provider(answer) as url, pool_of(tmp_path, at(NOBODY), at(url, "two")) as pool:
        await asyncio.gather(*[pool.complete(asked(f"{n}")) for n in range(40)])
        assert pool.traffic.outage_s == 0


async def test_only_calls_that_were_sent_are_in_flight(tmp_path: Path) -> None:
    async def answer(_: web.Request) -> web.Response:
        await never()
        return completion()

    async with provider(answer) as url:
        one = at(url)
        one = one.model_copy(update={"quota": one.quota.model_copy(update={"concurrency": 2})})
        async with pool_of(tmp_path, one) as pool:
            calls = [asyncio.create_task(pool.complete(asked(f"{n}"), Caller(deadline_s=60))) for n in range(5)]
            await eventually(lambda: pool.traffic.in_flight == 2)
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
            assert pool.traffic.in_flight == 0


def test_an_outage_lasts_from_its_first_sign_to_the_next_answer() -> None:
    now = 0.0
    traffic = Traffic(clock=lambda: now)
    traffic.looked({"a/m": FAULT})
    now = 10.0
    traffic.looked({})  # an account's rest is over: it may be tried
    assert traffic.outage_s == 0
    now = 20.0
    traffic.looked({"a/m": FAULT})
    assert traffic.outage_s == 20
    traffic.answered()
    traffic.looked({"a/m": FAULT})
    assert traffic.outage_s == 0
