"""What a scripted agent does, step by step. A script is a list of these; its end is `Done()`.

Most steps are turns: the model is asked, and answers with one call of a tool. A cancellation takes effect between two
turns, never within one.
"""

import json
from collections.abc import Iterable
from typing import Any

from tests.fakes.iiagent.incidents import Deaf, Drop, Frame, Freeze, Pause, Raw, Wait
from tests.fakes.iiagent.step import Ending, Step
from tests.fakes.iiagent.turns import Append, Call, Done, Fail, Say, Stop, Write

__all__ = [
    "Append",
    "Call",
    "Deaf",
    "Done",
    "Drop",
    "Ending",
    "Fail",
    "Frame",
    "Freeze",
    "Pause",
    "Raw",
    "Say",
    "Step",
    "Stop",
    "Wait",
    "Write",
    "from_data",
    "runs_from_data",
]

STEPS: dict[str, type[Step]] = {
    step.__name__.lower(): step
    for step in (Append, Call, Deaf, Done, Drop, Fail, Frame, Freeze, Pause, Raw, Say, Stop, Wait, Write)
}


def from_data(steps: Iterable[dict[str, Any]]) -> list[Step]:
    """Steps as JSON has them: `{"do": "write", "path": "a.csv", "content": "…"}`."""
    return [STEPS[step["do"]](**{key: value for key, value in step.items() if key != "do"}) for step in steps]


def runs_from_data(text: str) -> list[list[Step]]:
    """A script as a JSON text: a list of steps for each run."""
    return [from_data(steps) for steps in json.loads(text)]
