"""`c500 up`: this machine becomes a running service."""

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from deployments.cli import app

if TYPE_CHECKING:
    from deployments.service.plan import ServicePlan

HIDDEN = {"--postgres": "SERVER_POSTGRES_URL", "--redis": "SERVER_REDIS_URL"}


@app.command()
def up(
    host: Annotated[str | None, typer.Option(help="Address the gateway listens on; default is API_HOST.")] = None,
    port: Annotated[int | None, typer.Option(help="Port the gateway listens on; default is API_PORT.")] = None,
    gpus: Annotated[
        int | None, typer.Option(min=0, help="GPUs that get a pool and a worker; default is all of this machine.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Worker processes of the pool `cpu`.")] = 1,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Jobs each of them does at once; default shares out the cores.")
    ] = None,
    no_worker: Annotated[bool, typer.Option("--no-worker", help="Only Prefect server and gateway.")] = False,
    postgres: Annotated[
        str | None, typer.Option(help="PostgreSQL for the Prefect server; default is SERVER_POSTGRES_URL.")
    ] = None,
    redis: Annotated[
        str | None, typer.Option(help="Redis for the Prefect server's messages; default is SERVER_REDIS_URL.")
    ] = None,
) -> None:
    """Run everything: Prefect server, pools, deployments, workers and gateway, until Ctrl-C."""
    given = {option: url for option, url in zip(HIDDEN, (postgres, redis), strict=True) if url}
    if given:
        _start_again_without(given)

    from deployments.service.home import read_running

    if running := read_running():
        typer.echo(f"C500 already runs as process {running.pid}: {running.gateway_url}")
        return

    from deployments.operations_checks import warnings
    from deployments.service.up import run_service

    for told in warnings():
        typer.echo(told, err=True)
    run_service(_plan(host, port, gpus, workers, limit, no_worker), typer.echo)


def _plan(
    host: str | None, port: int | None, gpus: int | None, workers: int, limit: int | None, no_worker: bool
) -> "ServicePlan":
    from pydantic import SecretStr

    from blocks.settings import settings
    from blocks.vram import gpu_count
    from deployments.service.plan import ServicePlan
    from deployments.service.up import choose_server

    chosen = settings()
    api_url, auth, own_server = choose_server()
    return ServicePlan(
        api_url=api_url,
        auth=SecretStr(auth),
        own_server=own_server,
        host=host or chosen.api_host,
        port=port or chosen.api_port,
        gpus=gpu_count() if gpus is None else gpus,
        workers=workers,
        limit=limit or max(1, (os.cpu_count() or 1) // workers),
        work=not no_worker,
    )


def _start_again_without(given: dict[str, str]) -> None:
    """Become the same command with the addresses in the environment: they hold passwords, and `ps` shows arguments."""
    kept: list[str] = []
    arguments = iter(sys.argv[1:])
    for argument in arguments:
        option, joined, _ = argument.partition("=")
        if option not in given:
            kept.append(argument)
        elif not joined:
            next(arguments)
    environment = os.environ | {HIDDEN[option]: url for option, url in given.items()}
    os.execve(sys.executable, [sys.executable, "-m", "deployments", *kept], environment)  # noqa: S606
