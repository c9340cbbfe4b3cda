"""Run swarms, each in a fork that may be killed.

Takes on each line of standard input the parameters of a swarm as JSON; prints `pid N` when it begins and `ended {…}`
when it has ended: with its report, its error, or the signal that killed it, and its peak of memory in KB.
"""

import asyncio
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from blocks.errors import C500Error
from flows import swarm


def main() -> None:
    """Run what is asked for until the input ends."""
    for line in sys.stdin:
        told = Path(tempfile.mkstemp(prefix="swarm-", suffix=".json")[1])
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
        outcome = {"report": asyncio.run(swarm(**asked)).model_dump(mode="json")}
    except C500Error as error:
        outcome = {"error": {"code": error.code, "message": error.message}}
    finally:
        status = Path("/proc/self/status").read_text()
        outcome["peak_kb"] = int(status.partition("VmHWM:")[2].split()[0])
        told.write_text(json.dumps(outcome))
        os._exit(0 if "report" in outcome else 1)


if __name__ == "__main__":
    main()
