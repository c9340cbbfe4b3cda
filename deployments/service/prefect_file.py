"""`prefect.yaml`, the one place where deployments are defined, as typed records."""

from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, TypeAdapter

import deployments
from blocks.errors import NotFound
from blocks.model import Frozen
from blocks.yaml_file import read_yaml

JOB_POOL = "cpu"
AGENT_POOL = "agents"
GPU_VARIANTS = ("process-audio", "process-text")
"""Deployments that every GPU pool has too, as `<name>-gpu-<n>`."""


class Schedule(Frozen):
    """When a deployment runs by itself.

    Attributes:
        slug: Its name; what the user changes on the server stays while the name does.
        interval: Seconds between two runs.
        cron: Or a cron expression.
    """

    slug: str
    interval: float | None = Field(default=None, gt=0)
    cron: str | None = None
    timezone: str | None = None
    active: bool = True

    def timing(self) -> Any:
        """The schedule as Prefect has it."""
        from prefect.client.schemas.schedules import construct_schedule

        interval = None if self.interval is None else timedelta(seconds=self.interval)
        return construct_schedule(interval=interval, cron=self.cron, timezone=self.timezone)


class Concurrency(Frozen):
    """How many runs of a deployment there may be at once, and what becomes of more."""

    limit: int = Field(ge=1)
    collision_strategy: Literal["ENQUEUE", "CANCEL_NEW"] = "ENQUEUE"


class PoolUse(Frozen):
    """Where a deployment's runs go."""

    name: str
    work_queue_name: str | None = None
    job_variables: dict[str, Any] = Field(default_factory=dict)


class Definition(Frozen):
    """One deployment."""

    name: str
    description: str
    entrypoint: str
    work_pool: PoolUse
    tags: tuple[str, ...] = ()
    parameters: dict[str, Any] = Field(default_factory=dict)
    schedules: tuple[Schedule, ...] = ()
    concurrency_limit: Annotated[
        Concurrency | None, BeforeValidator(lambda given: {"limit": given} if isinstance(given, int) else given)
    ] = None
    paused: bool = False

    def on_gpu(self, index: int) -> "Definition":
        """The same on the pool of a GPU."""
        pool = self.work_pool.model_copy(update={"name": gpu_pool(index)})
        return self.model_copy(update={"name": f"{self.name}-{pool.name}", "work_pool": pool})


MAPPING = TypeAdapter(dict[str, Any])
FORM = TypeAdapter(tuple[Definition, ...])


def gpu_pool(index: int) -> str:
    """Name of a GPU's pool, and of its concurrency limit."""
    return f"gpu-{index}"


def definitions(gpus: int) -> list[Definition]:
    """All deployments of a service with so many GPUs.

    Raises:
        NotFound, BadInput: there is no prefect.yaml, or it is wrong.
    """
    defined = list(_read(prefect_file()))
    variants = [one for one in defined if one.name in GPU_VARIANTS]
    return defined + [one.on_gpu(index) for index in range(gpus) for one in variants]


def prefect_file() -> Path:
    """The file: beside the packages in a checkout, within this one when installed from a wheel.

    Raises:
        NotFound: it is in neither place.
    """
    package = Path(str(deployments.__file__)).parent
    for folder in (package.parent, package):
        if (folder / "prefect.yaml").is_file():
            return folder / "prefect.yaml"
    raise NotFound(f"there is no prefect.yaml in {package} or beside it", fix="install c500 again")


@lru_cache(maxsize=1)
def _read(file: Path) -> tuple[Definition, ...]:
    read = read_yaml(file, fix="correct the file, or take it from the release again")
    written = read.read_as(MAPPING).get("deployments")
    return read.part_as(FORM, written, ("deployments",))
