"""What becomes of a run that a switch stopped: it waits, and goes on where it was when somebody resumes it."""

from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn
from uuid import uuid4

from prefect.context import FlowRunContext
from prefect.flow_runs import asuspend_flow_run
from prefect.runtime import deployment, flow_run

from blocks.errors import Stopped
from tasks.agents.guarded import AgentStopped

LONGEST_S = 30 * 86_400
"""Prefect fails a run that is suspended for longer."""


async def halt(error: Stopped, run_id: str, note: Callable[[str, str], None]) -> NoReturn:
    """Suspend the flow run, or end it where it cannot be suspended.

    A run of a deployment leaves its process; resumed in the Prefect UI or by `c500 agent --resume`, it goes on in
    another. Runs from a command line and sub-flows end with the error; the same agent run id goes on there. So do runs
    that were not stopped by a switch, but cancelled.

    Args:
        error: Why it was stopped.
        run_id: Of the agent's run.
        note: Takes note of the flow run that waits.

    Raises:
        Stopped: it cannot be suspended.
    """
    is_of_deployment = deployment.id is not None and flow_run.parent_flow_run_id is None
    if isinstance(error, AgentStopped) and is_of_deployment and FlowRunContext.get() is not None:
        note(run_id, str(flow_run.id))
        with suppress(RuntimeError):  # the run was cancelled in the same moment
            # A new key each time: Prefect lets a run go on that was suspended under the same before (3.8).
            await asuspend_flow_run(timeout=LONGEST_S, key=f"halt-{uuid4().hex}")
    raise error
