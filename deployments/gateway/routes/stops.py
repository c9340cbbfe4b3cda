"""Stops: agents that are stopped do nothing more until the stop is cleared."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated, Literal

from litestar import delete, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, QueryParameter
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import WorkPoolUpdate
from prefect.exceptions import ObjectNotFound
from pydantic import Field

from blocks.errors import NotFound, StoreFailed
from blocks.keys import ApiKey
from blocks.model import Frozen
from blocks.progress import in_thread
from blocks.switches import Switch
from deployments.gateway.desk import Desk, name_of
from deployments.gateway.web.auth import needs

ScopeName = Literal["all", "agent", "run"]
NAME = "The agent's name or the run's id; empty for `all`."


class Stop(Frozen):
    """What is stopped."""

    scope: ScopeName
    name: str = Field(default="", max_length=128, description=NAME)
    reason: str = Field(default="", max_length=1000, description="Shown to whom it stops.")


class SetStop(Frozen):
    """A stop that is set."""

    scope: ScopeName
    name: str
    by: str
    at: datetime | None
    reason: str


class Stops(Frozen):
    """All stops."""

    stops: tuple[SetStop, ...]


@get("/v1/stops", opt=needs("admin"), operation_id="listStops", summary="What is stopped", tags=["agents"])
async def list_stops(desk: NamedDependency[Desk]) -> Stops:
    """List the stops that are set."""
    return Stops(stops=tuple(_shown(one) for one in await in_thread(desk.switches.list)))


@post(
    "/v1/stops",
    opt=needs("admin"),
    operation_id="setStop",
    summary="Stop agents at once",
    tags=["agents"],
    request_max_body_size=10_000,
)
async def set_stop(data: JSONBody[Stop], desk: NamedDependency[Desk], key: NamedDependency[ApiKey]) -> SetStop:
    """Stop all agents, one in all its runs, or a run, within a second: before the next call of a model or a tool.

    Runs are suspended, and can be resumed when the stop is cleared; a run that starts stops at its first step.
    """
    paused: tuple[str, ...] = ()
    with suppress(StoreFailed):  # then it is set as far as it can be
        set_now = await in_thread(desk.switches.list)
        paused = next((one.paused for one in set_now if (one.scope, one.name) == (data.scope, data.name)), ())
    switch = Switch(
        scope=data.scope,
        name=data.name,
        by=name_of(key),
        at=datetime.now(UTC),
        reason=data.reason,
        paused=paused,  # else nobody would let those pools go on again
    )
    await in_thread(desk.switches.set, switch)
    return _shown(switch)


@delete(
    "/v1/stops",
    opt=needs("admin"),
    status_code=200,
    operation_id="clearStop",
    summary="Take a stop away",
    tags=["agents"],
)
async def clear_stop(
    desk: NamedDependency[Desk],
    prefect: NamedDependency[PrefectClient],
    whom: Annotated[ScopeName, QueryParameter(name="scope", description="Whom it stops.")],
    name: Annotated[str, QueryParameter(max_length=128, description=NAME)] = "",
) -> SetStop:
    """Clear a stop. Work pools that were paused with it go on; suspended runs are resumed one by one."""
    found = [one for one in await in_thread(desk.switches.list) if (one.scope, one.name) == (whom, name)]
    if not found:
        raise NotFound(f"no such stop is set: {whom} {name}".rstrip(), fix="list them with GET /v1/stops")
    for pool in found[0].paused:  # before it is cleared: nobody else knows them
        try:
            await prefect.update_work_pool(pool, WorkPoolUpdate(is_paused=False))
        except ObjectNotFound:
            continue
    await in_thread(desk.switches.clear, whom, name)
    return _shown(found[0])


def _shown(switch: Switch) -> SetStop:
    return SetStop(scope=switch.scope, name=switch.name, by=switch.by, at=switch.at, reason=switch.reason)


handlers = [list_stops, set_stop, clear_stop]
