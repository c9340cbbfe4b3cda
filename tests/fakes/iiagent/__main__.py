"""Serve a scenario until the process is told to stop: `python -m tests.fakes.iiagent --scenario happy`.

The first line is the address. SIGTERM ends it as it ends the real one (close code 1012), SIGKILL too (what runs knew is
lost); with `--folder` and `--port` the next process goes on where this one ended.
"""

import argparse
import asyncio
import signal
import tempfile
from pathlib import Path
from typing import Any

from tests.fakes.iiagent.knobs import Knobs
from tests.fakes.iiagent.scenarios import SCENARIOS, scenario_of
from tests.fakes.iiagent.server import FakeServer
from tests.fakes.iiagent.steps import runs_from_data
from tests.processes import free_port


async def serve(options: argparse.Namespace, folder: Path) -> None:
    """Serve until SIGINT or SIGTERM."""
    scripted = runs_from_data(options.script.read_text()) if options.script else options.scenario
    chosen = scenario_of(scripted)
    given = {"turn_s": options.turn_s, "slots": options.slots, "late_polls": options.late_polls}
    if options.models:
        given["models"] = tuple(options.models.split(","))
    set_up: dict[str, Any] = {**chosen.knobs, **{name: value for name, value in given.items() if value is not None}}
    stopped, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    fake = FakeServer(chosen, Knobs(**set_up), folder.resolve(), options.port or free_port())
    await fake.start()
    print(fake.url, flush=True)
    await stopped.wait()
    await fake.stop()
    assert not fake.faults, fake.faults


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.fakes.iiagent", description=__doc__)
    parser.add_argument("--scenario", default="happy", choices=sorted(SCENARIOS))
    parser.add_argument("--script", type=Path, help="JSON file: a list of steps for each run (steps.runs_from_data)")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="workspaces and stored events; a temporary one otherwise")
    parser.add_argument("--turn-s", type=float, help="how long each call of a model takes")
    parser.add_argument("--slots", type=int, help="calls of models at once")
    parser.add_argument("--late-polls", type=int)
    parser.add_argument("--models", help="keys of models, with commas; any otherwise")
    options = parser.parse_args()
    if options.folder:
        asyncio.run(serve(options, options.folder))
        return
    with tempfile.TemporaryDirectory(prefix="iiagent-") as temporary:
        asyncio.run(serve(options, Path(temporary)))


if __name__ == "__main__":
    main()
