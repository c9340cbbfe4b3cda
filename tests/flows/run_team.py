"""Run a team in a process of its own: `python -m tests.flows.run_team PLAN WORKSPACE [FLOW_RUN]`.

Prints the flow run's id when the team begins, and its result as JSON at the end. With a FLOW_RUN, that flow run is run
again, as a worker does it after a crash.
"""

import asyncio
import sys
from pathlib import Path
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.flow_engine import run_flow_async

from flows.team import run_team
from tasks.agents.team.plan import read_team_plan
from tests.flows.teaming import RUN, options


async def run(plan: Path, workspace: str, flow_run_id: str | None) -> None:
    """Run the team."""
    asked = {"goal": "Mend it.", "plan": read_team_plan(plan), "options": options(workspace=workspace), "run_id": RUN}
    async with get_client() as client:
        if flow_run_id is None:
            flow_run = await client.create_flow_run(run_team)
        else:
            flow_run = await client.read_flow_run(UUID(flow_run_id))
    print(flow_run.id, flush=True)
    made = await run_flow_async(run_team, flow_run=flow_run, parameters={**run_team_defaults(), **asked})
    print(made.model_dump_json())


def run_team_defaults() -> dict[str, object]:
    """What the engine wants named."""
    return {"agent": "coordinator"}


if __name__ == "__main__":
    asyncio.run(run(Path(sys.argv[1]), sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else None))
