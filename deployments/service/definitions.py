"""What is defined on the Prefect server, applied from code as often as one likes.

`python -m deployments.service.definitions` does it on the server of PREFECT_API_URL.
"""

import argparse
import asyncio
import sys
from importlib.metadata import version
from typing import Any

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate, DeploymentUpdate
from prefect.client.schemas.objects import ConcurrencyOptions
from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import ObjectNotFound
from prefect.flows import load_flow_from_entrypoint
from prefect.utilities.callables import parameter_schema

from blocks.content import content_hash
from blocks.errors import C500Error
from deployments.service.pools import apply_pools
from deployments.service.prefect_file import Definition, definitions


async def apply_definitions(client: PrefectClient, gpus: int, *, new_store: bool = False) -> None:
    """Make pools, limits, blocks, deployments and automations, or bring them up to date.

    What a person changed on the server stays: pauses, limits, job templates; what the code defines follows the code.

    Args:
        client: The server.
        gpus: GPUs of this machine; pools of GPUs that are not there any more are left alone.
        new_store: Whether the store of this machine becomes the service's, although that has another.

    Raises:
        Conflict: the service has another store, or a pool of one of our names is of another type.
        BadInput: prefect.yaml is wrong.
    """
    from deployments.service.automations import apply_automations
    from deployments.service.shared_store import mark_store

    await mark_store(client, new_store=new_store)
    await register_blocks(client)
    await apply_pools(client, gpus)
    for definition in definitions(gpus):
        await apply_deployment(client, definition)
    await apply_automations(client)
    await mark_store(client)


async def register_blocks(client: PrefectClient) -> None:
    """Show our blocks as forms in the Prefect UI."""
    from blocks.gpu import Gpu
    from blocks.store.block import LocalStore, S3Store

    for block in (Gpu, LocalStore, S3Store):
        await block.aregister_type_and_schema(client=client)


async def apply_deployment(client: PrefectClient, definition: Definition) -> None:
    """Make the deployment, or bring it up to date when the code has changed since.

    Limits, job variables and schedules that the code does not name any more are left as they are on the server: people
    change them there, and nothing says which came from where.
    """
    flow = load_flow_from_entrypoint(definition.entrypoint, use_placeholder_flow=False)
    owned = owned_by_code(definition, parameter_schema(flow).model_dump(exclude_unset=True))
    try:
        found = await client.read_deployment_by_name(f"{flow.name}/{definition.name}")
    except ObjectNotFound:
        await _create(client, definition, owned, await client.create_flow_from_name(flow.name))
        return
    if found.version != owned["version"]:
        await client.update_deployment(found.id, DeploymentUpdate(**owned))
        await _update_schedules(client, found, definition)


def owned_by_code(definition: Definition, schema: dict[str, Any]) -> dict[str, Any]:
    """The fields of a deployment that follow the code; its version says which code they follow."""
    owned: dict[str, Any] = {
        "entrypoint": definition.entrypoint,
        "description": definition.description,
        "tags": list(definition.tags),
        "parameters": definition.parameters,
        "parameter_openapi_schema": schema,
        "enforce_parameter_schema": True,
        "work_pool_name": definition.work_pool.name,
        "pull_steps": [],
    }
    if definition.work_pool.work_queue_name:
        owned["work_queue_name"] = definition.work_pool.work_queue_name
    revision = content_hash([definition.model_dump(mode="json"), owned])[:10]
    return owned | {"version": f"{version('c500')}-{revision}"}


async def _create(client: PrefectClient, definition: Definition, owned: dict[str, Any], flow_id: Any) -> None:
    limit = definition.concurrency_limit
    options = ConcurrencyOptions.model_validate({"collision_strategy": limit.collision_strategy}) if limit else None
    await client.create_deployment(
        flow_id=flow_id,
        name=definition.name,
        paused=definition.paused,
        schedules=[
            DeploymentScheduleCreate(schedule=one.timing(), slug=one.slug, active=one.active)
            for one in definition.schedules
        ],
        concurrency_limit=limit and limit.limit,
        concurrency_options=options,
        job_variables=definition.work_pool.job_variables,
        **owned,
    )


async def _update_schedules(client: PrefectClient, found: DeploymentResponse, definition: Definition) -> None:
    """Change the timing of our schedules and add new ones; whether one is active is the user's choice."""
    existing = {schedule.slug: schedule for schedule in found.schedules}
    for one in definition.schedules:
        if one.slug in existing:
            await client.update_deployment_schedule(found.id, existing[one.slug].id, schedule=one.timing())
        else:
            fresh = DeploymentScheduleCreate(schedule=one.timing(), slug=one.slug, active=one.active)
            await client.create_deployment_schedules(found.id, [fresh])


async def apply(gpus: int, new_store: bool) -> None:
    """Apply all definitions to the server of PREFECT_API_URL."""
    async with get_client() as client:
        await apply_definitions(client, gpus, new_store=new_store)


def main() -> int:
    """Apply; returns the exit status."""
    parser = argparse.ArgumentParser(description=apply.__doc__)
    parser.add_argument("--gpus", type=int, help="GPUs of this machine; default is what the driver shows")
    parser.add_argument("--new-store", action="store_true", help="make the store of this machine the service's")
    chosen = parser.parse_args()
    if chosen.gpus is None:
        from blocks.vram import gpu_count

        chosen.gpus = gpu_count()
    try:
        asyncio.run(apply(chosen.gpus, chosen.new_store))
    except C500Error as error:
        print(f"error: {error.message}\nfix: {error.fix}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
