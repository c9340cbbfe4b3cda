"""The gateway's connection with the Prefect server."""

import httpx
from prefect.client.orchestration import PrefectClient, get_client

TRIES = "c500_tries"
FIRST_RETRY_S = 0.05
GROWTH = 4


def open_prefect() -> PrefectClient:
    """A client that tries again soon where the server's SQLite was locked, and Prefect's would wait two seconds.

    On SQLite one in twenty submissions meets a lock that is gone after milliseconds (measured), and answers 503.
    """
    return get_client(httpx_settings={"event_hooks": {"response": [_soon_again]}})


async def _soon_again(response: httpx.Response) -> None:
    """Say after how long to retry, as Prefect's client takes it from the server: 0.05 s, 0.2 s, 0.8 s, …"""
    if response.status_code == httpx.codes.SERVICE_UNAVAILABLE and "Retry-After" not in response.headers:
        tries = response.request.extensions.get(TRIES, 0)
        response.request.extensions[TRIES] = tries + 1
        response.headers["Retry-After"] = str(FIRST_RETRY_S * GROWTH**tries)
