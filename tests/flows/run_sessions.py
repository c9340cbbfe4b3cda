"""Run flows of sessions, each in a fork that may be killed.

Takes on each line of standard input the name of a flow and its parameters as JSON; prints `pid N` when it begins and
`ended {…}` when it has ended: with what it returned, its error, or the signal that killed it.
"""

import asyncio
from typing import Any

from flows.agent_fleet import agent_fleet
from flows.agent_sessions import agent_task, combined, download_workspace
from tests.fakes.forks import serve

FLOWS: dict[str, Any] = {
    "agent_task": agent_task,
    "agent_fleet": agent_fleet,
    "combined": combined,
    "download_workspace": download_workspace,
}


def run(asked: dict[str, Any]) -> dict[str, Any]:
    """Run a flow."""
    return {"result": asyncio.run(FLOWS[asked["flow"]](**asked["given"])).model_dump(mode="json")}


if __name__ == "__main__":
    serve(run)
