"""The work pools, their queues, and the limits of GPUs: made when missing, left alone when there."""

from copy import deepcopy
from typing import Any

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate, WorkPoolCreate, WorkPoolUpdate
from prefect.client.schemas.objects import WorkPool
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.plugins import load_prefect_collections
from prefect.workers.base import BaseWorker
from pydantic import Field

from blocks.errors import Conflict, Unsupported
from blocks.model import Frozen
from blocks.runs.queue import FAIR_QUEUES
from deployments.service.environment import RUN_ENVIRONMENT
from deployments.service.plan import WORKER_TYPE
from deployments.service.prefect_file import AGENT_POOL, JOB_POOL, gpu_pool


class PoolPlan(Frozen):
    """A work pool as it should be.

    Attributes:
        limit: Most runs at once; None is no limit but the workers' own.
        environment: What every run in it has in its environment at least.
    """

    name: str
    description: str
    limit: int | None = None
    queues: dict[str, int] = Field(default_factory=dict)
    environment: dict[str, str] = RUN_ENVIRONMENT

    def completed(self, template: dict[str, Any]) -> dict[str, Any]:
        """The base job template with those variables that it lacks; what it sets otherwise stays."""
        complete = deepcopy(template)
        env = complete["variables"]["properties"].setdefault("env", {"type": "object"})
        env["default"] = self.environment | (env.get("default") or {})
        return complete

    def differences(self, found: WorkPool) -> list[str]:
        """What of the pool on the server cannot do; changes that do no harm are the user's own business."""
        wrong: list[str] = []
        if found.type != WORKER_TYPE:
            wrong.append(f"is of type {found.type}, not {WORKER_TYPE}")
        if missing := sorted(self.environment.keys() - template_environment(found).keys()):
            wrong.append(f"does not set {', '.join(missing)}")
        if self.limit and found.concurrency_limit != self.limit:
            wrong.append(f"has the limit {found.concurrency_limit}, not {self.limit}")
        return wrong


def template_environment(pool: WorkPool) -> dict[str, str]:
    """What the pool's base job template sets in the environment of its runs."""
    variables: dict[str, Any] = pool.base_job_template.get("variables", {}).get("properties", {})
    return variables.get("env", {}).get("default") or {}


def pool_plans(gpus: int) -> list[PoolPlan]:
    """The pools of a service with so many GPUs."""
    return [
        PoolPlan(name=JOB_POOL, description="Jobs on any machine.", queues=FAIR_QUEUES),
        PoolPlan(name=AGENT_POOL, description="Recovery, agents and operations."),
        *(gpu_plan(index) for index in range(gpus)),
    ]


def gpu_plan(index: int) -> PoolPlan:
    """The pool of a GPU: one run at a time, which sees no other card."""
    return PoolPlan(
        name=gpu_pool(index),
        description=f"Jobs on GPU {index}, one at a time.",
        limit=1,
        queues=FAIR_QUEUES,
        # GPU_INDEX too: memory is read by the number that the driver knows, whatever CUDA may see.
        environment=RUN_ENVIRONMENT
        | {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": str(index), "GPU_INDEX": str(index)},
    )


def worker_template() -> dict[str, Any]:
    """The base job template of our worker type.

    Raises:
        Unsupported: the worker type is not registered with Prefect.
    """
    load_prefect_collections()
    kind: Any = BaseWorker.get_worker_class_from_type(WORKER_TYPE)
    if kind is None:
        raise Unsupported(
            f"Prefect does not know the worker type {WORKER_TYPE}",
            fix="install c500 again (pip install --editable . in a checkout): its entry points are out of date",
        )
    return deepcopy(kind.get_default_base_job_template())


async def apply_pools(client: PrefectClient, gpus: int) -> None:
    """Make the pools, queues and GPU limits that are missing.

    Raises:
        Conflict: a pool of that name is of another type.
    """
    for plan in pool_plans(gpus):
        await _apply_pool(client, plan)
        await _apply_queues(client, plan)
    for index in range(gpus):
        await _apply_limit(client, gpu_pool(index))


async def _apply_pool(client: PrefectClient, plan: PoolPlan) -> None:
    try:
        found = await client.read_work_pool(plan.name)
    except ObjectNotFound:
        try:
            found = await client.create_work_pool(
                WorkPoolCreate(
                    name=plan.name,
                    description=plan.description,
                    type=WORKER_TYPE,
                    base_job_template=plan.completed(worker_template()),
                    concurrency_limit=plan.limit,
                )
            )
        except ObjectAlreadyExists:  # another machine was faster
            found = await client.read_work_pool(plan.name)
    check_type(found)
    complete = plan.completed(found.base_job_template)
    if complete != found.base_job_template:
        await client.update_work_pool(plan.name, WorkPoolUpdate(base_job_template=complete))


def check_type(pool: WorkPool) -> None:
    """Refuse a pool for another kind of worker.

    Raises:
        Conflict: it is one.
    """
    if pool.type != WORKER_TYPE:
        raise Conflict(
            f"the work pool {pool.name} is of type {pool.type}, not {WORKER_TYPE}",
            fix=f"when its runs have ended: `prefect work-pool delete {pool.name}`, and start again",
        )


async def _apply_queues(client: PrefectClient, plan: PoolPlan) -> None:
    existing = {queue.name for queue in await client.read_work_queues(plan.name)} if plan.queues else set[str]()
    for name, priority in plan.queues.items():
        if name not in existing:
            try:
                await client.create_work_queue(name=name, priority=priority, work_pool_name=plan.name)
            except ObjectAlreadyExists:
                continue


async def _apply_limit(client: PrefectClient, name: str) -> None:
    try:
        await client.read_global_concurrency_limit_by_name(name)
    except ObjectNotFound:
        await client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=name, limit=1))
