"""Turn this machine into a running service, and keep it one."""

import asyncio
import os
import shutil
import signal
import socket
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from urllib.parse import urlsplit

import psutil

from blocks.errors import BadInput
from blocks.settings import settings
from blocks.store import store_place
from deployments.server import client_auth, migrated_template, running_server
from deployments.service.home import (
    CLIENT_AUTH,
    Running,
    forget_running,
    logs_dir,
    make_auth_string,
    only_one,
    prepare,
    write_running,
)
from deployments.service.plan import MARK, ServicePlan, database_file, reachable, stages
from deployments.service.supervisor import Stage, Supervisor

Say = Callable[[str], None]
LEFTOVERS_END_S = 10.0


def run_service(plan: ServicePlan, say: Say) -> None:
    """Start the parts and keep them running until SIGTERM or Ctrl-C.

    Raises:
        Conflict: a service with this SERVICE_DIR runs already.
        BadInput: a port is taken.
        EngineUnavailable: a part does not start.
    """
    with only_one():
        end_leftovers()
        check_ports(plan)
        _prepare_database()
        # For a store that is a block of this Prefect server.
        os.environ.update({"PREFECT_API_URL": plan.api_url, CLIENT_AUTH: plan.auth.get_secret_value()})
        try:
            asyncio.run(_supervise(plan, say))
        finally:
            forget_running()
            end_leftovers()


async def _supervise(plan: ServicePlan, say: Say) -> None:
    stop = asyncio.Event()
    supervisor = Supervisor(_with_greeting(plan, say), logs_dir(), say)

    def end() -> None:
        if stop.is_set():
            supervisor.kill()  # asked a second time
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, end)
    # Before the server runs: our other commands look here, and ask whether it answers.
    write_running(
        Running(
            pid=os.getpid(),
            api_url=plan.api_url,
            gateway_url=plan.gateway_url,
            pools=plan.pools,
            store=store_place(),
            started_at=datetime.now(UTC),
        )
    )
    await supervisor.run(stop)


def _with_greeting(plan: ServicePlan, say: Say) -> list[Stage]:
    """The stages; before the gateway, which wants a key when it can be reached from elsewhere, a first API key."""

    async def make_key() -> None:
        if line := await asyncio.to_thread(first_key):
            say(line)

    async def greet() -> None:
        say(f"C500 runs: {plan.gateway_url} (API and status page), {plan.api_url.removesuffix('/api')} (Prefect)")
        say("Stop with Ctrl-C.")

    *before, last = stages(plan)
    return [*before, make_key, last, greet]


def first_key() -> str | None:
    """Make an API key when there is none, and say it this once."""
    from blocks.keys import SCOPES, KeyRing
    from blocks.store import open_store

    ring = KeyRing(open_store(), settings().secret_api_key)
    if ring.usable():
        return None
    secret, key = ring.create("first", SCOPES)
    return f"API key {key.key_id} with all scopes, shown this once: {secret}"


def own_api_url() -> str:
    """Where the service's own Prefect server listens, as `PREFECT_SERVER_API_HOST` and `…_PORT` say."""
    host = os.environ.get("PREFECT_SERVER_API_HOST", "127.0.0.1")
    return f"http://{reachable(host)}:{os.environ.get('PREFECT_SERVER_API_PORT', '4200')}/api"


def choose_server() -> tuple[str, str, bool]:
    """The Prefect server's URL, what it is shown for admission, and whether the service is to run it.

    A server that `PREFECT_API_URL` names is used as it is, unless it is ours and not yet running.

    Raises:
        EngineUnavailable, NotAllowed: `PREFECT_API_URL` names a server that does not answer, or refuses us.
    """
    configured = os.environ.get("PREFECT_API_URL")
    if configured is None or _address(configured) == _address(own_api_url()):
        return own_api_url(), make_auth_string(), True
    url = running_server() or configured
    return url, client_auth(url).get(CLIENT_AUTH, ""), False


def _address(api_url: str) -> tuple[str | None, int | None, str]:
    """Host, port and path, alike for all names of this machine's loopback."""
    parts = urlsplit(api_url)
    host = "127.0.0.1" if parts.hostname in ("localhost", "::1") else parts.hostname
    return host, parts.port, parts.path.rstrip("/")


def check_ports(plan: ServicePlan) -> None:
    """Refuse to start when somebody else listens where the service wants to.

    Raises:
        BadInput: naming the setting.
    """
    wanted = [("API_PORT", plan.host, plan.port)]
    if plan.own_server:
        host = os.environ.get("PREFECT_SERVER_API_HOST", "127.0.0.1")
        wanted.append(("PREFECT_SERVER_API_PORT", host, int(plan.api_url.rsplit(":", 1)[1].split("/")[0])))
    for name, host, port in wanted:
        if problem := _cannot_listen(host, port):
            hint = ", or PREFECT_API_URL to use the Prefect server there" if name.startswith("PREFECT") else ""
            raise BadInput(
                f"{name}={port} cannot be used on {host}: {problem}",
                fix=f"set {name} to a free port{hint}",
                field=name,
            )


def _cannot_listen(host: str, port: int) -> str | None:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with closing(socket.socket(family, kind, protocol)) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
    except OSError as error:
        return error.strerror or str(error)
    return None


def end_leftovers() -> None:
    """Kill what an earlier service of this folder has left running, for instance runs of a worker that was killed."""
    mark = str(prepare())
    left = [process for process in psutil.process_iter() if _mark_of(process) == mark]
    for process in left:
        process.kill()
    psutil.wait_procs(left, timeout=LEFTOVERS_END_S)


def _mark_of(process: psutil.Process) -> str | None:
    try:
        return process.environ().get(MARK) if process.pid != os.getpid() else None
    except psutil.Error:
        return None


def _prepare_database() -> None:
    """Begin with tables that are there: the server's first start then takes a third of the time."""
    database, template = database_file(), migrated_template()
    database.parent.mkdir(parents=True, exist_ok=True)
    if template.exists() and not database.exists():
        temporary = database.with_suffix(".new")
        shutil.copyfile(template, temporary)
        temporary.chmod(0o600)
        temporary.replace(database)
