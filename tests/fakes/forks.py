"""Work asked for line by line, each in a fork that may be killed: what takes long to import is imported once."""

import gc
import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fastapi.encoders  # noqa: F401 - Prefect imports both when a flow runs: no fork has to
import prefect.utilities.visualization  # noqa: F401

from blocks.errors import C500Error
from blocks.settings import settings

Asked = dict[str, Any]
Outcome = dict[str, Any]


def serve(work: Callable[[Asked], Outcome], facts: Callable[[], Outcome] = dict) -> None:
    """Do what is asked for until standard input ends.

    Takes a JSON object on each line, whose `environment` the fork takes over. Prints `pid N` when the work begins, and
    `ended {…}` when it has ended: with what the work gave, with `error` (code and message), or with the `signal` that
    killed it.

    Args:
        work: Does it, in the fork.
        facts: More to tell of the fork at its end, also of one that failed.
    """
    gc.collect()
    gc.freeze()  # else each fork goes through, and so copies, all that was imported
    for line in sys.stdin:
        handle, name = tempfile.mkstemp(prefix="fork-", suffix=".json")
        os.close(handle)
        told = Path(name)
        if not (pid := os.fork()):
            _work(work, facts, json.loads(line), told)
        print(f"pid {pid}", flush=True)
        _, status = os.waitpid(pid, 0)
        outcome: Outcome = json.loads(told.read_text() or "{}")
        told.unlink()
        if os.WIFSIGNALED(status):
            outcome = {"signal": os.WTERMSIG(status)}
        print(f"ended {json.dumps(outcome)}", flush=True)


def _work(work: Callable[[Asked], Outcome], facts: Callable[[], Outcome], asked: Asked, told: Path) -> None:
    outcome: Outcome = {}
    os.environ.update(asked.pop("environment", {}))
    settings.cache_clear()
    try:
        outcome = work(asked)
    except C500Error as error:
        outcome = {"error": {"code": error.code, "message": error.message}}
    except BaseException as error:  # noqa: BLE001 - told to the test
        outcome = {"error": {"code": type(error).__name__, "message": str(error)}}
    finally:
        told.write_text(json.dumps(outcome | facts()))
        os._exit(0)
