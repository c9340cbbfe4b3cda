"""Processes that call an observer through the limiter as fast as it lets them, and the observer, who counts."""

import asyncio
import json
import random
import time
from collections import Counter, defaultdict, deque
from contextlib import suppress
from dataclasses import dataclass, field

from blocks.errors import EngineUnavailable
from blocks.limits import open_limiter
from blocks.limits.limit import Option, Refusal
from blocks.limits.protocol import Limiter
from tests.blocks.limits.worlds import limit, option

ACCOUNTS = 10
MOST_TOKENS = 100
"""Of a call."""
RETRY_S = 0.05
LOOK_AGAIN_S = 1.0


@dataclass(frozen=True)
class Quota:
    """Of an account.

    Attributes:
        requests, tokens: In any window.
        calls: At the same time.
        window_s: How long a window is.
    """

    requests: int
    tokens: int
    calls: int
    window_s: float

    def option(self, name: str, tokens: int) -> Option:
        """A call of so many tokens."""
        return option(
            name,
            (limit(f"{name}/requests", self.requests, window_s=self.window_s), 1),
            (limit(f"{name}/tokens", self.tokens, window_s=self.window_s), tokens),
            (limit(f"{name}/calls", self.calls, "concurrency"), 1),
            (limit(f"{name}/day", 10**6, "calendar"), 1),
        )


def quotas(scale: int, window_s: float) -> dict[str, Quota]:
    """Uneven accounts: in some the requests run out first, in some the tokens, in some the calls at once."""
    return {
        f"account{number}": Quota(scale * (3 + number), scale * 60 * (12 - number), scale * (1 + number % 5), window_s)
        for number in range(ACCOUNTS)
    }


@dataclass
class Observer:
    """A server that keeps an exact log of its calls, and of every quota that one of them passed."""

    quotas: dict[str, Quota]
    passed: list[str] = field(default_factory=list[str])
    total: Counter[str] = field(default_factory=Counter[str])
    running: Counter[str] = field(default_factory=Counter[str])
    log: dict[str, deque[tuple[float, int]]] = field(default_factory=lambda: defaultdict(deque))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer calls, each a line of JSON: account, tokens, seconds."""
        with suppress(ConnectionError):  # a process that was killed
            while line := await reader.readline():
                account, tokens, seconds = json.loads(line)
                self.arrive(account, tokens)
                await asyncio.sleep(seconds)
                self.running[account] -= 1
                writer.write(b"done\n")
        writer.close()

    def arrive(self, account: str, tokens: int) -> None:
        """Count a call."""
        now, quota, log = time.monotonic(), self.quotas[account], self.log[account]
        while log and log[0][0] <= now - quota.window_s:
            log.popleft()
        log.append((now, tokens))
        self.running[account] += 1
        self.total[account] += 1
        seen = len(log), sum(tokens for _, tokens in log), self.running[account]
        if any(number > most for number, most in zip(seen, (quota.requests, quota.tokens, quota.calls), strict=True)):
            self.passed.append(f"{account}: {seen} of {quota}")


async def call_all_the_time(
    number: int, url: str, port: str, tasks: str, seconds: str, scale: str, window_s: str, lease_s: str
) -> int:
    """Call from so many tasks for so long; how often."""
    limiter = open_limiter(url)
    until = time.monotonic() + float(seconds)
    accounts = quotas(int(scale), float(window_s))
    callers = [
        Caller(limiter, accounts, float(lease_s), until, random.Random(f"{number}/{task}"))
        for task in range(int(tasks))
    ]
    counts = await asyncio.gather(*(caller.call_all_the_time(int(port)) for caller in callers))
    await limiter.close()
    return sum(counts)


@dataclass
class Caller:
    """One task."""

    limiter: Limiter
    accounts: dict[str, Quota]
    lease_s: float
    until: float
    chance: random.Random

    async def call_all_the_time(self, port: int) -> int:
        """Call until time is up; how often."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        count = 0
        while time.monotonic() < self.until:
            try:
                count += await self._call(reader, writer)
            except EngineUnavailable:
                await asyncio.sleep(RETRY_S)
        writer.close()
        return count

    async def _call(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Reserve, call, settle."""
        tokens = self.chance.randint(1, MOST_TOKENS)
        names = self.chance.sample(sorted(self.accounts), self.chance.randint(1, ACCOUNTS))
        options = [self.accounts[name].option(name, tokens) for name in names]
        answer = await self.limiter.reserve(options, lease_s=self.lease_s)
        if isinstance(answer, Refusal):
            await asyncio.sleep((answer.wait_s or LOOK_AGAIN_S) * self.chance.uniform(1, 1.1))
            return False
        if self.chance.random() < 0.02:
            await self.limiter.release(answer)
            return False
        used = self.chance.randint(1, tokens)
        name = answer.option.name
        writer.write(json.dumps([name, used, self.chance.uniform(0, 0.1)]).encode() + b"\n")
        await reader.readline()
        await self.limiter.settle(answer, {f"{name}/tokens": used})
        return True
