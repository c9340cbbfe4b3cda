"""Agents that have an effect every 50 ms, to be stopped: `python -m tests.flows.ticking` runs some in one process.

Takes as its argument the options of the runs and their ids as JSON; prints what became of them, by id, as JSON.
"""

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict

from blocks.action import Touched
from blocks.errors import C500Error
from flows import run_agent
from tasks.agents import registry
from tasks.agents.result import AgentOptions
from tasks.agents.tool import Call, Place, Tool

EVERY_S = 0.05
FOR_EVER = 100_000
AGENT = {
    "description": "Ticks.",
    "role": "You tick.",
    "tools": ["tick", "run_command"],
    "remembers": False,
    "limits": {"steps": 1000, "actions": 1000, "polls": 1000},
}
POLICY = {
    "rules": [
        {"id": "ticks", "verdict": "allow", "reason": "they may be had", "tools": ["tick"]},
        {
            "id": "boxed-ticks",
            "verdict": "allow",
            "reason": "they may be had",
            "tools": ["run_command"],
            "commands": [{"programs": ["python3"], "words": ["tick.py"], "runs_programs": True}],
        },
    ]
}
PROGRAM = f"""
import sys, time
with open(sys.argv[1], "a", buffering=1) as file:
    for _ in range({FOR_EVER}):
        file.write(f"{{time.monotonic_ns()}}\\n")
        time.sleep({EVERY_S})
"""
"""The tool as a program for the sandbox."""


class Ticks(BaseModel):
    """How many effects a call has."""

    model_config = ConfigDict(extra="forbid")

    times: int


async def tick(arguments: Ticks, call: Call) -> str:
    """Append the time to a file of the run, again and again."""
    with ticks_file(call.place.workspace.root, call.run_id).open("a", buffering=1) as file:
        for _ in range(arguments.times):
            file.write(f"{time.monotonic_ns()}\n")
            await asyncio.sleep(EVERY_S)
    return "ticked"


def touches(_arguments: Ticks, place: Place) -> Touched:
    return Touched(writes=(str(place.workspace.root / "ticks"),))


TICK = Tool(
    name="tick",
    description="Tick.",
    arguments=Ticks,
    call=tick,
    risk="low",
    reversible=True,
    polls=True,
    touches=touches,
)


def ticks_file(workspace: Path, run_id: str) -> Path:
    """Where a run writes the times of its effects, in nanoseconds of the machine's monotonic clock."""
    return workspace / f"{run_id}.ticks"


def ticks(workspace: Path, run_id: str) -> list[int]:
    """The times of a run's effects."""
    path = ticks_file(workspace, run_id)
    return [int(line) for line in path.read_text().splitlines()] if path.exists() else []


def write_files(folder: Path) -> dict[str, str]:
    """A workspace, the agent and its rules; gives the settings that lead to them."""
    for name in ("workspace", "definitions"):
        (folder / name).mkdir()
    (folder / "workspace" / "tick.py").write_text(PROGRAM)
    (folder / "definitions" / "ticker.yaml").write_text(yaml.safe_dump(AGENT))
    (folder / "policy.yaml").write_text(yaml.safe_dump(POLICY))
    return {"AGENTS_DIR": str(folder / "definitions"), "POLICY_FILE": str(folder / "policy.yaml")}


async def run(run_ids: list[str], options: dict[str, Any]) -> dict[str, str]:
    """Have an agent tick in each of these runs, side by side; says how each ended."""
    registry_before, registry.built_in = registry.built_in, with_tick
    try:
        ended = await asyncio.gather(*(_run(run_id, options) for run_id in run_ids))
    finally:
        registry.built_in = registry_before
    return dict(zip(run_ids, ended, strict=True))


async def _run(run_id: str, options: dict[str, Any]) -> str:
    try:
        result = await run_agent(f"Tick as {run_id}.", "ticker", AgentOptions(**options), run_id=run_id)
    except C500Error as error:
        return error.code
    return result.status


BUILT_IN = registry.built_in


def with_tick(*given: Any) -> dict[str, Tool[Any]]:
    """All tools, and the one that ticks."""
    return {**BUILT_IN(*given), TICK.name: TICK}


if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    print(json.dumps(asyncio.run(run(asked["run_ids"], asked["options"]))))
