"""A simulator for the tests of a module, and pools that use it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from blocks.accounts.account import Account, Accounts, Model, Price, Quota
from blocks.accounts.books import Books
from blocks.accounts.cache import Cache
from blocks.accounts.chat import ChatRequest
from blocks.accounts.file import read_accounts
from blocks.accounts.pool import Pool
from blocks.accounts.secrets import Secrets
from blocks.limits.memory import MemoryLimiter
from tests.fakes.llm.simulated import Simulated, simulated

PRICE = Price(input_usd=1.0, output_usd=4.0)


def account(name: str, provider: str = "openai", quota: Quota | None = None, **given: Any) -> Account:
    """An account with a cheap and a good model."""
    models = {
        "small": Model(price=PRICE, tiers=("simple", "moderate"), context_tokens=2_000, max_output_tokens=500),
        "large": Model(price=PRICE, tiers=("complex", "critical"), context_tokens=8_000, max_output_tokens=500),
    }
    fields: dict[str, Any] = {"key": "none", "models": models, "quota": quota or Quota(), **given}
    if provider in ("vllm", "openai-compatible"):
        fields.setdefault("base_url", "http://127.0.0.1:1/v1")
    return Account(name=name, provider=provider, **fields)


def asked(text: str = "hello", **given: Any) -> ChatRequest:
    """A short request."""
    fields = {"model": "small", "max_output_tokens": 20, **given}
    return ChatRequest(messages=({"role": "user", "content": text},), **fields)


@pytest.fixture
def simulate(tmp_path: Path) -> Iterator[Callable[..., Simulated]]:
    """Starts a simulator of accounts, with behaviour; stopped with the test."""
    from contextlib import ExitStack

    with ExitStack() as stack:

        def start(accounts: Sequence[Account], /, **behaviour: Any) -> Simulated:
            return stack.enter_context(simulated(accounts, tmp_path, **behaviour))

        yield start


OpenPool = Callable[..., Awaitable[Pool]]


@pytest.fixture
async def open_pool(tmp_path: Path) -> AsyncIterator[OpenPool]:
    """Opens pools on a simulator, with what `Accounts` takes beside the accounts; closed with the test."""
    async with AsyncExitStack() as stack:

        async def opened(simulator: Simulated, *, cached: bool = False, **more: Any) -> Pool:
            accounts = Accounts(accounts=read_accounts(simulator.accounts).accounts, **more)
            books = Books(f"sqlite:///{tmp_path}/books.db")
            pool = Pool(accounts, MemoryLimiter(), books, Secrets(tmp_path), Cache(books) if cached else None)
            stack.push_async_callback(pool.close)
            return pool

        yield opened


async def entered(pool: Pool) -> list[dict[str, Any]]:
    """All rows of the books."""
    from sqlalchemy import select

    from blocks.accounts.schema import CALLS

    await asyncio.to_thread(pool.books.flush)
    with pool.books.engine().connect() as connection:
        return [dict(row._mapping) for row in connection.execute(select(CALLS).order_by(CALLS.c.id))]
