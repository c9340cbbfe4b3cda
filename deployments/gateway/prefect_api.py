"""The gateway's connection with the Prefect server."""

from http import HTTPStatus

import httpx
from prefect.client.orchestration import PrefectClient, get_client
from prefect.settings import get_current_settings

from blocks.errors import BadInput

TRIES = "c500_tries"
FIRST_RETRY_S = 0.05
GROWTH = 4


def open_prefect() -> PrefectClient:
    """A client that tries again soon where the server's SQLite was locked, and Prefect's would wait two seconds.

    On SQLite one in twenty submissions meets a lock that is gone after milliseconds (measured), and answers 503.
    """
    return get_client(httpx_settings={"event_hooks": {"response": [_soon_again]}})


def check_prefect() -> None:
    """Refuse to start without a server: Prefect's client would quietly start one of its own that nobody works for.

    Raises:
        BadInput: PREFECT_API_URL is not set, neither in the environment nor in Prefect's profile.
    """
    if get_current_settings().api.url is None:
        raise BadInput(
            "PREFECT_API_URL is not set, so the gateway knows no Prefect server",
            fix="set it, as in PREFECT_API_URL=http://127.0.0.1:4200/api, or run `c500 up`",
            field="PREFECT_API_URL",
        )


async def _soon_again(response: httpx.Response) -> None:
    """Say after how long to retry, as Prefect's client takes it from the server: 0.05 s, 0.2 s, 0.8 s, …"""
    if response.status_code == HTTPStatus.SERVICE_UNAVAILABLE and "Retry-After" not in response.headers:
        tries = response.request.extensions.get(TRIES, 0)
        response.request.extensions[TRIES] = tries + 1
        response.headers["Retry-After"] = str(FIRST_RETRY_S * GROWTH**tries)
