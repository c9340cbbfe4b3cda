"""Many processes share accounts: the provider itself sees no window passed, and every call that it permits made."""

import asyncio
import contextlib
import subprocess
import time
from pathlib import Path

import pytest

from blocks.accounts.account import Account, Model, Quota
from blocks.accounts.books import Books
from blocks.accounts.chat import Caller, ChatRequest
from blocks.accounts.file import read_accounts
from blocks.accounts.pool import Pool
from blocks.accounts.secrets import Secrets
from blocks.errors import C500Error, LimitReached
from blocks.limits import open_limiter
from tests.blocks.limits.crowd import crowd, lines
from tests.databases import redis_server
from tests.fakes.llm.simulated import simulated

REQUEST = ChatRequest(messages=({"role": "user", "content": "Say hello."},), model="m", max_output_tokens=20)
BREATH_S = 0.05


async def call_for(number: int, accounts: str, limiter: str, folder: str, tasks: str, seconds: str) -> int:
    """Call, many at once, for so long, or until the limits leave no room when that is 0; how many were answered."""
    pool = Pool(
        read_accounts(Path(accounts)),
        open_limiter(limiter),
        Books(f"sqlite:///{folder}/books.db"),
        Secrets(Path(folder)),
    )
    ends_at = time.monotonic() + float(seconds)
    answered = 0

    async def call() -> None:
        nonlocal answered
        while float(seconds) == 0 or time.monotonic() < ends_at:
            try:
                await pool.complete(REQUEST, Caller(user=f"process {number}", deadline_s=20))
                answered += 1
            except LimitReached:
                if float(seconds) == 0:
                    return
                await asyncio.sleep(BREATH_S)
            except C500Error:  # the limiter is away for a moment
                await asyncio.sleep(BREATH_S)

    await asyncio.gather(*(call() for _ in range(int(tasks))))
    await pool.close()
    return answered


def accounts_of(*quotas: Quota) -> list[Account]:
    return [
        Account(name=f"a{at}", provider="openai", key="none", models={"m": Model()}, quota=quota)
        for at, quota in enumerate(quotas)
    ]


def test_processes_make_every_call_that_is_permitted_and_none_more(tmp_path: Path, redis_url: str) -> None:
    accounts = accounts_of(Quota(rpm=20), Quota(rpm=10, concurrency=2), Quota(rpm=15, tpm=100_000))
    with simulated(accounts, tmp_path, latency={"mean_ms": 5}) as simulator:
        arguments = (simulator.accounts, redis_url, tmp_path, 10, 0)
        with crowd(3, call_for, *arguments) as process:
            lines(process, 1)
            answered = sum(lines(process, 3))
        total = simulator.books()["total"]
    assert answered == total["answered"]["calls"] == 45
    assert (total["too_many"], total["refused"]) == (0, {})


@pytest.mark.soak
def test_16_processes_of_50_tasks_pass_no_window_though_redis_is_killed(tmp_path: Path) -> None:
    accounts = accounts_of(*(Quota(rpm=60 + 40 * at, tpm=4_000 + 3_000 * at, concurrency=5 + at) for at in range(10)))
    seconds = 150  # windows of a minute go by twice
    with (
        simulated(accounts, tmp_path, latency={"kind": "lognormal", "mean_ms": 200, "p95_ms": 400}) as simulator,
        redis_server(keeps_all=True) as redis,
    ):
        with crowd(16, call_for, simulator.accounts, redis.url, tmp_path, 50, seconds) as process:
            lines(process, 1)
            for _ in range(3):
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(seconds / 4)
                redis.kill()
                redis.start()
            answered = sum(lines(process, 16))
        books = simulator.books()
    print(f"{answered} answered; {books['total']['refused']}", {n: b["windows"] for n, b in books["accounts"].items()})
    assert (books["total"]["too_many"], books["total"]["refused"]) == (0, {})
    # Each restart of Redis closes the limits until calls that it may have lost are over: that takes two minutes.
    assert answered >= sum(account.quota.rpm or 0 for account in accounts)
