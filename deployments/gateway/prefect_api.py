"""The gateway's connection with the Prefect server."""

import time
from http import HTTPStatus

import httpx
from prefect.client.orchestration import PrefectClient, get_client
from prefect.settings import get_current_settings

from blocks.errors import BadInput

TRIES = "c500_tries"
FIRST_RETRY_S = 0.05
GROWTH = 4

BEGAN = "c500_began"
PATIENCE_S = 5.0
"""How long a request to Prefect is tried anew. Prefect's client would for a minute, and our clients wait with it."""


def open_prefect() -> PrefectClient:
    """A client that gives up soon while the server is away, and soon tries again where its SQLite was locked.

    On SQLite one in twenty submissions meets a lock that is gone after milliseconds (measured), and answers 503;
    Prefect's own client would wait two seconds.
    """
    return get_client(httpx_settings={"event_hooks": {"request": [_not_too_late], "response": [_soon_again]}})


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


async def _not_too_late(request: httpx.Request) -> None:
    """End the tries of a request; Prefect's client tries again what it knows as passing, and this it does not."""
    began = request.extensions.setdefault(BEGAN, time.monotonic())
    if time.monotonic() - began > PATIENCE_S:
        raise httpx.NetworkError("the Prefect server does not answer", request=request)


async def _soon_again(response: httpx.Response) -> None:
    """Say after how long to retry, as Prefect's client takes it from the server: 0.05 s, 0.2 s, 0.8 s, …"""
    if response.status_code == HTTPStatus.SERVICE_UNAVAILABLE and "Retry-After" not in response.headers:
        tries = response.request.extensions.get(TRIES, 0)
        response.request.extensions[TRIES] = tries + 1
        response.headers["Retry-After"] = str(FIRST_RETRY_S * GROWTH**tries)
