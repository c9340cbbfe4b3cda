"""A fleet of 8 tasks on a scripted server in a process of its own: how much longer it takes than one agent alone would.

Each task is so many calls of a model of a known time; the server works on all of them at once. Ideal is the time of
these calls and nothing else. What is measured is the fleet's own time, from its plan to the last file.
"""

import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from blocks.settings import settings
from deployments.server import TUNING, temporary_server
from tests.conftest import ROOT
from tests.flows.sessioning import write_servers
from tests.processes import HTTP, stop

NAME = "fleet"
UNIT = "x of the ideal time, 8 sessions at once against a scripted server:"
GOAL = 1.2

SESSIONS = 8
TURN_S = 0.5
TURNS, QUICK_TURNS = 40, 20
LIMITS = {"poll_s": 1.0, "settle_s": 0.5, "backoff_s": 1.0, "longest_backoff_s": 60.0}
"""The real ones: nothing is made faster for the bench."""

CHECKS = [{"kind": "csv_shape", "path": "output.csv", "columns": ["id", "text"], "rows": 3}]


def measure(quick: bool) -> float:
    """Wall time over ideal time, of the fleet; memory is printed."""
    turns = QUICK_TURNS if quick else TURNS
    os.environ |= TUNING | {"PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL"}
    with tempfile.TemporaryDirectory() as name, temporary_server() as api, serving(Path(name), turns) as url:
        os.environ |= {
            "PREFECT_API_URL": api,
            "AGENTS_HOME": f"{name}/agents",
            "AUDIO_DIR": f"{name}/store",
            "LOG_DIR": f"{name}/logs",
            "AGENT_SERVERS_FILE": f"{name}/servers.yaml",
        }
        write_servers(Path(name) / "servers.yaml", {"scripted": url}, limits=LIMITS, cores=16)
        settings.cache_clear()
        return asyncio.run(_measured(url, turns))


@contextmanager
def serving(folder: Path, turns: int) -> Generator[str]:
    """The server's address: each session looks around, writes a table, answers and ends, a turn each."""
    table = "id,text\n1,a\n2,b\n3,c\n"
    steps: list[dict[str, Any]] = [{"do": "call", "name": "shell_exec"} for _ in range(turns - 3)]
    steps += [{"do": "write", "path": "output.csv", "content": table}, {"do": "say", "text": "Done."}, {"do": "done"}]
    script = folder / "script.json"
    script.write_text(json.dumps([steps]))
    asked = ["--script", str(script), "--turn-s", str(TURN_S), "--slots", str(2 * SESSIONS)]
    command = [sys.executable, "-m", "tests.fakes.iiagent", *asked]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT)
    try:
        assert process.stdout
        yield process.stdout.readline().decode().strip()
    finally:
        stop(process)


async def _measured(url: str, turns: int) -> float:
    from flows.agent_fleet import agent_fleet

    ideal_s = turns * TURN_S
    await agent_fleet(_jobs("warm", 1), 1)
    before_kb = _peak_kb()
    report = await agent_fleet(_jobs("job", SESSIONS), SESSIONS)
    after_kb = _peak_kb()
    peaks = HTTP.get(f"{url}/fake").json()["peaks"]
    print(
        f"{report.done} of {SESSIONS} done in {report.seconds:.2f} s, ideal {ideal_s:.2f} s ({turns} calls of "
        f"{TURN_S} s); sockets at once {peaks['sockets']}, agents at once in one session {peaks['agents']}",
        flush=True,
    )
    print(
        f"memory: {before_kb / 1024:.0f} MB with one session before, {after_kb / 1024:.0f} MB at most with {SESSIONS}: "
        f"{(after_kb - before_kb) / 1024 / (SESSIONS - 1):.2f} MB for each more",
        flush=True,
    )
    assert report.done == SESSIONS
    assert peaks["agents"] == 1
    return report.seconds / ideal_s


def _jobs(name: str, count: int) -> list[dict[str, Any]]:
    return [{"name": f"{name}-{at}", "prompt": f"Task {name} {at}.", "checks": CHECKS} for at in range(count)]


def _peak_kb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
