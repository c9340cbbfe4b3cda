"""The parts as this gateway serves them."""

import asyncio
import resource
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, NamedTuple

import psutil
from prefect.client.orchestration import PrefectClient
from prometheus_client.metrics_core import Metric as Family

from blocks.progress import in_thread
from blocks.settings import settings
from blocks.store.files import Files
from deployments.gateway.counters import REGISTRY
from deployments.gateway.desk import Desk
from deployments.gateway.llm import LivePool
from deployments.gateway.load import Load
from deployments.gateway.metrics.families import exposed, gauge_family
from deployments.gateway.metrics.jobs import JobLook
from deployments.gateway.metrics.llm import LlmLook
from deployments.gateway.metrics.machine import (
    database_families,
    gpu_families,
    session_families,
    store_families,
)
from deployments.gateway.metrics.operations import OperationsLook
from deployments.gateway.metrics.part import REST, Part
from deployments.gateway.metrics.prefect import PrefectLook, RunLook
from deployments.gateway.metrics.quality import QualityLook

if TYPE_CHECKING:
    from deployments.gateway.metrics.agents import AgentLook

AGENTS_S, MOMENT_S, FILES_S = 5.0, 10.0, 30.0
"""How old what is told may be: of agents, of what goes on, of what files say."""


class Service(NamedTuple):
    """What the parts are read from.

    Attributes:
        files: The store.
        prefect: The Prefect server.
        load: What it says of the queue.
        live_pool: The LLM accounts.
        desk: Approvals and switches.
    """

    files: Files
    prefect: PrefectClient
    load: Load
    live_pool: LivePool
    desk: Desk


def parts_of(service: Service) -> list[Part]:
    """The parts, each with how old what is told of it may be."""
    operations = OperationsLook(service.files)
    return [
        Part("prefect", PrefectLook(service.load).read, 0),  # what is known of the load has an age of its own
        Part("run", RunLook(service.prefect).read, MOMENT_S),
        Part("job", JobLook(service.files).read, MOMENT_S, rest=REST),
        Part("llm", LlmLook(service.live_pool).read, MOMENT_S),
        Part("agent", AgentsOfHome(service).read, AGENTS_S),
        Part("gpu", partial(gpu_families, service.prefect), MOMENT_S),
        Part("database", partial(database_families, service.live_pool), FILES_S),
        _of_files("store", partial(store_families, service.files)),
        _of_files("session", session_families),
        _of_files("operations", operations.runs),
        _of_files("incident", operations.incidents),
        _of_files("migration", operations.migrations),
        _of_files("drift", operations.drift),
        _of_files("capacity", operations.capacity),
        _of_files("quality", QualityLook(service.files).latest),
    ]


class ServedMetrics:
    """All that this gateway tells Prometheus.

    Args:
        parts: What it looks at.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = parts
        self._process = psutil.Process()
        self._may_open = resource.getrlimit(resource.RLIMIT_NOFILE)[0]

    async def exposed(self) -> bytes:
        """The metrics as Prometheus reads them."""
        told = await asyncio.gather(*(part.told() for part in self._parts))
        of_parts = (family for of_part in told for family in of_part)
        return await in_thread(exposed, [*REGISTRY.collect(), *self._own(), *of_parts])

    async def close(self) -> None:
        """End the looks in hand."""
        await asyncio.gather(*(part.close() for part in self._parts))

    def _own(self) -> list[Family]:
        ages = {(part.name,): age_s for part in self._parts if (age_s := part.age_s) is not None}
        took = {(part.name,): part.took_s for part in self._parts if (part.name,) in ages}
        return [
            gauge_family("c500_gateway_info", {(version("c500"),): 1}),
            gauge_family("c500_gateway_start_time_seconds", self._process.create_time()),
            gauge_family("c500_gateway_resident_memory_bytes", self._process.memory_info().rss),
            gauge_family("c500_gateway_descriptors_used_ratio", self._process.num_fds() / self._may_open),
            gauge_family("c500_gateway_look_seconds", took),
            gauge_family("c500_gateway_look_age_seconds", ages),
        ]


class AgentsOfHome:
    """Looks at the agents of AGENTS_HOME, once there is one: a gateway for audio needs none of it.

    Args:
        service: Where approvals, switches, queue and accounts are.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._look: AgentLook | None = None

    async def read(self) -> Sequence[Family] | None:
        """What there is now; None where no agent has ever worked."""
        if self._look is None:
            if not settings().agents_home.expanduser().is_dir():
                return None
            self._look = self._opened()
        return await self._look.read()

    def _opened(self) -> "AgentLook":
        from blocks.agent_metrics import FOLDER, AgentMetrics
        from deployments.gateway.metrics.agent_gauges import agent_gauges
        from deployments.gateway.metrics.agents import AgentLook
        from tasks.agents.breaker import FileBreakers

        home, service = settings().agents_home.expanduser(), self._service
        gauges = agent_gauges(
            home,
            switches=service.desk.switches,
            breakers=FileBreakers(home / "breakers"),
            approvals=service.desk.approvals,
            prefect=service.prefect,
            live_pool=service.live_pool,
        )
        return AgentLook(AgentMetrics(home / FOLDER), gauges)


def _of_files(name: str, look: Callable[[], Sequence[Family] | None]) -> Part:
    """A part that is read from files, in a thread."""

    def read() -> Awaitable[Sequence[Family] | None]:
        return in_thread(look)

    return Part(name, read, FILES_S, rest=REST)
