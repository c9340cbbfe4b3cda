"""What a process forked for a flow run does: forget the forkserver, then be what `python -m prefect.engine` is."""

import asyncio
import ctypes
import os
import random
import runpy
import signal
import sys
import time
import warnings
from pathlib import Path
from uuid import UUID

from blocks.settings import settings
from deployments.warm.wire import Start

PR_SET_PDEATHSIG = 1


def settle(start: Start, *, parent: int, folder: str, loaded_with: dict[str, str]) -> None:
    """Leave the forkserver's session, signals, environment and folder behind.

    Args:
        start: What to do, and with what.
        parent: Process id of the forkserver; the run ends with it, as nobody would wait for it any more.
        folder: The working directory; made when it is a temporary one.
        loaded_with: The environment in which the forkserver loaded Prefect.
    """
    os.setsid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _connect(start)
    os.environ.clear()
    os.environ.update(start.environment)
    time.tzset()
    if start.folder is None:
        Path(folder).mkdir(mode=0o700)
    os.chdir(folder)
    if not sys.flags.safe_path:
        sys.path.insert(0, folder)  # as `python -m` does
    _reseed()
    if _settings(start.environment) != _settings(loaded_with) or _has_settings(Path(folder)):
        _refresh_prefect()
    settings.cache_clear()


def run(start: Start) -> None:
    """Execute the flow run, or its hooks; ends the process as a fresh interpreter would end."""
    if start.work == "engine":
        _fence(start.claim)
        sys.argv = ["prefect.engine"]
        with warnings.catch_warnings():
            # The module is loaded already, which is the point.
            warnings.filterwarnings("ignore", message=".*found in sys.modules.*", category=RuntimeWarning)
            runpy.run_module("prefect.engine", run_name="__main__", alter_sys=True)
    else:
        asyncio.run(_run_hooks(start))


def _fence(claim: str) -> None:
    """Have the engine leave a run that another attempt has by now; it reads the run anyway, so this costs nothing."""
    from prefect import flow_engine
    from prefect.client.schemas.objects import FlowRun
    from prefect.exceptions import Abort

    load = flow_engine.load_flow_run

    def load_own(flow_run_id: UUID) -> FlowRun:
        flow_run = load(flow_run_id)
        state = flow_run.state
        if state is None or not state.is_pending() or state.message != claim:
            raise Abort("the run is another attempt's by now")  # the engine exits with 0 and reports nothing
        return flow_run

    flow_engine.load_flow_run = load_own


def _connect(start: Start) -> None:
    """Standard input reads nothing; a quiet run's output goes nowhere."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2) if start.quiet else (0,):
        os.dup2(nowhere, number)
    os.close(nowhere)


def _reseed() -> None:
    """Two runs must not draw the same numbers."""
    random.seed()
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed()


def _settings(environment: dict[str, str]) -> dict[str, str]:
    """What Prefect reads its settings from; names with two underscores are facts of one run."""
    return {
        name: value
        for name, value in environment.items()
        if name.startswith("PREFECT_") and not name.startswith("PREFECT__")
    }


def _has_settings(folder: Path) -> bool:
    return any((folder / name).exists() for name in (".env", "prefect.toml", "pyproject.toml"))


def _refresh_prefect() -> None:
    """Read Prefect's settings again; takes 0.15 s, and most runs have those of their worker."""
    from prefect.context import refresh_global_settings_context
    from prefect.logging.configuration import setup_logging

    refresh_global_settings_context()
    setup_logging(incremental=False)


async def _run_hooks(start: Start) -> None:
    from prefect.client.schemas.objects import FlowRun, State
    from prefect.flows import load_flow_from_flow_run
    from prefect.runner._hook_runner import HookRunner

    flow_run_json, state_json = start.hook_input or ("{}", "{}")
    flow_run, state = FlowRun.model_validate_json(flow_run_json), State.model_validate_json(state_json)
    hooks = HookRunner(resolve_flow=load_flow_from_flow_run)
    if start.work == "crashed":
        await hooks.run_crashed_hooks(flow_run, state)
    else:
        await hooks.run_cancellation_hooks(flow_run, state)
