"""What is settled, entered and rested when calls end, while limiter, keys or provider fail."""

import asyncio
import fcntl
import os
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from blocks.accounts.account import Quota, Routing
from blocks.accounts.chat import Answer, Caller, ChatRequest
from blocks.accounts.check import check_accounts
from blocks.accounts.pool import Pool
from blocks.errors import BadInput, C500Error, EngineUnavailable, NotFound
from blocks.limits.redis import RedisLimiter
from blocks.limits.sqlite import SqliteLimiter
from tests.blocks.accounts.conftest import account, asked, entered
from tests.blocks.accounts.providers import (
    Handler,
    at,
    begin,
    completion,
    delta,
    never,
    pool_of,
    provider,
    put,
    refused,
    whole_stream,
)
from tests.databases import redis_server


async def well(request: web.Request) -> web.Response:
    return completion()


class Held:
    """A provider that answers when it may."""

    def __init__(self, answer: Handler) -> None:
        self.has_come, self.may_answer = asyncio.Event(), asyncio.Event()
        self._answer = answer

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        self.has_come.set()
        await self.may_answer.wait()
        return await self._answer(request)


async def answered(pool: Pool, stream: bool, request: ChatRequest | None = None) -> Answer:
    """The whole answer of a call or a stream."""
    if not stream:
        return await pool.complete(request or asked())
    *_, answer = [one async for one in pool.stream(request or asked())]
    assert isinstance(answer, Answer)
    return answer


async def outcomes(pool: Pool) -> list[str]:
    return [row["outcome"] for row in await entered(pool)]


async def settled(pool: Pool, name: str) -> int:
    [found] = await pool.limiter.standing([pool.routes[0].limits[0][name]])
    return found.settled


# The limiter


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_arrives_though_the_limiter_went_away(tmp_path: Path, stream: bool) -> None:
    held = Held(whole_stream if stream else well)
    async with AsyncExitStack() as stack, provider(held) as url:
        redis = stack.enter_context(redis_server())
        limiter = RedisLimiter(redis.url)
        pool = await stack.enter_async_context(pool_of(tmp_path, at(url, quota=Quota(rpm=9)), limiter=limiter))
        calling = asyncio.create_task(answered(pool, stream))
        await held.has_come.wait()
        redis.kill()
        held.may_answer.set()
        assert (await calling).reply.text == "well"
        [row] = await entered(pool)
        assert (row["outcome"], row["prompt_tokens"], row["completion_tokens"]) == ("ok", 3, 2)


@pytest.mark.parametrize("stream", [False, True])
async def test_who_is_cancelled_while_an_answer_is_settled_is_entered_once_and_settled(
    tmp_path: Path, stream: bool
) -> None:
    held = Held(whole_stream if stream else well)
    limiter = SqliteLimiter(tmp_path / "limits.db")
    async with provider(held) as url, pool_of(tmp_path, at(url, quota=Quota(tpm=1000)), limiter=limiter) as pool:
        calling = asyncio.create_task(answered(pool, stream))
        await held.has_come.wait()
        lock = os.open(tmp_path / "limits.db.lock", os.O_RDWR)
        fcntl.flock(lock, fcntl.LOCK_EX)
        held.may_answer.set()
        for _ in range(100):
            if await entered(pool):
                break
        calling.cancel()
        os.close(lock)
        with pytest.raises(asyncio.CancelledError):
            await calling
        assert await outcomes(pool) == ["ok"]
        assert await settled(pool, "tpm") == 5


# Keys


@pytest.mark.parametrize("stream", [False, True])
async def test_an_account_without_its_key_is_passed_over(tmp_path: Path, stream: bool) -> None:
    async with provider(whole_stream if stream else well) as url:
        keyless, good = at(url, "keyless", key="env:NOWHERE", quota=Quota(rpm=99)), at(url, "good", quota=Quota(rpm=99))
        async with pool_of(tmp_path, keyless, good, routing=Routing(attempts=1)) as pool:
            for route in pool.routes[2:]:
                route.latency_s = 9.0  # so that the other is preferred
            assert [(await answered(pool, stream)).account for _ in range(4)] == 4 * ["good"]
            assert await outcomes(pool) == ["auth", *4 * ["ok"]]
            assert await settled(pool, "rpm") == 0


@pytest.mark.parametrize("stream", [False, True])
async def test_where_no_account_has_its_key_it_is_said_at_once_how_to_give_it(tmp_path: Path, stream: bool) -> None:
    accounts = [account(name, key=f"env:NOWHERE_{name}") for name in ("a", "b", "c", "d")]
    async with pool_of(tmp_path, *accounts, routing=Routing(attempts=2)) as pool:
        with pytest.raises(EngineUnavailable, match="cannot be read") as error:
            await answered(pool, stream)
        assert "NOWHERE_" in error.value.fix
        assert len(error.value.details["failures"]) == 4


async def test_a_key_may_end_with_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", "sk-1234\n")

    async def answer(request: web.Request) -> web.Response:
        return completion(request.headers["authorization"])

    async with provider(answer) as url, pool_of(tmp_path, at(url, key="env:KEY")) as pool:
        assert (await pool.complete(asked())).reply.text == "Bearer sk-1234"


async def test_a_key_with_line_breaks_within_is_named_and_not_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEY", "sk-1234\nsk-5678")
    async with pool_of(tmp_path, account("one", key="env:KEY")) as pool:
        with pytest.raises(EngineUnavailable, match="line breaks") as error:
            await pool.complete(asked())
        assert "sk-" not in f"{error.value} {error.value.details}"


async def test_a_key_that_was_changed_is_used_at_once_when_the_old_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEY", "old")
    both = asyncio.Barrier(2)

    async def answer(request: web.Request) -> web.Response:
        if request.headers["authorization"] == "Bearer new":
            return completion()
        await both.wait()
        os.environ["KEY"] = "new"
        return refused(401, "wrong key")

    # Both calls learn it: also the one whose refusal comes when the new key has been read already.
    async with provider(answer) as url, pool_of(tmp_path, at(url, key="env:KEY")) as pool:
        calls = (pool.complete(asked(str(n)), Caller(deadline_s=20)) for n in range(2))
        assert [one.attempts for one in await asyncio.gather(*calls)] == [2, 2]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", [400, 401, 500])
async def test_a_key_that_the_server_repeats_is_not_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, stream: bool
) -> None:
    monkeypatch.setenv("KEY", "sk-secret-0123456789")

    async def answer(request: web.Request) -> web.Response:
        # At the end of what is kept of a message, where half of it would be left over.
        return refused(status, f"{'x' * 290}{request.headers['authorization']} of {request.headers['authorization']}")

    async with provider(answer) as url, pool_of(tmp_path, at(url, key="env:KEY"), routing=Routing(attempts=1)) as pool:
        with pytest.raises(C500Error) as error:
            await answered(pool, stream)
        assert "sk-" not in f"{error.value} {error.value.fix} {error.value.details}"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("part", [{"type": "image_url"}, {"type": "audio"}, {"type": "text", "text": b"no JSON"}])
async def test_what_has_no_form_at_the_provider_is_bad_input_and_costs_nothing(
    tmp_path: Path, part: dict[str, Any], stream: bool
) -> None:
    request = ChatRequest(messages=({"role": "user", "content": [part]},), model="small", max_output_tokens=20)
    one = account(
        "one", "gemini", models={"small": account("m").models["large"]}, quota=Quota(tpm=9_000, concurrency=1)
    )
    async with pool_of(tmp_path, one) as pool:
        with pytest.raises(BadInput) as error:
            await answered(pool, stream, request)
        assert error.value.details["field"] == "messages"
        assert await entered(pool) == []
        assert await settled(pool, "tpm") == 0


# The books


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("status", "costs"), [(500, True), (504, True), (503, False), (429, False), (400, False)])
async def test_what_may_have_run_is_in_the_books_at_its_price(
    tmp_path: Path, status: int, costs: bool, stream: bool
) -> None:
    async def answer(request: web.Request) -> web.Response:
        return refused(status)

    async with provider(answer) as url, pool_of(tmp_path, at(url), routing=Routing(attempts=1)) as pool:
        with pytest.raises(C500Error):
            await answered(pool, stream)
        [row] = await entered(pool)
        assert (row["cost_units"] > 0, row["completion_tokens"], row["is_estimate"]) == (costs, 20 * costs, costs)


async def test_a_stream_that_is_left_is_in_the_books_at_its_price(tmp_path: Path) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = await begin(request)
        await put(response, delta(content="we"))
        await never()
        return response

    async with provider(answer) as url, pool_of(tmp_path, at(url)) as pool:
        stream = pool.stream(asked())
        await anext(stream)
        await stream.aclose()
        [row] = await entered(pool)
        assert (row["outcome"], row["completion_tokens"], row["is_estimate"]) == ("cancelled", 20, True)
        assert row["cost_units"] == 1_000 * row["prompt_tokens"] + 4_000 * 20


# What headers tell


async def test_headers_lower_a_limit_and_lift_it_again_to_what_the_file_says(tmp_path: Path) -> None:
    told: list[str | None] = []

    async def answer(request: web.Request) -> web.Response:
        number = told.pop(0)
        return completion(**({"x-ratelimit-limit-requests": number} if number else {}))

    async with provider(answer) as url, pool_of(tmp_path, at(url, quota=Quota(rpm=500))) as pool:
        limit = pool.routes[0].limits[0]["rpm"]
        await pool.limiter.learn(limit, amount=70)  # as another process has, before the provider lifted it
        stands: list[int] = []
        for number in ("500", "60", None, "0", "14400", "60", "500"):
            told.append(number)
            await pool.complete(asked())
            stands.append((await pool.limiter.standing([limit]))[0].amount)
        assert stands == [500, 60, 60, 60, 500, 60, 500]


# Checking


async def test_a_check_that_is_broken_off_holds_nothing(tmp_path: Path) -> None:
    has_come = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        has_come.set()
        await never()
        return web.Response()

    async with provider(answer) as url, pool_of(tmp_path, at(url, quota=Quota(concurrency=1))) as pool:
        checking = asyncio.create_task(check_accounts(pool))
        await has_come.wait()
        checking.cancel()
        await asyncio.gather(checking, return_exceptions=True)
        [found] = await pool.limiter.standing([pool.routes[0].limits[0]["concurrency"]])
        assert found.held == 0
        assert await outcomes(pool) == ["cancelled"]


async def test_a_check_names_a_key_that_is_not_there(tmp_path: Path) -> None:
    async with pool_of(tmp_path, account("one", key="env:NOWHERE")) as pool:
        for checked in await check_accounts(pool):
            assert isinstance(checked.error, NotFound)
            assert "NOWHERE" in checked.error.fix
