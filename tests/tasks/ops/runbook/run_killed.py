"""Run a runbook in forks that may kill themselves at a given moment.

    python -m tests.tasks.ops.runbook.run_killed

Takes on each line of standard input `{"folder": …, "home": …, "kill": [MOMENT, NUMBER] or null}`; prints the run's
status and why, or the signal that killed it, as JSON.
"""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from blocks import effects, manifests
from blocks.approvals import ApprovalDecision, ApprovalRequest
from blocks.hosts.inventory import ONLY_HERE
from blocks.hosts.local import LocalHost
from blocks.settings import settings
from blocks.store import open_store
from tasks.ops.runbook.begin import begin, carried_out, walking
from tasks.ops.runbook.record import RunbookRun
from tests.fakes.forks import serve
from tests.tasks.ops.performers import performer_in


class Dying:
    """Kills this process at the n-th time that a moment comes; counts from 1."""

    def __init__(self, moment: str, number: int) -> None:
        self._moment, self._left = moment, number

    def pass_by(self, moment: str) -> None:
        """A moment has come."""
        if moment == self._moment:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def around(self, what: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """The call with the moments before and after it."""

        def passing(*args: Any, **kwargs: Any) -> Any:
            self.pass_by(f"{what}-before")
            result = call(*args, **kwargs)
            self.pass_by(f"{what}-after")
            return result

        return passing

    def around_async(self, what: str, call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        """The same of what is awaited."""

        async def passing(*args: Any, **kwargs: Any) -> Any:
            self.pass_by(f"{what}-before")
            result = await call(*args, **kwargs)
            self.pass_by(f"{what}-after")
            return result

        return passing


def arm(dying: Dying) -> None:
    """Put the moments around each write of the manifest and of the ledger, and each command."""
    manifests.Held.put = dying.around("manifest", manifests.Held.put)  # type: ignore[method-assign]
    effects._write = dying.around("ledger", effects._write)
    LocalHost.run = dying.around_async("command", LocalHost.run)  # type: ignore[method-assign]


async def run(folder: Path) -> RunbookRun:
    """Run the runbook `book`, or go on with it."""

    async def agree(request: ApprovalRequest) -> ApprovalDecision:
        return ApprovalDecision(approved=True, arguments=request.arguments, by=("bob",), at=datetime.now(UTC))

    async def tell(subject: str, _: str) -> None:
        with (folder / "told.txt").open("a") as file:
            file.write(f"{subject}\n")

    performer = performer_in(settings().agents_home, flow="run-runbook", ask=agree, tell=tell)
    files = open_store()
    begun = begin("book", {}, None, folder=folder, inventory=ONLY_HERE, files=files, run_id="run-1")

    async def show(_: RunbookRun) -> None:
        return None

    async def query(_: str) -> float | None:
        return None

    async with walking(begun, performer, files, query, show) as walk:
        return await carried_out(walk)


def asked_run(asked: dict[str, Any]) -> dict[str, Any]:
    """Run what is asked for."""
    if asked["kill"] is not None:
        arm(Dying(*asked["kill"]))
    ended = asyncio.run(run(Path(asked["folder"])))
    return {"status": ended.status, "why": ended.why}


if __name__ == "__main__":
    import celpy.evaluation  # noqa: F401 - so that no fork has to

    serve(asked_run)
