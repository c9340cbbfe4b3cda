"""Run migrations, each in a fork that may kill itself at a given moment: `python -m tests.flows.run_migration`.

Takes on each line of standard input the parameters of `migrate`, and under `kill` when to die, as JSON; prints
`ended {…}` when it has ended: with its report, its error, or the signal that killed it, and how often each moment came.
"""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import anyio._backends._asyncio  # noqa: F401 - all that is not used here: no fork has to import it
import asyncpg  # noqa: F401
import prefect.engine
import prefect.flow_engine  # noqa: F401

import blocks.audit.places  # noqa: F401
import tasks.ops.migration.ready
import tasks.ops.performer  # noqa: F401
from blocks import audit  # noqa: F401
from blocks.approvals import ApprovalRequest, open_approvals
from blocks.hosts.local import LocalHost
from blocks.policy.programs import known_programs
from blocks.policy.read import shipped_for_operations
from blocks.store.local import LocalFiles
from flows.approvals import on_asked
from flows.migration import migrate
from tasks.ops.migration import actions, carry_out, kept, locks, places, target  # noqa: F401
from tasks.ops.options import OperationsOptions
from tests.fakes.forks import serve

MANIFEST, LOCK = "operations/migrations/", "operations/locks/"
DURING_S = 0.05


class Moments:
    """Counts the moments that come, and kills this process at one of them.

    Args:
        kill: Which, as `manifest-before`, and the how manieth, from 1; None for none.
    """

    def __init__(self, kill: list[Any] | None) -> None:
        self.seen: Counter[str] = Counter()
        self._kill = tuple(kill) if kill else None

    def come(self, moment: str) -> None:
        """A moment has come."""
        self.seen[moment] += 1
        if (moment, self.seen[moment]) == self._kill:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, what: str, call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        """The call with the moments before and after it."""

        async def passing(*args: Any, **kwargs: Any) -> Any:
            self.come(f"{what}-before")
            result = await call(*args, **kwargs)
            self.come(f"{what}-after")
            return result

        return passing

    def during(self, call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        """The call with a moment a little after its beginning."""

        async def passing(*args: Any, **kwargs: Any) -> Any:
            asyncio.get_running_loop().call_later(DURING_S, self.come, "command-during")
            return await call(*args, **kwargs)

        return passing


def arm(moments: Moments) -> None:
    """Put the moments into the code: each write of manifest and locks, each step, each change of the database."""
    put_if = LocalFiles.put_if

    def passing(files: LocalFiles, key: str, content: bytes, version: str | None) -> str:
        what = "manifest" if key.startswith(MANIFEST) else "lock" if key.startswith(LOCK) else None
        if what:
            moments.come(f"{what}-before")
        made = put_if(files, key, content, version)
        if what:
            moments.come(f"{what}-after")
        return made

    LocalFiles.put_if = passing  # type: ignore[method-assign]
    carry_out.STEPS = {kind: moments.around("step", step) for kind, step in carry_out.STEPS.items()}  # type: ignore[misc]
    actions.apply = moments.around("commit", actions.apply)
    actions.fill_part = moments.around("commit", actions.fill_part)
    target._note = moments.around("note", target._note)
    LocalHost.run = moments.during(moments.around("command", LocalHost.run))  # type: ignore[method-assign]


def agree(request: ApprovalRequest) -> None:
    """Bob agrees to whatever is asked."""
    approvals, now = open_approvals(), datetime.now(UTC)
    if approvals.decision(request.approval_id, now) is None:
        approvals.vote(request.approval_id, by="bob", verdict="approve", channel="cli", now=now)


def run(asked: dict[str, Any]) -> dict[str, Any]:
    """Carry a migration out, or go on with it."""
    moments = Moments(asked.pop("kill", None))
    arm(moments)
    on_asked.set(agree)
    options = OperationsOptions(user="ann", profile="staging")
    report = asyncio.run(migrate(**asked, options=options)).model_dump(mode="json")
    return {"report": report, "moments": moments.seen}


if __name__ == "__main__":
    shipped_for_operations()
    known_programs()
    serve(run)
