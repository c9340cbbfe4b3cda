"""Ways to make many LLM calls; run by `calls` and `quota`, LiteLLM's in a virtual environment of its own.

`python call_drivers.py WAY URL ACCOUNTS CALLS CONCURRENT FOLDER` prints one line of JSON. CALLS is a number, or
`for SECONDS`: then calls may be refused, and are made again.
"""

import asyncio
import itertools
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

Call = Callable[[int], Awaitable[None]]
MAX_TOKENS = 20


async def main(way: str, url: str, accounts: str, calls: str, concurrent: int, folder: str) -> None:
    kind, _, argument = way.partition(" ")
    async with AsyncExitStack() as stack:
        call = await DRIVERS[kind](stack, url, accounts, argument, folder)
        if calls.startswith("for "):
            await for_a_time(call, float(calls.removeprefix("for ")), concurrent)
        else:
            await a_number(call, int(calls), concurrent)


async def for_a_time(call: Call, seconds: float, concurrent: int) -> None:
    numbers = itertools.count()

    async def worker() -> None:
        while True:
            try:
                await call(next(numbers) % 1000)
            except Exception:  # noqa: BLE001 - each client has its own errors for «no room»
                await asyncio.sleep(0.05)

    workers = [asyncio.create_task(worker()) for _ in range(concurrent)]
    await asyncio.sleep(seconds)
    for one in workers:
        one.cancel()
    await asyncio.gather(*workers, return_exceptions=True)


async def a_number(call: Call, calls: int, concurrent: int) -> None:
    await asyncio.gather(*(call(n) for n in range(concurrent)))  # connections are there
    latencies: list[float] = []
    numbers = iter(range(calls))

    async def worker() -> None:
        for number in numbers:
            start = time.perf_counter()
            await call(number)
            latencies.append(time.perf_counter() - start)

    cpu, start = time.process_time(), time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(concurrent)))
    took_s, cpu_s = time.perf_counter() - start, time.process_time() - cpu
    latencies.sort()
    found = {
        "calls": calls,
        "per_s": calls / took_s,
        "mean_ms": 1000 * sum(latencies) / calls,
        "p95_ms": 1000 * latencies[int(0.95 * calls)],
        "cpu_ms": 1000 * cpu_s / calls,
    }
    print(json.dumps(found))


def body(number: int) -> dict[str, Any]:
    return {"model": "m", "messages": messages(number), "max_tokens": MAX_TOKENS}


def messages(number: int) -> list[dict[str, str]]:
    return [{"role": "user", "content": f"Say hello to number {number}."}]


async def with_aiohttp(stack: AsyncExitStack, url: str, accounts: str, _argument: str, _folder: str) -> Call:
    import aiohttp

    session = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))

    async def call(number: int) -> None:
        place = f"{url}/a/a{number % 10}/v1/chat/completions"
        async with session.post(place, json=body(number)) as response:
            response.raise_for_status()
            assert (await response.json())["choices"]

    return call


async def with_httpx(stack: AsyncExitStack, url: str, accounts: str, _argument: str, _folder: str) -> Call:
    import httpx

    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    client = await stack.enter_async_context(httpx.AsyncClient(limits=limits, timeout=60, trust_env=False))

    async def call(number: int) -> None:
        response = await client.post(f"{url}/a/a{number % 10}/v1/chat/completions", json=body(number))
        assert response.raise_for_status().json()["choices"]

    return call


async def with_pool(stack: AsyncExitStack, url: str, accounts: str, limiter: str, folder: str) -> Call:
    from blocks.accounts.books import Books
    from blocks.accounts.chat import Caller, ChatRequest
    from blocks.accounts.file import read_accounts
    from blocks.accounts.pool import Pool
    from blocks.accounts.secrets import Secrets
    from blocks.limits import open_limiter

    books = Books(f"sqlite:///{folder}/books.db")
    pool = Pool(read_accounts(Path(accounts)), open_limiter(limiter), books, Secrets(Path(folder)))
    stack.push_async_callback(pool.close)
    caller = Caller(user="bench", job="calls")

    async def call(number: int) -> None:
        request = ChatRequest(messages=tuple(messages(number)), model="m", max_output_tokens=MAX_TOKENS)
        assert (await pool.complete(request, caller)).reply.text

    return call


async def with_litellm(stack: AsyncExitStack, url: str, accounts: str, _argument: str, _folder: str) -> Call:
    import litellm

    litellm.suppress_debug_info = True
    deployments = [
        {
            "model_name": "m",
            "litellm_params": {
                "model": "openai/m",
                "api_base": f"{url}/a/a{n}/v1",
                "api_key": "none",
                "rpm": rpm,
                "tpm": tpm,
            },
        }
        for n, (rpm, tpm) in enumerate(json.loads(os.environ.get("BENCH_LIMITS") or "[]") or 10 * [(10**6, 10**9)])
    ]
    # Its strategy that knows limits, where there are any; else its default.
    strategy = "usage-based-routing-v2" if os.environ.get("BENCH_LIMITS") else "simple-shuffle"
    router = litellm.Router(model_list=deployments, num_retries=3, routing_strategy=strategy)

    async def call(number: int) -> None:
        answer = await router.acompletion(model="m", messages=messages(number), max_tokens=MAX_TOKENS)
        assert answer.choices

    return call


DRIVERS = {"aiohttp": with_aiohttp, "httpx": with_httpx, "pool": with_pool, "litellm": with_litellm}

if __name__ == "__main__":
    way, url, accounts, calls, concurrent, folder = sys.argv[1:]
    asyncio.run(main(way, url, accounts, calls, int(concurrent), folder))
