"""`c500 stop`: stop agents at once, and let them go on."""

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from deployments.cli import app
from deployments.cli.output import Json, echo_json

if TYPE_CHECKING:
    from blocks.errors import StoreFailed
    from blocks.switches import Scope, Switch, Switches

PREFECT_S = 10.0
"""How long Prefect may take; the agents are stopped without it."""


@app.command()
def stop(
    everything: Annotated[bool, typer.Option("--all", help="All agents: the emergency stop.")] = False,
    agent: Annotated[str | None, typer.Option(metavar="NAME", help="An agent, in all its runs.")] = None,
    run: Annotated[str | None, typer.Option(metavar="ID", help="A run.")] = None,
    reason: Annotated[str, typer.Option(help="Why; it is kept, and shown to whom it stops.")] = "",
    clear: Annotated[bool, typer.Option("--clear", help="Take the stop away instead.")] = False,
    show: Annotated[bool, typer.Option("--list", help="List the stops that are set.")] = False,
    as_json: Json = False,
) -> None:
    """Stop agents, within a second; their runs are suspended, and can be resumed when the stop is cleared.

    `--all` also pauses the work pool of agents, so that nothing new starts; clearing it lets the pool go on.
    """
    switches = _switches()
    if show:
        _show(switches.list(), as_json=as_json)
        return
    scope, name = _named(everything, agent, run)
    if clear:
        _clear(switches, scope, name, as_json=as_json)
        return
    switch, failed = _set(switches, scope, name, reason)
    if scope == "all":
        switch = _pause(switches, switch)
    if as_json:
        echo_json(switch)
    else:
        typer.echo(str(switch))
    _warn_of_unknown(scope, name)
    if failed is not None:
        raise failed


def _switches() -> "Switches":
    from blocks.settings import settings
    from blocks.switches import FOLDER, open_switches

    return open_switches(settings().switches_url, settings().agents_home / FOLDER)


def _named(everything: bool, agent: str | None, run: str | None) -> "tuple[Scope, str]":
    from blocks.errors import BadInput

    given: tuple[tuple[Scope, str | None], ...] = (
        ("all", "" if everything else None),
        ("agent", agent),
        ("run", run),
    )
    named: list[tuple[Scope, str]] = [(scope, name) for scope, name in given if name is not None]
    if len(named) != 1:
        raise BadInput(
            "it is not said what to stop" if not named else "two things are named at once",
            fix="use one of --all, --agent NAME and --run ID, or --list",
        )
    return named[0]


def _set(
    switches: "Switches", scope: "Scope", name: str, reason: str, paused: tuple[str, ...] = ()
) -> "tuple[Switch, StoreFailed | None]":
    """Set it as far as that can be done; what is paused with one that is set already stays noted."""
    from blocks.approvals import login_name
    from blocks.errors import StoreFailed
    from blocks.switches import Switch

    with suppress(StoreFailed):
        paused += next((one.paused for one in switches.list() if (one.scope, one.name) == (scope, name)), ())
    by, at, noted = login_name(), datetime.now(UTC), tuple(dict.fromkeys(paused))
    switch = Switch(scope=scope, name=name, by=by, at=at, reason=reason[:1000], paused=noted)
    try:
        switches.set(switch)
    except StoreFailed as error:
        return switch, error
    return switch, None


def _clear(switches: "Switches", scope: "Scope", name: str, *, as_json: bool) -> None:
    from blocks.plain_text import plain

    cleared = switches.clear(scope, name)
    if cleared is None:
        typer.echo("it was not set", err=True)
    for pool in cleared.paused if cleared else ():
        if said := _in_prefect(pool, paused=False):
            typer.echo(f"work pool {pool} is still paused: {said}; `prefect work-pool resume {pool}`", err=True)
    if as_json:
        echo_json(cleared)
    elif cleared:
        typer.echo(f"cleared: {plain(str(cleared))}")


def _pause(switches: "Switches", switch: "Switch") -> "Switch":
    """Pause the work pool of agents. That is noted first: a crash in between would leave it paused for ever."""
    from deployments.service.prefect_file import AGENT_POOL

    noted = switch

    def note() -> None:
        nonlocal noted
        noted, _ = _set(switches, switch.scope, switch.name, switch.reason, (*switch.paused, AGENT_POOL))

    if said := _in_prefect(AGENT_POOL, paused=True, note=note):
        typer.echo(f"work pool {AGENT_POOL} is not paused: {said}; runs that start stop at their first step", err=True)
    return noted


def _in_prefect(pool: str, *, paused: bool, note: Callable[[], None] = lambda: None) -> str | None:
    """Pause a work pool or let it go on, where there is a server that has it; says why that failed.

    Args:
        pool: Its name.
        paused: Whether it should be.
        note: Called before it is changed; not when it is so already.
    """
    from httpx import HTTPError

    from blocks.errors import C500Error
    from deployments.server import client_auth, running_server

    try:
        if (api_url := running_server()) is None:
            return None
        os.environ.update({"PREFECT_API_URL": api_url} | client_auth(api_url))
        from prefect.exceptions import PrefectException
    except C500Error as error:
        return error.message
    try:
        asyncio.run(asyncio.wait_for(_change(pool, paused, note), PREFECT_S))
    except (HTTPError, PrefectException, TimeoutError) as error:
        return str(error) or type(error).__name__
    return None


async def _change(pool: str, paused: bool, note: Callable[[], None]) -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolUpdate
    from prefect.exceptions import ObjectNotFound

    async with get_client() as client:
        try:
            found = await client.read_work_pool(pool)
        except ObjectNotFound:
            return
        if found.is_paused != paused:
            note()
            await client.update_work_pool(pool, WorkPoolUpdate(is_paused=paused))


def _warn_of_unknown(scope: "Scope", name: str) -> None:
    """Say that nobody has this name: who types in a hurry may have meant another."""
    if scope != "agent":
        return
    from blocks.settings import settings
    from tasks.agents.definition import agent_names

    if name not in (known := agent_names(settings().agents_dir)):
        typer.echo(f"there is no agent {name} here; there are {', '.join(known)}", err=True)


def _show(found: "tuple[Switch, ...]", *, as_json: bool) -> None:
    from blocks.plain_text import plain

    if as_json:
        echo_json(found)
        return
    for switch in found:
        typer.echo(plain(str(switch)))
    if not found:
        typer.echo("no stop is set", err=True)
