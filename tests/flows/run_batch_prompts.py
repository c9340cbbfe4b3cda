"""Run batches of prompts, each in a fork that may be killed, also at an exact moment.

Takes on each line of standard input the parameters of a batch as JSON, and `kill` with them: `{"what":
"MODULE:FUNCTION", "when": "before" | "after", "nth": N}`. Prints `pid N` when it begins and `ended {…}` when it has
ended: with its report, its error, or the signal that killed it.
"""

import asyncio
import functools
import importlib
import itertools
import os
import signal
from typing import Any

from flows.batch_prompts import batch_prompts
from tests.fakes.forks import serve


def run(asked: dict[str, Any]) -> dict[str, Any]:
    """Run a batch."""
    if (kill := asked.pop("kill", None)) is not None:
        _deadly(**kill)
    return {"report": asyncio.run(batch_prompts(**asked)).model_dump(mode="json")}


def _deadly(what: str, when: str, nth: int) -> None:
    """Have this process die at a call of a function of ours, which does its real work otherwise."""
    module, _, path = what.partition(":")
    *owners, name = path.split(".")
    owner: Any = functools.reduce(getattr, owners, importlib.import_module(module))
    real, calls = getattr(owner, name), itertools.count(1)

    @functools.wraps(real)
    def deadly(*args: Any, **named: Any) -> Any:
        is_time = next(calls) == nth
        if is_time and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        found = real(*args, **named)
        if is_time:
            os.kill(os.getpid(), signal.SIGKILL)
        return found

    setattr(owner, name, deadly)


if __name__ == "__main__":
    serve(run)
