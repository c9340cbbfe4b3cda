"""A server for a block of a test."""

import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.fakes.iiagent.knobs import Knobs
from tests.fakes.iiagent.scenarios import Scripted, scenario_of
from tests.fakes.iiagent.server import FakeServer
from tests.processes import free_port


@asynccontextmanager
async def iiagent_server(
    scenario: Scripted = "happy", *, folder: Path | None = None, port: int = 0, **knobs: Any
) -> AsyncGenerator[FakeServer]:
    """Serve a scenario on the running loop until the block ends.

    Args:
        scenario: Name of one in `scenarios.py`; or a list of steps for the first run (later ones end at once); or a
            list of such lists, one for each run of a session; or a function that gives the steps of a run.
        folder: Where workspaces and stored events are; None: a temporary one.
        port: 0 for a free one.
        knobs: Fields of `Knobs`; they win over those of the scenario.

    Raises:
        AssertionError: a script of the test failed.
    """
    chosen = scenario_of(scenario)
    with tempfile.TemporaryDirectory(prefix="iiagent-") as temporary:
        set_up = Knobs(**{**chosen.knobs, **knobs})
        fake = FakeServer(chosen, set_up, (folder or Path(temporary)).resolve(), port or free_port())
        await fake.start()
        try:
            yield fake
        finally:
            await fake.kill()
    assert not fake.faults, f"a script failed: {fake.faults}"
