"""May this machine work for the service? Asked before a worker starts, so that the answer is one line."""

from prefect.client.orchestration import PrefectClient
from prefect.exceptions import ObjectNotFound

from blocks.errors import EngineUnavailable, NotFound
from deployments.server import client_auth, running_server
from deployments.service.environment import RUN_ENVIRONMENT
from deployments.service.plan import settings_environment


def service_api() -> str:
    """The API's URL of the service's Prefect server, which answers and admits us.

    Raises:
        EngineUnavailable, NotAllowed: it does not.
    """
    url = running_server()
    if url is None:
        raise EngineUnavailable(
            "no Prefect server is known here",
            fix="set PREFECT_API_URL and PREFECT_API_AUTH_STRING to those of the service (`c500 up` prints how)",
        )
    return url


def joined_environment(api_url: str) -> dict[str, str]:
    """What a worker and its runs have in their environment beside what this process has."""
    own = {"PREFECT_API_URL": api_url, "PYTHONUNBUFFERED": "1"} | client_auth(api_url)
    return settings_environment() | RUN_ENVIRONMENT | own


async def check_joining(pool: str) -> str:
    """One line that says where the worker goes.

    Raises:
        NotFound: there is no such pool.
        Conflict: this machine has another store, or the pool is for another kind of worker.
    """
    from prefect.client.orchestration import get_client

    from deployments.service.pools import check_type
    from deployments.service.shared_store import check_shared

    async with get_client() as client:
        try:
            found = await client.read_work_pool(pool)
        except ObjectNotFound:
            raise NotFound(
                f"the service has no work pool {pool}",
                fix=f"choose one of {', '.join(await _pool_names(client))}",
                field="POOL",
            ) from None
        check_type(found)
        store = await check_shared(client)
        return f"joins {client.api_url} as worker of {pool}; store {store}"


async def _pool_names(client: PrefectClient) -> list[str]:
    return sorted(pool.name for pool in await client.read_work_pools(limit=200))
