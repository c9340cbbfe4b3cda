"""Time from an alert to its briefing at the operators, p95, with six sources that take a second more than they need."""

import asyncio
import logging
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

NAME = "briefing"
UNIT = "s from alert to message, p95, with sources of 1 s"
GOAL = 60.0

SOURCE_S = 1.0


def measure(quick: bool) -> float:
    """The p95 of the time to the message, in seconds."""
    os.environ.update(PREFECT_LOGGING_LEVEL="CRITICAL", PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL="CRITICAL")
    logging.disable(logging.WARNING)
    times = 10 if quick else 60
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        os.environ.update(AUDIO_DIR=str(folder / "store"), AGENTS_HOME=str(folder / "agents"), LOG_DIR=str(folder))
        os.environ.update(ACCOUNTS_FILE=str(folder / "none.yaml"))
        from deployments.server import temporary_server

        os.environ["PREFECT_API_URL"] = stack.enter_context(temporary_server())
        taken_s, first_s = asyncio.run(_measured(folder, times, stack))
    ordered = sorted(taken_s)
    p95 = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
    print(
        f"{len(ordered)} incidents, a new alert each, p50 {statistics.median(ordered):.2f} s, max {ordered[-1]:.2f} s"
    )
    print(f"the first of the process, with its imports: {first_s:.2f} s; the sources themselves wait {SOURCE_S:g} s")
    return p95


async def _measured(folder: Path, times: int, stack: ExitStack) -> tuple[list[float], float]:
    from flows.incident import respond_to_incident
    from tasks.ops.incident import respond
    from tests.flows.incidents import broken_world

    world = stack.enter_context(broken_world(folder, os.environ.__setitem__))
    world.services["source_s"] = 15  # as it is by default: a busy machine leaves no gap
    world.write()
    for name, look in list(respond.LOOKING.items()):
        respond.LOOKING[name] = _slow(look)
    taken_s: list[float] = []
    for number in range(times + 1):
        told = {"group": f"g{number}", "fingerprint": f"{number:016x}", "labels": {"pod": str(number)}}
        alert, sent = world.alert(f"alert-{number}.json", **told), len(world.operators.messages)
        began = time.perf_counter()
        running = asyncio.create_task(respond_to_incident(str(alert)))
        while len(world.operators.messages) == sent:
            if running.done():
                raise RuntimeError(f"no message came: {running.result()}")
            await asyncio.sleep(0.005)
        taken_s.append(time.perf_counter() - began)
        report = await running
        if report.briefing is None or report.briefing.gaps:
            raise RuntimeError(f"it was not whole: {report}")
    return taken_s[1:], taken_s[0]


def _slow(look: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def slow(*given: Any) -> Any:
        await asyncio.sleep(SOURCE_S)
        return await look(*given)

    return slow
