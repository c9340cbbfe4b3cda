"""What is on this machine: disks, databases, GPUs, sessions; and whether the store answers."""

import json
import sqlite3
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from prefect.client.orchestration import PrefectClient
from prometheus_client.metrics_core import Metric as Family
from redis.asyncio import Redis
from redis.exceptions import RedisError

from blocks.accounts.open import with_home
from blocks.errors import BadInput, NotFound
from blocks.iiagent.books import sessions_of
from blocks.iiagent.state import FILE, sessions_folder
from blocks.progress import in_thread
from blocks.settings import settings
from blocks.store.files import Files
from blocks.vram import gpu_count
from deployments.gateway.llm import LivePool, NoAccounts
from deployments.gateway.metrics.families import Labels, gauge_family
from deployments.gateway.routes.health import PROBE_KEY, redis_url
from deployments.service.home import service_dir

if TYPE_CHECKING:
    from sqlalchemy import Engine

CONNECT_S = 2.0
SQLITE = "sqlite:///"


def store_families(files: Files) -> Sequence[Family]:
    """Of the part `store`. Blocks. Raises `StoreFailed`: the store does not answer."""
    # Within: a gateway that nobody asks for metrics needs none of it, here and below.
    from tasks.ops.cleanup.disk import disks_of
    from tasks.ops.cleanup.plan import CleanupPlan, read_plan, watched

    begun = time.monotonic()
    files.exists(PROBE_KEY)
    answered_s = time.monotonic() - begun
    chosen = settings()
    try:
        plan = read_plan(chosen)
    except (BadInput, NotFound):  # clean-ups say so; the disks of the settings fill all the same
        plan = CleanupPlan()
    disks = {(one.place,): one for one in disks_of((*watched(plan, chosen), chosen.service_dir))}
    return [
        gauge_family("c500_store_answer_seconds", answered_s),
        gauge_family("c500_store_disk_size_bytes", {place: one.size_bytes for place, one in disks.items()}),
        gauge_family("c500_store_disk_free_bytes", {place: one.free_bytes for place, one in disks.items()}),
        gauge_family("c500_store_disk_used_ratio", {place: one.fullest_percent / 100 for place, one in disks.items()}),
    ]


async def database_families(live_pool: LivePool) -> Sequence[Family]:
    """Of the part `database`: those in files, what Redis is used, and the books where a server has them."""
    sizes, answers = await in_thread(_sqlite_files)
    if redis := redis_url() or _redis_of_limits():
        answers["redis"] = await _redis_answers(redis)
    if not settings().books_url.startswith(SQLITE):
        with suppress(NoAccounts):
            answers["books"] = await in_thread(_books_answer, (await live_pool.pool()).books.engine())
    return [
        gauge_family("c500_database_up", float(all(answers.values()))),
        gauge_family("c500_database_reachable", {(name,): float(well) for name, well in answers.items()}),
        gauge_family("c500_database_size_bytes", {(name,): size for name, size in sizes.items()}),
    ]


def session_families() -> Sequence[Family] | None:
    """Of the part `session`; None where there are none. Blocks."""
    folder = sessions_folder()
    if not folder.is_dir():
        return None
    states = Counter[Labels]()
    for path in folder.glob(f"*/{FILE}"):
        with suppress(FileNotFoundError):
            states[_status(path),] += 1
    opened = {path.stem: sessions_of(path.stem) for path in (folder / "servers").glob("*.opened")}
    return [
        gauge_family("c500_session_stored", states),
        gauge_family("c500_session_opened", {(server,): count for server, count in opened.items()}),
    ]


async def gpu_families(prefect: PrefectClient) -> Sequence[Family] | None:
    """Of the part `gpu`; None where there is none, neither here nor with a worker."""
    found = await in_thread(_gpus)
    limits = await prefect.read_global_concurrency_limits(limit=200)
    held = {
        (one.name.removeprefix("gpu-"),): float(one.active_slots or 0) for one in limits if one.name.startswith("gpu-")
    }
    if not found and not held:
        return None
    names = ("c500_gpu_memory_size_bytes", "c500_gpu_memory_used_bytes", "c500_gpu_busy_ratio")
    families = [
        gauge_family(name, {gpu: figures[place] for gpu, figures in found.items()}) for place, name in enumerate(names)
    ]
    return [*families, gauge_family("c500_gpu_held", held)]


def _gpus() -> dict[Labels, tuple[float, float, float]]:
    """Size, use and business of each GPU."""
    import pynvml

    found: dict[Labels, tuple[float, float, float]] = {}
    for number in range(gpu_count()):
        handle = pynvml.nvmlDeviceGetHandleByIndex(number)
        memory, busy = pynvml.nvmlDeviceGetMemoryInfo(handle), pynvml.nvmlDeviceGetUtilizationRates(handle)
        found[str(number),] = float(memory.total), float(memory.used), float(busy.gpu) / 100
    return found


def _sqlite_files() -> tuple[dict[str, float], dict[str, bool]]:
    """Sizes of the databases in files, and whether they answer; one that was never made is none."""
    chosen = settings()
    places: Mapping[str, str | Path] = {
        "books": with_home(chosen.books_url),
        "limits": with_home(chosen.limiter_url),
        "metrics": chosen.agents_home.expanduser() / "metrics" / "metrics.db",
        "prefect": service_dir() / "prefect" / "prefect.db",
    }
    sizes, answers = dict[str, float](), dict[str, bool]()
    for name, place in places.items():
        if isinstance(place, str) and not place.startswith(SQLITE):
            continue
        path = Path(str(place).removeprefix(SQLITE))
        with suppress(FileNotFoundError):
            sizes[name] = path.stat().st_size + _size(path.with_name(f"{path.name}-wal"))
            answers[name] = _sqlite_answers(path)
    return sizes, answers


def _sqlite_answers(path: Path) -> bool:
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=CONNECT_S)) as database:
            database.execute("PRAGMA schema_version").fetchone()
    except sqlite3.Error:
        return False
    return True


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _redis_of_limits() -> str:
    return settings().limiter_url if settings().limiter_url.startswith("redis") else ""


async def _redis_answers(url: str) -> bool:
    try:
        async with Redis.from_url(url, socket_timeout=CONNECT_S, socket_connect_timeout=CONNECT_S) as redis:
            await redis.ping()
    except (RedisError, OSError, TimeoutError):
        return False
    return True


def _books_answer(engine: "Engine") -> bool:
    from sqlalchemy import text
    from sqlalchemy.exc import SQLAlchemyError

    try:
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))
    except SQLAlchemyError:
        return False
    return True


def _status(path: Path) -> str:
    try:
        return str(json.loads(path.read_bytes())["status"])
    except (ValueError, KeyError, TypeError):
        return "damaged"
