"""Run flows of sessions, each in a fork that may be killed.

Takes on each line of standard input the name of a flow and its parameters as JSON; prints `pid N` when it begins and
`ended {…}` when it has ended: with what it returned, its error, or the signal that killed it.
"""

import asyncio
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from blocks.errors import C500Error
from flows.agent_fleet import agent_fleet
from flows.agent_sessions import agent_task, combined, download_workspace

FLOWS: dict[str, Any] = {
    "agent_task": agent_task,
    "agent_fleet": agent_fleet,
    "combined": combined,
    "download_workspace": download_workspace,
}


def main() -> None:
    """Run what is asked for until the input ends."""
    for line in sys.stdin:
        told = Path(tempfile.mkstemp(prefix="sessions-", suffix=".json")[1])
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
        outcome = {"result": asyncio.run(FLOWS[asked["flow"]](**asked["given"])).model_dump(mode="json")}
    except C500Error as error:
        outcome = {"error": error.code, "message": error.message}
    except BaseException as error:  # noqa: BLE001 - told to the test
        outcome = {"error": type(error).__name__, "message": str(error)}
    finally:
        told.write_text(json.dumps(outcome))
        os._exit(0)


if __name__ == "__main__":
    main()
