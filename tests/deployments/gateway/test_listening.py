"""Relays: a generator that is run in one task, whoever reads it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress

import pytest

from deployments.gateway.web.listening import Relay


async def test_a_generator_gets_to_its_end_without_a_reader_and_in_one_task() -> None:
    ended = asyncio.Event()

    async def tasks() -> AsyncGenerator[asyncio.Task[None] | None]:
        for _ in range(3):
            async with asyncio.timeout(30):  # belongs to the task that enters it
                yield asyncio.current_task()
        ended.set()

    relay = Relay(tasks())
    await ended.wait()
    items = [await asyncio.create_task(relay.next()) for _ in range(4)]
    assert items == [items[0]] * 3 + [None]
    assert items[0] is not asyncio.current_task()


async def test_what_it_raises_is_raised_where_it_is_read_after_what_came_before() -> None:
    async def broken() -> AsyncGenerator[int]:
        yield 1
        raise LookupError("gone")

    relay = Relay(broken())
    assert await relay.next() == 1
    with pytest.raises(LookupError, match="gone"):
        await relay.next()


async def test_closing_ends_it_where_it_is() -> None:
    closed = asyncio.Event()

    async def endless() -> AsyncGenerator[int]:
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            closed.set()

    relay = Relay(endless())
    assert await relay.next() == 1
    with suppress(asyncio.CancelledError):
        await relay.close()
    assert closed.is_set()
