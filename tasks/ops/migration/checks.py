"""Checks: what must hold after a phase, looked at until it does, and for as long as it must."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime

from blocks.action import Touched
from blocks.errors import C500Error, Stopped
from tasks.ops.deed import Deed
from tasks.ops.migration.actions import COMMAND_FIELDS, Doing, cwd_of, environment, failure
from tasks.ops.migration.kinds import Check, CommandCheck, SqlCheck
from tasks.ops.migration.places import Places
from tasks.ops.migration.states import CheckOutcome
from tasks.ops.migration.target import look as look_in_database
from tasks.ops.performer import Performer

Look = Callable[[], Awaitable[tuple[bool, str]]]
SAID_CHARS = 300


async def all_hold(
    performer: Performer, places: Places, checks: Sequence[Check], doing: Doing
) -> tuple[CheckOutcome, ...]:
    """What checks find, in their order, up to the first that fails.

    Raises:
        Stopped: a switch stops the migration.
    """
    outcomes: list[CheckOutcome] = []
    for check in checks:
        outcomes.append(await _holds(performer, places, check, doing))
        if not outcomes[-1].passed:
            break
    return tuple(outcomes)


async def _holds(performer: Performer, places: Places, check: Check, doing: Doing) -> CheckOutcome:
    looks = 0

    async def look() -> tuple[bool, str]:
        nonlocal looks
        looks += 1
        await performer.check_stopped()
        if isinstance(check, SqlCheck):
            return await _database_holds(places, check)
        return await _command_holds(performer, places, check, doing, looks)

    passed, said = await watched(look, tries=check.tries, every_s=check.every_s, steady_s=check.steady_s)
    shown = performer.redactor.text(said)[:SAID_CHARS]
    return CheckOutcome(name=check.name, passed=passed, looks=looks, said=shown, at=datetime.now(UTC))


async def watched(look: Look, *, tries: int, every_s: float, steady_s: float) -> tuple[bool, str]:
    """Look until it holds, and then for as long as it must; one failed look ends the window.

    Args:
        look: Whether it holds, and what was found.
        tries: How many looks may fail before one succeeds.
        every_s: Seconds between two looks.
        steady_s: Seconds of the window.
    """
    holds, said = await look()
    for _ in range(tries - 1):
        if holds:
            break
        await asyncio.sleep(every_s)
        holds, said = await look()
    clock = asyncio.get_running_loop().time
    end = clock() + steady_s
    while holds and clock() < end:
        await asyncio.sleep(min(every_s, max(0.0, end - clock())))
        holds, said = await look()
        if not holds:
            said = f"it held, and no more before {steady_s:g} s were over: {said}"
    return holds, said


async def _database_holds(places: Places, check: SqlCheck) -> tuple[bool, str]:
    try:
        async with places.database(check.database, timeout_s=check.timeout_s) as connection:
            return await look_in_database(connection, check.query)
    except Stopped:
        raise
    except C500Error as error:
        return False, error.message


async def _command_holds(
    performer: Performer, places: Places, check: CommandCheck, doing: Doing, number: int
) -> tuple[bool, str]:
    deed = Deed(
        name=f"{doing.name}/check/{check.name}/{number}",
        tool="run_on_host",
        arguments=check.model_dump(mode="json", include=COMMAND_FIELDS),
        says=f"{doing.migration}: check {doing.phase}: {check.name}",
        read_only=True,
        touched=Touched(argv=check.argv),
        outside=True,
    )

    async def perform() -> str:
        env = environment(doing) | await places.variables(check)
        async with places.host(check.host) as host:
            done = await host.run(
                check.argv, env=env, cwd=cwd_of(places, check), timeout_s=check.timeout_s, become=check.become
            )
        return done.checked().stdout.strip()

    outcome = await performer.do(deed, perform)
    return (True, str(outcome.result)) if outcome.status == "done" else (False, failure(outcome))
