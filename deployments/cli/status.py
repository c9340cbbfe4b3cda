"""`c500 status`: what the service does now."""

from typing import TYPE_CHECKING, Annotated

import typer

from deployments.cli import app

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deployments.service.overview import Overview, PoolNow


@app.command()
def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Show queues, runs, workers, GPUs and disk of the service; exit 1 when none runs."""
    import asyncio
    import os

    from blocks.errors import EngineUnavailable
    from deployments.server import client_auth, running_server
    from deployments.service.home import logs_dir, read_running

    api_url = running_server()
    if api_url is None and (service := read_running()):
        raise EngineUnavailable(
            f"the service runs (process {service.pid}), but its Prefect server does not answer at {service.api_url}",
            fix=f"it may be starting again: try in a minute, or see server.log in {logs_dir()}",
        )
    if api_url is None:
        raise EngineUnavailable(
            "no service runs here",
            fix="start it with `c500 up`, or set PREFECT_API_URL and PREFECT_API_AUTH_STRING to one elsewhere",
        )
    os.environ.update({"PREFECT_API_URL": api_url} | client_auth(api_url))
    overview = asyncio.run(_look())
    typer.echo(overview.model_dump_json(indent=2) if as_json else "\n".join(_lines(overview)))


async def _look() -> "Overview":
    from prefect.client.orchestration import get_client

    from deployments.service.overview import look

    async with get_client() as client:
        return await look(client)


def _lines(now: "Overview") -> "Iterator[str]":
    from blocks.vram import in_gb

    yield f"Prefect   {now.api_url}"
    if now.gateway:
        yield f"gateway   {now.gateway.url}  {now.gateway.detail}"
    free = f"  {in_gb(now.store.free_bytes)} free" if now.store.free_bytes is not None else ""
    yield f"store     {now.store.uri}{free}"
    for gpu in now.gpus:
        yield f"gpu {gpu.index:<5} {in_gb(gpu.used_bytes)} of {in_gb(gpu.total_bytes)} in use"
    yield f"{'pool':10}{'waiting':>8}{'running':>8}{'limit':>7}  workers"
    for pool in now.pools:
        yield f"{pool.name:10}{pool.waiting:8}{pool.running:8}{pool.limit or '–':>7}  {_workers(pool)}"
    yield "runs      " + (", ".join(f"{state.lower()} {count}" for state, count in now.runs.items()) or "none yet")
    for run in now.running:
        minutes, seconds = divmod(int((now.at - run.since).total_seconds()), 60)
        yield f"  running {run.name} for {minutes} min {seconds} s in {run.pool or 'no pool'}"


def _workers(pool: "PoolNow") -> str:
    parts = [
        *(["PAUSED"] if pool.paused else []),
        ", ".join(pool.online) if pool.online else "none online",
        *([f"offline: {', '.join(pool.offline)}"] if pool.offline else []),
    ]
    return "; ".join(parts)
