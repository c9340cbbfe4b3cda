"""How the simulator is to behave, and what it noted."""

import json
import os
import time
from pathlib import Path
from typing import Any


def behaviour() -> dict[str, Any]:
    """What the test asks for at this moment."""
    told = os.environ.get("C500_FAKE_VLLM")
    return {"version": "0.33.0"} | (json.loads(Path(told).read_text()) if told else {})


def note(**what: Any) -> None:
    """Tell the test."""
    if told := os.environ.get("C500_FAKE_VLLM"):
        with Path(told).with_suffix(".log").open("a") as log:
            log.write(json.dumps(what | {"pid": os.getpid()}) + "\n")


def wait_at(gate: str) -> None:
    """Block until the file of that name in the behaviour exists."""
    if path := behaviour().get(gate):
        note(waits=gate)
        while not Path(path).exists():
            time.sleep(0.01)
