"""Rolling a version back: at most once, whoever finds that it must be."""

import asyncio
import time
from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from blocks.errors import Conflict
from blocks.hosts import Inventory
from blocks.model import Frozen
from blocks.progress import in_thread
from blocks.resource_locks import ResourceLock
from blocks.store.files import Files
from tasks.ops.performer import Performer
from tasks.ops.service.commands import Command, Ran, run_all
from tasks.ops.service.history import Histories, Turn
from tasks.ops.service.holding import kept, take

RolledBack = Literal["rolled_back", "rollback_failed", "in_doubt", "planned", "not_rolled_back"]

LOOK_S = 0.5

TOLD: dict[Turn, str] = {
    "done": "it was rolled back already",
    "failed": "its rollback failed or is in doubt; see the run that began it, and `c500 effects`",
    "others": "another run is rolling it back",
    "superseded": "another version was deployed since, which this rollback would take away",
    "too_many": "the service was rolled back too often; what is wrong is not the version",
}


class RollbackLimits(Frozen):
    """How often a service may be rolled back.

    Attributes:
        most: Rollbacks, of whatever versions.
        within_s: Seconds within which they count.
        wait_s: Seconds to wait for a service that another run has in its hands.
    """

    most: int = Field(default=2, ge=1, le=100)
    within_s: float = Field(default=86_400, gt=0)
    wait_s: float = Field(default=300, ge=0, le=86_400)


class RollbackResult(Frozen):
    """What came of a rollback.

    Attributes:
        status: How it ended; `not_rolled_back`: it was not begun, `why` says why.
        why: Why it was not done, or failed.
        ran: Its commands.
    """

    status: RolledBack
    why: str = ""
    ran: tuple[Ran, ...] = ()


async def roll_back(
    performer: Performer,
    files: Files,
    inventory: Inventory,
    service: str,
    version: str,
    commands: Sequence[Command],
    limits: RollbackLimits,
    why: str,
) -> RollbackResult:
    """Roll a version back, unless it was; from then on it is not deployed until a person clears it.

    The turn is taken in the store before the first command, and each command is in the ledger of effects: whatever is
    killed, none runs twice.

    Raises:
        NotFound: there is no such host.
        Fenced: another run has taken the service over.
        Stopped: a switch stops it.
    """
    if performer.dry_run:
        ran = await _ran(performer, inventory, service, version, commands)
        return RollbackResult(status="planned", why=why, ran=tuple(ran))
    try:
        lock = await _taken(performer, files, service, limits.wait_s)
    except Conflict as error:
        return RollbackResult(status="not_rolled_back", why=f"{error.message}; {error.fix}")
    async with kept(files, lock):
        return await roll_back_held(performer, files, inventory, service, version, commands, limits, why)


async def _taken(performer: Performer, files: Files, service: str, wait_s: float) -> ResourceLock:
    """The service, once the run that has it is done with it, or its term ran out. Raises `Conflict`, `Stopped`."""
    end = time.monotonic() + wait_s
    while True:
        try:
            return await take(files, service, performer.run_id)
        except Conflict:
            if time.monotonic() >= end:
                raise
        await asyncio.sleep(LOOK_S)
        await performer.check_stopped()


async def roll_back_held(
    performer: Performer,
    files: Files,
    inventory: Inventory,
    service: str,
    version: str,
    commands: Sequence[Command],
    limits: RollbackLimits,
    why: str,
) -> RollbackResult:
    """As `roll_back`, for a run that has the service in its hands already."""
    histories = Histories(files)
    turn = await in_thread(
        histories.begin_rollback, service, version, performer.run_id, why, most=limits.most, within_s=limits.within_s
    )
    if turn != "ours":
        return RollbackResult(status="not_rolled_back", why=TOLD[turn])
    result = _result(await _ran(performer, inventory, service, version, commands))
    if result.status == "rolled_back":
        await in_thread(histories.note, service, version, "rolled_back", why)
    else:
        await in_thread(histories.note, service, version, "rollback_failed", result.why)
    return result


async def _ran(
    performer: Performer, inventory: Inventory, service: str, version: str, commands: Sequence[Command]
) -> list[Ran]:
    values, facts = {"service": service, "version": version}, {"risk": "medium", "reversible": True}
    return await run_all(performer, inventory, commands, values, prefix="rollback", **facts)


def _result(ran: list[Ran]) -> RollbackResult:
    last = ran[-1] if ran else None
    if last is None or last.ok:
        return RollbackResult(status="rolled_back", ran=tuple(ran))
    why = f"{last.name}: {last.why}"
    if last.status != "in_doubt":
        return RollbackResult(status="rollback_failed", why=why, ran=tuple(ran))
    why = f"{why}; find out whether it was done, say so with `c500 effects`, and go on with the same run"
    return RollbackResult(status="in_doubt", why=why, ran=tuple(ran))
