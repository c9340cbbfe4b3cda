"""`c500 worker`: let this machine work for a service that runs elsewhere."""

import os
import signal
import socket
import sys
from typing import Annotated

import typer

from deployments.cli import app


@app.command()
def worker(
    pool: Annotated[str, typer.Argument(help="Work pool: cpu, agents, gpu-0, …")],
    name: Annotated[str | None, typer.Option(help="Name of the worker; default is host and pool.")] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Jobs at once; default: as many as cores, on a GPU one.")
    ] = None,
) -> None:
    """Work for the service whose Prefect server PREFECT_API_URL names, with the same store."""
    import asyncio

    from deployments.service.join import check_joining, joined_environment, service_api
    from deployments.service.plan import KEPT_FROM_OTHERS, jobs_at_once, worker_command

    api_url = service_api()
    os.environ.update(joined_environment(api_url))
    for secret in KEPT_FROM_OTHERS:
        os.environ.pop(secret, None)
    typer.echo(asyncio.run(check_joining(pool)))

    command = worker_command(pool, name or f"{socket.gethostname()}-{pool}", limit or jobs_at_once(pool))
    sys.stdout.flush()
    # Told to end, Prefect's worker interrupts itself; a shell has its background commands ignore that.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.execv(command[0], command)  # noqa: S606 - our own command
