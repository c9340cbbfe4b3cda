"""Respond to incidents, each in a fork that may kill itself at a given moment: `python -m tests.flows.run_incident`.

Takes on each line of standard input an alert's file, variables, and when to die, as JSON; prints `ended {…}` when it
has ended: with its status, its error, or the signal that killed it, and how often each moment came.
"""

import asyncio
from typing import Any

import anyio._backends._asyncio  # noqa: F401 - all that is not used here: no fork has to import it
import prefect.engine
import prefect.flow_engine  # noqa: F401

import tasks.ops.performer  # noqa: F401
from blocks import audit  # noqa: F401
from blocks.store.local import LocalFiles
from flows import operating
from flows.incident import respond_to_incident
from tasks.ops.incident import respond
from tasks.ops.options import OperationsOptions
from tests.fakes.forks import serve
from tests.flows.run_migration import Moments

INCIDENTS = "operations/incidents/"


def arm(moments: Moments) -> None:
    """Put the moments into the code: each write of the store, the gathering, the message."""
    put_if = LocalFiles.put_if

    def passing(files: LocalFiles, key: str, content: bytes, version: str | None) -> str:
        if not key.startswith(INCIDENTS):
            return put_if(files, key, content, version)
        moments.come("write-before")
        made = put_if(files, key, content, version)
        moments.come("write-after")
        return made

    LocalFiles.put_if = passing  # type: ignore[method-assign]
    operating.post = moments.around("send", operating.post)
    respond.gather = moments.around("gather", respond.gather)  # type: ignore[attr-defined]


def run(asked: dict[str, Any]) -> dict[str, Any]:
    """Respond to an alert."""
    moments = Moments(asked.get("kill"))
    arm(moments)
    options = OperationsOptions(run_id=asked.get("run_id"), attended=False)
    report = asyncio.run(respond_to_incident(asked["alert"], options=options))
    return {"status": report.status, "incident": report.incident_id, "moments": moments.seen}


if __name__ == "__main__":
    serve(run)
