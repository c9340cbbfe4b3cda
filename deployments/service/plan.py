"""What `c500 up` runs: the parts, in the order of their start, and the environment of each."""

import os
import socket
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr

from blocks.errors import Unsupported
from blocks.model import Frozen
from blocks.settings import settings
from deployments.server import TUNING
from deployments.service.environment import RUN_ENVIRONMENT, SERVER_ENVIRONMENT
from deployments.service.home import CLIENT_AUTH, SERVER_AUTH, service_dir
from deployments.service.part import Part
from deployments.service.prefect_file import AGENT_POOL, JOB_POOL, gpu_pool

WORKER_TYPE = "warm"
DATABASE = "PREFECT_SERVER_DATABASE_CONNECTION_URL"
REDIS = "PREFECT_REDIS_MESSAGING_URL"
RETENTION = "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD"
SECONDS_PER_DAY = 86_400
MARK = "C500_SERVICE"
"""Variable by which processes of a service are known, whoever their parent is now."""
KEPT_FROM_OTHERS = {
    "SECRET_API_KEY": "gateway",
    "SERVER_POSTGRES_URL": "server",
    "SERVER_REDIS_URL": "server",
    SERVER_AUTH: "server",
    DATABASE: "server",
}
"""Secrets of one part that the others, and so the flows, have no business with."""
AGENT_LIMIT = 4
"""Runs of the pool `agents` at once: small ones, that wait for others most of the time."""


class ServicePlan(Frozen):
    """What the operator asked for.

    Attributes:
        api_url: The Prefect server's API.
        own_server: Whether the service runs that server.
        host: Where the gateway listens.
        gpus: How many of this machine's GPUs have a pool with a worker.
        workers: Worker processes of the pool `cpu`; 0 with `work=False`.
        limit: Jobs of each at once.
        work: Whether workers run here at all.
    """

    api_url: str
    auth: SecretStr
    own_server: bool
    host: str
    port: int
    gpus: int
    workers: int
    limit: int
    work: bool

    @property
    def gateway_url(self) -> str:
        """The gateway as this machine reaches it."""
        return f"http://{reachable(self.host)}:{self.port}"

    @property
    def pools(self) -> tuple[str, ...]:
        """Pools with workers here."""
        if not self.work:
            return ()
        return (JOB_POOL, *(gpu_pool(index) for index in range(self.gpus)), AGENT_POOL)


def stages(plan: ServicePlan) -> list[list[Part]]:
    """Server; definitions; workers and gateway. What is in one list starts and stops together."""
    workers = [worker(plan, pool, number) for pool in plan.pools for number in _workers_of(plan, pool)]
    own_server = [server(plan)] if plan.own_server else []
    return [stage for stage in (own_server, [definitions(plan)], [*workers, gateway(plan)]) if stage]


def server(plan: ServicePlan) -> Part:
    """The Prefect server."""
    address = urlsplit(plan.api_url)
    own = {
        "PREFECT_SERVER_API_HOST": os.environ.get("PREFECT_SERVER_API_HOST", "127.0.0.1"),
        "PREFECT_SERVER_API_PORT": str(address.port),
        SERVER_AUTH: plan.auth.get_secret_value(),
    }
    return Part(
        name="server",
        command=(sys.executable, "-m", "deployments.prefect_server", "server", "start"),
        environment=_environment(plan, "server") | server_environment() | own,
        health_url=f"{plan.api_url}/health",
    )


def definitions(plan: ServicePlan) -> Part:
    """Pools, deployments, automations: applied, then done."""
    command = (sys.executable, "-m", "deployments.service.definitions", "--gpus", str(plan.gpus))
    return Part(
        name="definitions",
        # Whoever runs the server says where its store is.
        command=(*command, "--new-store") if plan.own_server else command,
        environment=_environment(plan, "definitions"),
        once=True,
    )


def worker(plan: ServicePlan, pool: str, number: int) -> Part:
    """A worker of the pool."""
    name = f"{socket.gethostname()}-{pool}" + (f"-{number}" if number else "")
    return Part(
        name=f"worker-{pool}" + (f"-{number}" if number else ""),
        command=worker_command(pool, name, plan.limit if pool == JOB_POOL else jobs_at_once(pool)),
        environment=_environment(plan, "worker") | RUN_ENVIRONMENT,
        ready_text="started!",
        grace_s=45,  # its runs have 30
    )


def gateway(plan: ServicePlan) -> Part:
    """The REST API."""
    own = {"API_HOST": plan.host, "API_PORT": str(plan.port)}
    if redis := settings().server_redis_url:  # its health answer says whether Redis does
        own |= {"PREFECT_MESSAGING_BROKER": "prefect_redis.messaging", REDIS: redis.get_secret_value()}
    return Part(
        name="gateway",
        command=(sys.executable, "-m", "deployments.gateway"),
        environment=_environment(plan, "gateway") | own,
        health_url=f"{plan.gateway_url}/health/live",
    )


def jobs_at_once(pool: str) -> int:
    """Jobs that a worker of a pool does at once on this machine, unless told otherwise."""
    return {JOB_POOL: os.cpu_count() or 1, AGENT_POOL: AGENT_LIMIT}.get(pool, 1)


def worker_command(pool: str, name: str, limit: int) -> tuple[str, ...]:
    """Prefect's own command for a worker of our type, which does so many jobs at once."""
    command = (sys.executable, "-m", "prefect", "worker", "start", "--pool", pool, "--type", WORKER_TYPE)
    command += ("--name", name, "--install-policy", "never", "--no-create-pool-if-not-found")
    return (*command, "--limit", str(limit))


def settings_environment() -> dict[str, str]:
    """Every setting that is set, as a variable, with absolute paths.

    A flow run has a working directory of its own, where neither our `.env` nor a relative path would be found.
    """
    chosen = settings()
    return {name.upper(): _as_variable(getattr(chosen, name)) for name in sorted(chosen.model_fields_set)}


def server_environment() -> dict[str, str]:
    """The Prefect server's settings: tuned, with the database and the messages where the settings want them.

    Raises:
        Unsupported: messages shall go through Redis, and prefect-redis is not installed.
    """

    chosen = settings()
    database = os.environ.get(DATABASE) or f"sqlite+aiosqlite:///{database_file()}"
    if chosen.server_postgres_url:
        database = _for_asyncpg(chosen.server_postgres_url.get_secret_value())
    return {
        **TUNING,
        **SERVER_ENVIRONMENT,
        RETENTION: str(round(chosen.run_retention_days * SECONDS_PER_DAY)),
        DATABASE: database,
        **(redis_environment(chosen.server_redis_url.get_secret_value()) if chosen.server_redis_url else {}),
    }


def database_file() -> Path:
    """The SQLite database of a service without PostgreSQL."""
    return service_dir() / "prefect" / "prefect.db"


def redis_environment(url: str) -> dict[str, str]:
    """What lets several Prefect servers share one Redis; see the measurements in `docs/service.md`.

    Raises:
        Unsupported: prefect-redis is not installed.
    """
    if find_spec("prefect_redis") is None:
        raise Unsupported("SERVER_REDIS_URL needs prefect-redis", fix="pip install 'c500[redis]'")
    return {
        "PREFECT_MESSAGING_BROKER": "prefect_redis.messaging",
        "PREFECT_MESSAGING_CACHE": "prefect_redis.messaging",
        "PREFECT_SERVER_EVENTS_CAUSAL_ORDERING": "prefect_redis.ordering",
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect_redis.lease_storage",
        "PREFECT_SERVER_WORKER_CHANNEL_CLEANUP_QUEUE_STORAGE": "prefect_redis.cleanup_queue",
        REDIS: url,
        "PREFECT_REDIS_WORKER_CLEANUP_QUEUE_URL": url,
        "PREFECT_SERVER_DOCKET_URL": url,
        # Else the server needs 40 s to catch up with 1,000 task runs, not 5 (measured).
        "PREFECT_REDIS_MESSAGING_PUBLISHER_PUBLISH_EVERY": "1",
        "PREFECT_REDIS_MESSAGING_PUBLISHER_BATCH_SIZE": "100",
    }


def reachable(host: str) -> str:
    """An address at which this machine reaches what listens there."""
    return {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)  # noqa: S104 - read, not bound


def _environment(plan: ServicePlan, part: str) -> dict[str, str]:
    """What all parts have, less the secrets of others."""
    common: Mapping[str, str] = {
        **os.environ,
        **settings_environment(),
        "PREFECT_API_URL": plan.api_url,
        **({CLIENT_AUTH: secret} if (secret := plan.auth.get_secret_value()) else {}),
        "PREFECT_HOME": os.environ.get("PREFECT_HOME", str(service_dir() / "prefect")),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PYTHONUNBUFFERED": "1",
        MARK: str(service_dir()),
    }
    return {name: value for name, value in common.items() if KEPT_FROM_OTHERS.get(name, part) == part}


def _workers_of(plan: ServicePlan, pool: str) -> range:
    if pool != JOB_POOL or plan.workers == 1:
        return range(1)
    return range(1, plan.workers + 1)


def _as_variable(value: object) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, Path):
        return str(value.expanduser().absolute())
    return "" if value is None else str(value)


def _for_asyncpg(url: str) -> str:
    for scheme in ("postgresql://", "postgres://"):
        if url.startswith(scheme):
            return f"postgresql+asyncpg://{url.removeprefix(scheme)}"
    return url
