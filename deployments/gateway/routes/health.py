"""Health: does it live, is it ready for requests, how are its parts."""

import asyncio
import os
import shutil
import time
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import Literal

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from blocks.errors import C500Error, EngineUnavailable
from blocks.model import Frozen
from blocks.progress import in_thread
from blocks.settings import settings
from blocks.store.files import Files
from blocks.store.local import LocalFiles
from deployments.gateway.llm import LivePool
from deployments.gateway.load import FRESH_S, PATIENCE_S, Load, Recent
from deployments.gateway.web.auth import OPEN

PROBE_KEY = "gateway/probe"
LEAST_FREE_BYTES = 1_000_000_000


class Part(Frozen):
    """One thing the service needs: whether it is all right, and what is to be known of it."""

    ok: bool
    detail: str
    ms: float | None = None


class Health(Frozen):
    """How the service is.

    Attributes:
        status: `healthy` when all parts are all right.
        redis_connected: Whether what carries messages answers: Redis where it is used, else Prefect itself.
        queue_depth: Jobs that wait for a worker.
        worker_active: Whether any worker's heartbeat is fresh.
    """

    status: Literal["healthy", "unhealthy"]
    version: str
    redis_connected: bool
    queue_depth: int
    worker_active: bool
    parts: dict[str, Part]


class Live(Frozen):
    """That this process answers."""

    status: Literal["live"] = "live"


class Ready(Frozen):
    """That requests can be served."""

    status: Literal["ready"] = "ready"


class NotReady(EngineUnavailable):
    """Something without which no request can be served is away. Details: `parts`."""

    code = "NOT_READY"


class Probes:
    """The health of the service, looked at once a second at most.

    Args:
        files: The store.
        load: What Prefect says of the service's load.
        live_pool: The LLM accounts.
    """

    def __init__(self, files: Files, load: Load, live_pool: LivePool) -> None:
        self._files = files
        self._load = load
        self._live_pool = live_pool
        self._recent = Recent(self._look, FRESH_S)

    async def health(self) -> Health:
        """How everything is."""
        return await self._recent.get()

    async def _look(self) -> Health:
        checks = {"prefect": self._check_prefect, "store": self._check_store, "disk": self._check_disk}
        if self._live_pool.is_there:
            checks["accounts"] = self._check_accounts
        if redis_url():
            checks["redis"] = self._check_redis
        parts = dict(zip(checks, await asyncio.gather(*(_timed(check) for check in checks.values())), strict=True))
        queue = await self._load.queue() if parts["prefect"].ok else None
        if queue is not None:
            parts["workers"] = Part(ok=queue.workers > 0, detail=f"{queue.workers} online")
        return Health(
            status="healthy" if all(part.ok for part in parts.values()) else "unhealthy",
            version=version("c500"),
            redis_connected=parts.get("redis", parts["prefect"]).ok,
            queue_depth=queue.depth if queue else 0,
            worker_active=queue is not None and queue.workers > 0,
            parts=parts,
        )

    async def _check_prefect(self) -> str:
        if await self._load.queue() is None:  # its own /health does not look whether its database is there
            raise EngineUnavailable("does not answer", fix="see the Prefect server's log")
        return "answers"

    async def _check_store(self) -> str:
        await in_thread(self._files.exists, PROBE_KEY)
        if isinstance(self._files, LocalFiles) and not os.access(self._files.root, os.W_OK | os.X_OK):
            raise EngineUnavailable("cannot be written", fix="see AUDIO_DIR")
        return "answers"

    async def _check_disk(self) -> str:
        place = self._files.root if isinstance(self._files, LocalFiles) else "/tmp"  # noqa: S108 - S3's scratch
        free = (await in_thread(shutil.disk_usage, place)).free
        detail = f"{free / 1e9:.1f} GB free"
        if free < max(LEAST_FREE_BYTES, settings().max_file_size_mb * 1_000_000):
            raise EngineUnavailable(detail, fix="free disk space")
        return detail

    async def _check_accounts(self) -> str:
        if wrong := await self._live_pool.fault():
            raise EngineUnavailable(wrong, fix="correct it; `c500 doctor` says how")
        return "the file is well"

    async def _check_redis(self) -> str:
        async with Redis.from_url(redis_url(), socket_timeout=PATIENCE_S, socket_connect_timeout=PATIENCE_S) as redis:
            await redis.ping()
        return "answers"


def redis_url() -> str:
    """Where Prefect's messages go by way of Redis; empty when they do not."""
    if not os.environ.get("PREFECT_MESSAGING_BROKER", "").startswith("prefect_redis"):
        return ""
    return os.environ.get("PREFECT_REDIS_MESSAGING_URL") or settings().redis_url


async def _timed(check: Callable[[], Awaitable[str]]) -> Part:
    """The outcome of a check within `PATIENCE_S`; what went wrong is said without addresses."""
    begun = time.perf_counter()
    try:
        ok, detail = True, await asyncio.wait_for(check(), PATIENCE_S)
    except TimeoutError:
        ok, detail = False, f"no answer in {PATIENCE_S:g} s"
    except EngineUnavailable as error:
        ok, detail = False, error.message
    except (C500Error, OSError, RedisError) as error:
        ok, detail = False, type(error).__name__
    return Part(ok=ok, detail=detail, ms=round((time.perf_counter() - begun) * 1000, 1))


@get("/health", opt=OPEN, operation_id="readHealth", summary="Health of the service and its parts")
async def read_health(probes: NamedDependency[Probes]) -> Health:
    """Look at everything the service needs. Always 200: what is not well is in the answer."""
    return await probes.health()


@get("/health/live", opt=OPEN, operation_id="readLive", summary="Whether the gateway's process lives")
async def read_live() -> Live:
    """Answer, without looking at anything else."""
    return Live()


@get(
    "/health/ready",
    opt=OPEN,
    operation_id="readReady",
    summary="Whether requests can be served",
    responses={503: ResponseSpec(dict, description="Prefect or the store is away.", generate_examples=False)},
)
async def read_ready(probes: NamedDependency[Probes]) -> Response[Ready]:
    """Say whether Prefect and the store answer."""
    parts = (await probes.health()).parts
    away = {name: parts[name].detail for name in ("prefect", "store") if not parts[name].ok}
    if away:
        said = ", ".join(f"{name}: {detail}" for name, detail in away.items())
        raise NotReady(f"not ready: {said}", fix="wait, or run `c500 doctor`", parts=away, retry_after_s=FRESH_S)
    return Response(Ready())


handlers = [read_health, read_live, read_ready]
