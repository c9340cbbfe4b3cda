"""`c500 stop` stops agents at work at once, and they go on when it is cleared."""

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from blocks.settings import settings
from deployments.simulator.asked import Asked
from tasks.agents.capabilities import switches_folder
from tests.fakes.llm.agent_model import agent_model, calls
from tests.flows import ticking
from tests.flows.ticking import FOR_EVER, ticks
from tests.processes import eventually

COMMAND = [sys.executable, "-m", "deployments", "stop"]


class Ticker:
    """The model: it ticks as long as it may, in many calls, in one that does not end, or in the sandbox.

    Attributes:
        a_call: Ticks of one of many calls.
        enough: Set when it is to come to its end.
    """

    def __init__(self, a_call: int) -> None:
        self.a_call, self.enough = a_call, threading.Event()

    def __call__(self, asked: Asked) -> Any:
        if self.enough.is_set():
            return "That was enough."
        run_id = asked.prompt.partition("Tick as ")[2][:16]
        if run_id.startswith("b"):
            return calls(("run_command", {"argv": ["python3", "tick.py", f"{run_id}.ticks"], "timeout_s": 600}))
        return calls(("tick", {"times": FOR_EVER if run_id.startswith("f") else self.a_call}))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a workspace, an agent that ticks, and its rules."""
    for name, value in ticking.write_files(tmp_path).items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()
    return tmp_path


def options(place: Path) -> dict[str, Any]:
    return {"workspace": str(place / "workspace"), "user": "ann", "attended": False, "profile": "staging"}


async def command(*arguments: str) -> None:
    """Have `c500 stop` done, as a person does it."""
    process = await asyncio.create_subprocess_exec(*COMMAND, *arguments, stdout=subprocess.DEVNULL)
    assert await process.wait() == 0


RUNS = ["a000000000000001", "b000000000000002", "f000000000000003"]
"""One that ticks in many calls, one in the sandbox, and one in a call without an end."""


async def test_stopped_agents_have_no_more_effects_and_go_on_when_the_stop_is_cleared(
    place: Path, prefect_api: str
) -> None:
    workspace, model = place / "workspace", Ticker(a_call=20)

    with agent_model(place / "accounts.yaml", model) as served:
        running = asyncio.create_task(ticking.run(RUNS, options(place)))
        await eventually(lambda: all(len(ticks(workspace, run_id)) > model.a_call for run_id in RUNS))
        await command("--all", "--reason", "too loud")
        asked = len(served.script.asked)
        assert await running == dict.fromkeys(RUNS, "STOPPED")
        had = {run_id: ticks(workspace, run_id) for run_id in RUNS}
        assert len(served.script.asked) <= asked + len(RUNS)  # no more than was under way
        assert await ticking.run(RUNS, options(place)) == dict.fromkeys(RUNS, "STOPPED")
        assert {run_id: ticks(workspace, run_id) for run_id in RUNS} == had
        model.enough.set()
        await command("--clear", "--all")
        assert await ticking.run(RUNS, options(place)) == dict.fromkeys(RUNS, "done")
        told = [asked.prompt for asked in served.script.asked[-len(RUNS) :]]
    in_doubt = {run_id for run_id in RUNS for prompt in told if run_id in prompt and "IN_DOUBT" in prompt}
    assert in_doubt >= set(RUNS[1:])  # these were in the middle of an effect
    for run_id in RUNS:
        before, now = had[run_id], ticks(workspace, run_id)
        # What was begun is not had again; a call that was not is done now.
        assert now == before or (run_id not in in_doubt and now[: -model.a_call] == before)


AGENTS, PROCESSES, ROUNDS = 50, 4, 3
BOXED, ENDLESS = 4, 6
"""Of the agents of each round."""

WORK_S = 8.0
"""So long all are at work before they are stopped: some are between two calls by then."""

PROMISED_S = 1.0


def start(run_ids: list[str], place: Path, log: Path) -> "subprocess.Popen[bytes]":
    """Have these runs ticked in a process of their own."""
    with log.open("wb") as output:
        asked = json.dumps({"run_ids": run_ids, "options": options(place)})
        return subprocess.Popen(
            [sys.executable, "-m", "tests.flows.ticking", asked], stdout=output, stderr=subprocess.STDOUT
        )


def ended(processes: dict[Path, "subprocess.Popen[bytes]"]) -> dict[str, str]:
    """How the runs of processes ended."""
    found: dict[str, str] = {}
    for log, process in processes.items():
        assert process.wait(timeout=300) == 0, log.read_text()[-3000:]
        found |= json.loads(log.read_text().splitlines()[-1])
    return found


@pytest.mark.soak
async def test_the_last_effect_of_fifty_agents_comes_within_a_second_of_the_stop(
    place: Path, prefect_server: str
) -> None:
    model, figures = Ticker(a_call=100), list[tuple[float, float, float]]()
    with agent_model(place / "accounts.yaml", model):
        for number in range(ROUNDS):
            kinds = "b" * BOXED + "f" * ENDLESS + "a" * (AGENTS - BOXED - ENDLESS)
            run_ids = [f"{kind}{number:03x}{at:012x}" for at, kind in enumerate(kinds)]
            figures += await stopped(run_ids, place)
    today, cores = datetime.now(UTC).date(), os.cpu_count()
    print(f"{today}: {AGENTS} agents in {PROCESSES} processes, {ROUNDS} stops, {cores} cores")
    names = ("the stop was set", "the command ended", "the command was started")
    for name, latencies in zip(names, zip(*figures, strict=True), strict=True):
        print(f"last effect of an agent after {name}: p50 {median(latencies):+.3f} s, max {max(latencies):+.3f} s")
    assert max(since_set for since_set, _, _ in figures) <= PROMISED_S


async def stopped(run_ids: list[str], place: Path) -> list[tuple[float, float, float]]:
    """Start agents, stop them, and say of each how long after the stop its last effect came.

    Returns:
        Seconds since the stop was set, since the command ended, and since it was started.
    """
    workspace = place / "workspace"
    shares = [run_ids[at::PROCESSES] for at in range(PROCESSES)]
    logs = [place / f"{share[0]}.log" for share in shares]
    processes = {log: start(share, place, log) for share, log in zip(shares, logs, strict=True)}
    await eventually(lambda: all(ticks(workspace, run_id) for run_id in run_ids), 300)
    await asyncio.sleep(WORK_S)
    started_ns = time.monotonic_ns()
    await command("--all")
    ended_ns = time.monotonic_ns()
    set_ns = (switches_folder(settings()) / "all").stat().st_mtime_ns - (time.time_ns() - time.monotonic_ns())
    assert ended(processes) == dict.fromkeys(run_ids, "STOPPED")
    last = [ticks(workspace, run_id)[-1] for run_id in run_ids]
    await command("--clear", "--all")
    return [((at - set_ns) / 1e9, (at - ended_ns) / 1e9, (at - started_ns) / 1e9) for at in last]
