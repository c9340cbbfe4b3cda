"""A provider that answers as a test says, and pools that use it: for what the simulator does not do."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from blocks.accounts.account import Account, Accounts
from blocks.accounts.books import Books
from blocks.accounts.pool import Pool
from blocks.accounts.secrets import Secrets
from blocks.limits.memory import MemoryLimiter
from blocks.limits.protocol import Limiter
from tests.blocks.accounts.conftest import account

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
USED = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


@asynccontextmanager
async def provider(answer: Handler) -> AsyncIterator[str]:
    """A server that answers every request so; gives its base URL."""

    async def handle(request: web.Request) -> web.StreamResponse:
        return await answer(request)

    app = web.Application()
    app.router.add_post("/{path:.*}", handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def pool_of(folder: Path, *accounts: Account, limiter: Limiter | None = None, **more: Any) -> AsyncIterator[Pool]:
    """A pool of these accounts, with books of its own."""
    books = Books(f"sqlite:///{folder}/books.db")
    pool = Pool(Accounts(accounts=accounts, **more), limiter or MemoryLimiter(), books, Secrets(folder))
    try:
        yield pool
    finally:
        await pool.close()


def at(url: str, name: str = "one", **given: Any) -> Account:
    """An account of a server with OpenAI's API."""
    return account(name, "openai-compatible", base_url=url, **given)


def completion(text: str = "well", **headers: str) -> web.Response:
    """A whole answer of OpenAI's."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return web.json_response({"choices": [choice], "usage": USED}, headers=headers)


def refused(status: int, message: str = "no", **error: Any) -> web.Response:
    """A refusal of OpenAI's."""
    return web.json_response({"error": {"message": message, **error}}, status=status)


async def begin(request: web.Request) -> web.StreamResponse:
    """The head of a stream."""
    response = web.StreamResponse(headers={"content-type": "text/event-stream"})
    await response.prepare(request)
    return response


async def put(response: web.StreamResponse, *events: Any) -> None:
    """Events of a stream; text as it is."""
    for event in events:
        line = event if isinstance(event, str) else f"data: {json.dumps(event)}"
        await response.write(f"{line}\n\n".encode())


def delta(finish_reason: str | None = None, **fields: Any) -> dict[str, Any]:
    """A piece of OpenAI's."""
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": finish_reason}]}


async def whole_stream(request: web.Request) -> web.StreamResponse:
    """A stream that ends well."""
    response = await begin(request)
    await put(
        response, delta(content="we"), delta("stop", content="ll"), {"choices": [], "usage": USED}, "data: [DONE]"
    )
    return response


async def never() -> None:
    """Wait until the caller goes away."""
    await asyncio.Event().wait()
