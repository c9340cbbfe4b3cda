"""Streams that are slow, stall, or are left: what becomes of their accounts, limits and books."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from blocks.accounts import streamed
from blocks.accounts.account import Quota
from blocks.accounts.chat import Answer, Caller
from blocks.accounts.dialects.protocol import Piece
from blocks.accounts.pool import Pool
from blocks.errors import EngineUnavailable, TimedOut
from blocks.limits.limit import Reservation
from blocks.limits.memory import MemoryLimiter
from blocks.limits.protocol import LEASE_S
from tests.blocks.accounts.conftest import account, asked, entered
from tests.blocks.accounts.providers import at, begin, delta, never, pool_of, provider, put, whole_stream


async def taken(stream: AsyncGenerator[Piece | Answer]) -> list[Piece | Answer]:
    return [one async for one in stream]


async def silent(request: web.Request) -> web.StreamResponse:
    """Begins and says nothing."""
    response = await begin(request)
    await never()
    return response


async def stalling(request: web.Request) -> web.StreamResponse:
    """Says one word."""
    response = await begin(request)
    await put(response, delta(content="we"))
    await never()
    return response


async def keeping_alive(request: web.Request) -> web.StreamResponse:
    """Sends comments for ever, as DeepSeek does while it is busy."""
    response = await begin(request)
    while True:
        await put(response, ": keep-alive")
        await asyncio.sleep(0.02)


async def used(pool: Pool, name: str) -> int:
    [found] = await pool.limiter.standing([pool.routes[0].limits[0][name]])
    return found.settled


async def test_a_stream_whose_deadline_passes_before_its_first_piece_counts_in_full(tmp_path: Path) -> None:
    async with provider(silent) as url, pool_of(tmp_path, at(url, quota=Quota(tpm=1000))) as pool:
        with pytest.raises(TimedOut):
            await taken(pool.stream(asked(), Caller(deadline_s=0.3)))
        [row] = await entered(pool)
        assert (row["outcome"], row["is_estimate"], row["completion_tokens"]) == ("cancelled", True, 20)
        assert row["cost_units"] > 0
        assert await used(pool, "tpm") == row["prompt_tokens"] + 20


@pytest.mark.parametrize("slow", [silent, keeping_alive])
async def test_a_stream_that_does_not_begin_is_served_by_another_account(tmp_path: Path, slow: Any) -> None:
    async with AsyncExitStack() as stack:
        bad, good = [await stack.enter_async_context(provider(answer)) for answer in (slow, whole_stream)]
        accounts = at(bad, "bad", timeout_s=0.3), at(good, "good")
        pool = await stack.enter_async_context(pool_of(tmp_path, *accounts))
        pool.routes[2].latency_s = 9.0  # so that the other is preferred
        *_, answer = await taken(pool.stream(asked()))
        assert isinstance(answer, Answer)
        assert (answer.account, answer.reply.text) == ("good", "well")
        first, _ = await entered(pool)
        assert (first["account"], first["outcome"]) == ("bad", "transient")


async def test_a_stream_that_stalls_is_a_failure_of_its_account(tmp_path: Path) -> None:
    async with provider(stalling) as url, pool_of(tmp_path, at(url, timeout_s=0.3)) as pool:
        with pytest.raises(EngineUnavailable, match="no answer within"):
            await taken(pool.stream(asked()))
        assert [row["outcome"] for row in await entered(pool)] == ["transient"]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Watched(MemoryLimiter):
    """Tells when a lease is extended."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.extended = asyncio.Event()

    async def extend(self, reservation: Reservation, lease_s: float = LEASE_S) -> None:
        await super().extend(reservation, lease_s)
        self.extended.set()


async def test_the_lease_of_a_stream_is_extended_while_no_piece_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streamed, "EXTEND_EVERY_S", 0.005)
    limiter = Watched(clock := Clock())
    one = {"quota": Quota(concurrency=1), "timeout_s": 300.0}
    async with provider(stalling) as url, pool_of(tmp_path, at(url, **one), limiter=limiter) as pool:
        stream = pool.stream(asked())
        await anext(stream)
        for _ in range(3):
            clock.now += 300  # the lease is 330 s, as long as a piece may take and some more
            limiter.extended.clear()
            await limiter.extended.wait()
        [found] = await limiter.standing([pool.routes[0].limits[0]["concurrency"]])
        assert found.held == 1
        await stream.aclose()
        [found] = await limiter.standing([pool.routes[0].limits[0]["concurrency"]])
        assert found.held == 0


def called(name: str, **more: Any) -> dict[str, Any]:
    """A part of Gemini's with a tool call."""
    return {"functionCall": {"name": name, "args": {"n": 1}}, **more}


async def two_gemini_calls(request: web.Request) -> web.StreamResponse:
    """Two tool calls in an event each, without ids, and the end in a third."""
    response = await begin(request)
    for part in (called("look", thoughtSignature="c2ln"), called("look")):
        await put(response, {"candidates": [{"content": {"parts": [part]}}]})
    await put(response, {"candidates": [{"content": {"parts": []}, "finishReason": "STOP"}]})
    return response


async def test_tool_calls_of_gemini_in_several_events_stay_apart(tmp_path: Path) -> None:
    async with provider(two_gemini_calls) as url, pool_of(tmp_path, account("one", "gemini", base_url=url)) as pool:
        *pieces, answer = await taken(pool.stream(asked()))
    assert isinstance(answer, Answer)
    first, second = answer.reply.tool_calls
    assert first["id"] != second["id"]
    assert [call["function"] for call in (first, second)] == 2 * [{"name": "look", "arguments": '{"n": 1}'}]
    assert first["extra_content"] == {"google": {"thought_signature": "c2ln"}}
    assert "extra_content" not in second
    assert answer.reply.finish_reason == "tool_calls"
    parts = [part for piece in pieces if isinstance(piece, Piece) for part in piece.tool_calls]
    assert [(part["index"], part["id"]) for part in parts] == [(0, first["id"]), (1, second["id"])]


def part_of(index: int | None, call_id: str | None, arguments: str) -> dict[str, Any]:
    """A part of a tool call of OpenAI's."""
    head: dict[str, Any] = {} if index is None else {"index": index}
    named = {"id": call_id, "type": "function"} if call_id else {}
    return delta(tool_calls=[{**head, **named, "function": {"name": "f" if call_id else None, "arguments": arguments}}])


@pytest.mark.parametrize(
    "parts",
    [
        [(0, "a", "1"), (0, None, "2"), (1, "b", "3"), (1, None, "4")],
        [(0, "a", "1"), (0, None, "2"), (0, "b", "3"), (0, None, "4")],
        [(1, "a", "1"), (3, "b", "3"), (1, None, "2"), (3, None, "4")],
        [(None, "a", "12"), (None, "b", "34")],
        [(0, "a", "1"), (0, "a", "2"), (1, "b", "3"), (1, "b", "4")],
    ],
)
async def test_tool_calls_are_counted_from_0_whatever_the_provider_counts(tmp_path: Path, parts: Any) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = await begin(request)
        await put(response, *(part_of(*part) for part in parts), delta("tool_calls"), "data: [DONE]")
        return response

    async with provider(answer) as url, pool_of(tmp_path, at(url)) as pool:
        *pieces, whole = await taken(pool.stream(asked()))
    assert isinstance(whole, Answer)
    assert [(call["id"], call["function"]["arguments"]) for call in whole.reply.tool_calls] == [
        ("a", "12"),
        ("b", "34"),
    ]
    found = [part for piece in pieces if isinstance(piece, Piece) for part in piece.tool_calls]
    assert {part["id"]: part["index"] for part in found if part.get("id")} == {"a": 0, "b": 1}


async def test_tool_calls_of_a_stream_with_a_schema_are_counted_too(tmp_path: Path) -> None:
    calls = [{"id": name, "type": "function", "function": {"name": "f", "arguments": "{}"}} for name in ("a", "b")]

    async def answer(request: web.Request) -> web.Response:
        message = {"role": "assistant", "content": None, "tool_calls": calls}
        return web.json_response({"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]})

    async with provider(answer) as url, pool_of(tmp_path, at(url)) as pool:
        piece, _ = await taken(pool.stream(asked(response_schema={"type": "object"})))
    assert isinstance(piece, Piece)
    assert piece.tool_calls == ({"index": 0, **calls[0]}, {"index": 1, **calls[1]})
