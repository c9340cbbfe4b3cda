"""`python -m deployments.gateway`: serve the gateway on API_HOST and API_PORT."""

import os
import sys

import uvicorn

from blocks.errors import C500Error
from blocks.settings import settings
from deployments.gateway.prefect_api import check_prefect
from deployments.gateway.web.auth import check_exposure
from deployments.gateway.web.wire import Protocol


def main() -> None:
    """Serve until a signal says otherwise; exit 2 or 3 with one line when the settings forbid it."""
    try:
        chosen = settings()
        check_exposure(chosen)
        check_prefect()
    except C500Error as error:
        sys.stderr.write(f"error: {error.message}\nfix: {error.fix}\n")
        sys.exit(error.exit_code)
    # Prefect's client would try five times over a minute: a client of ours is better told after some seconds.
    os.environ.setdefault("PREFECT_CLIENT_MAX_RETRIES", "2")
    uvicorn.run(
        "deployments.gateway.web.wire:create",
        factory=True,
        http=Protocol,
        ws="none",
        host=chosen.api_host,
        port=chosen.api_port,
        log_level="error",
        access_log=False,
        server_header=False,
        # uvicorn would believe X-Forwarded-For from loopback; addresses here serve to slow wrong keys.
        proxy_headers=False,
        timeout_graceful_shutdown=10,
    )


if __name__ == "__main__":
    main()
