"""Acquisitions of our limiter in memory, SQLite and Redis, with pyrate-limiter beside it.

One of ours is reserve and settle of one account with four limits: requests and tokens a minute, calls at once, requests
a day. One of pyrate-limiter is a call of `try_acquire_async` on a bucket with four rates, which all count requests: it
has neither tokens that are settled afterwards nor calls at once nor leases, so it does less.
"""

import statistics
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tests.bench.limiter_calls import acquire
from tests.blocks.limits.crowd import crowd, lines
from tests.databases import redis_server

NAME = "limiter"
UNIT = "x of the goals 40 us CPU in memory and 0.6 ms CPU with Redis's own, 50 callers"
GOAL = 1.0

MEMORY_S = 40e-6
REDIS_S = 600e-6
MANY = 50


@dataclass(frozen=True)
class Row:
    """One measurement.

    Attributes:
        per_s: Acquisitions a second of all processes.
        p50_s, p99_s: Of one acquisition; over several processes the median and the worst.
        cpu_s: CPU seconds per acquisition of the processes that ask.
        server_cpu_s: And of Redis.
    """

    per_s: float
    p50_s: float
    p99_s: float
    cpu_s: float
    server_cpu_s: float


def missing() -> str | None:
    """What is needed and not here."""
    from importlib.util import find_spec
    from shutil import which

    return None if which("redis-server") and find_spec("pyrate_limiter") else "redis-server or pyrate-limiter"


def measure(quick: bool) -> float:
    """The worse of CPU in memory / 40 us and CPU in Redis / 0.6 ms, each with 50 callers in a process."""
    seconds = 2.0 if quick else 10.0
    print(f"{'':44} {'a second':>9} {'p50 ms':>8} {'p99 ms':>8} {'CPU us':>8} {'of Redis':>8}")
    rows = {
        (name, processes, callers): _row(name, processes, callers, seconds)
        for name, most in (("memory", 1), ("sqlite", 4), ("redis", 4), ("pyrate", 1), ("pyrate-redis", 4))
        for processes in (1, 4)[: 1 + (most > 1)]
        for callers in (1, MANY)
    }
    memory, redis = rows["memory", 1, MANY], rows["redis", 1, MANY]
    return max(memory.cpu_s / MEMORY_S, (redis.cpu_s + redis.server_cpu_s) / REDIS_S)


def _row(name: str, processes: int, callers: int, seconds: float) -> Row:
    """Measure and print."""
    with _books(name) as url:
        before_s = _server_cpu_s(url)
        with crowd(processes, acquire, name if "pyrate" in name else "ours", url, callers, seconds) as process:
            _, *said = lines(process, processes + 1)
        counts, cpu_s, p50_s, p99_s = zip(*said, strict=True)
        count = sum(counts)
        # Redis worked in the warm-up too: less than its share of the time.
        server_s = (_server_cpu_s(url) - before_s) / count
    row = Row(count / seconds, statistics.median(p50_s), max(p99_s), sum(cpu_s) / count, server_s)
    what = f"{name}, {processes} process{'es' * (processes > 1)}, {callers} caller{'s' * (callers > 1)} each"
    times = f"{row.p50_s * 1e3:8.3f} {row.p99_s * 1e3:8.3f} {row.cpu_s * 1e6:8.0f} {row.server_cpu_s * 1e6:8.0f}"
    print(f"{what:44} {row.per_s:9.0f} {times}", flush=True)
    return row


@contextmanager
def _books(name: str) -> Generator[str]:
    """The URL of empty books."""
    if name.endswith("redis"):
        with redis_server() as server:
            yield server.url
    else:
        with tempfile.TemporaryDirectory() as folder:
            yield f"sqlite:///{Path(folder, 'limits.db')}" if name == "sqlite" else "memory://"


def _server_cpu_s(url: str) -> float:
    """CPU seconds of the Redis server so far."""
    if urlsplit(url).scheme != "redis":
        return 0.0
    from redis import Redis

    with Redis.from_url(url) as redis:
        used = redis.info("cpu")
    return used["used_cpu_sys"] + used["used_cpu_user"]
