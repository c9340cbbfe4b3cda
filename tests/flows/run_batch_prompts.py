"""Run batches of prompts, each in a fork that may be killed, also at an exact moment.

Takes on each line of standard input the parameters of a batch as JSON, and `kill` with them: `{"what":
"MODULE:FUNCTION", "when": "before" | "after", "nth": N}`. Prints `pid N` when it begins and `ended {…}` when it has
ended: with its report, its error, or the signal that killed it.
"""

import asyncio
import functools
import importlib
import itertools
import json
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

from blocks.errors import C500Error
from flows.batch_prompts import batch_prompts


def main() -> None:
    """Run what is asked for until the input ends."""
    for line in sys.stdin:
        told = Path(tempfile.mkstemp(prefix="batch-prompts-", suffix=".json")[1])
        pid = os.fork()
        if pid == 0:
            _run(json.loads(line), told)
        print(f"pid {pid}", flush=True)
        _, status = os.waitpid(pid, 0)
        outcome: dict[str, Any] = json.loads(told.read_text() or "{}")
        told.unlink()
        if os.WIFSIGNALED(status):
            outcome = {"signal": os.WTERMSIG(status)}
        print(f"ended {json.dumps(outcome)}", flush=True)


def _run(asked: dict[str, Any], told: Path) -> None:
    outcome: dict[str, Any] = {}
    try:
        if (kill := asked.pop("kill", None)) is not None:
            _deadly(**kill)
        outcome = {"report": asyncio.run(batch_prompts(**asked)).model_dump(mode="json")}
    except C500Error as error:
        outcome = {"error": {"code": error.code, "message": error.message}}
    finally:
        told.write_text(json.dumps(outcome))
        os._exit(0 if "report" in outcome else 1)


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
    main()
