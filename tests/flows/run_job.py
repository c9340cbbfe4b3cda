"""Run one job in a process of its own, which kills itself at a chosen step boundary.

`python -m tests.flows.run_job SOURCE [KILL_AT]`: boundaries are counted as steps begin (even) and
end (odd); without KILL_AT, prints as its last line the steps it computed and the job's result.
"""

import asyncio
import json
import os
import signal
import sys

from blocks import timeline
from flows import process_audio


def main() -> None:
    """Run the job, or part of it."""
    source, kill_at = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else None
    boundaries: list[tuple[str, bool]] = []

    def on_step(step: str, ended: bool) -> None:
        print(f"boundary {step} {ended}", flush=True)
        boundaries.append((step, ended))
        if kill_at is not None and len(boundaries) > kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    timeline.on_step.set(on_step)
    result = asyncio.run(process_audio(source))
    print(json.dumps({"boundaries": boundaries, "result": result.model_dump(mode="json")}))


if __name__ == "__main__":
    main()
