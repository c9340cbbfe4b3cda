"""Commands of plans, on the hosts of the inventory."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from blocks.effects import StoredError
from blocks.errors import C500Error
from blocks.hosts import Inventory, open_host
from blocks.model import Frozen
from tasks.ops.deed import Outcome
from tasks.ops.on_host import result_of, run_on_host
from tasks.ops.performer import Performer

ServiceName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
Version = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,127}$")]
"""It goes into commands: never an option, never more than a word."""

StepName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]


class Command(Frozen):
    """A command of a plan.

    Attributes:
        name: Names it within its list.
        host: A host or group of the inventory; `local`, where there is none, is this machine.
        argv: Program and arguments; `{service}` and `{version}` in them are filled in. No shell takes part.
        timeout_s: Seconds after which it is killed.
        become: Whether it runs as root.
        tries: How often it is tried until it ends with 0; only checks and verifications.
        wait_s: Seconds between two tries.
    """

    name: StepName
    host: str = "local"
    argv: tuple[Annotated[str, StringConstraints(min_length=1)], ...] = Field(min_length=1)
    timeout_s: float = Field(default=600, gt=0, le=86_400)
    become: bool = False
    tries: int = Field(default=1, ge=1, le=1000)
    wait_s: float = Field(default=3, ge=0, le=3600)

    def words(self, values: Mapping[str, str]) -> list[str]:
        """The command with its values."""
        return [_filled(word, values) for word in self.argv]


class Ran(Frozen):
    """What came of a command on a host.

    Attributes:
        name: Of the deed.
        status: Of the deed.
        ok: Whether it ended with 0, or would be done in a run that is no dry run.
        why: Why not: how it ended, and the last it wrote.
    """

    name: str
    status: str
    ok: bool
    why: str = ""


async def run_all(
    performer: Performer,
    inventory: Inventory,
    commands: Sequence[Command],
    values: Mapping[str, str],
    *,
    prefix: str,
    **facts: Any,
) -> list[Ran]:
    """Run commands one after another, each on its hosts; ends at the first that does not go well.

    Args:
        performer: Does them.
        inventory: The hosts.
        commands: Which.
        values: Of the words in braces.
        prefix: What their names begin with.
        facts: Of their deeds, see `run_on_host`.

    Raises:
        NotFound: there is no such host; nothing is run.
        Stopped: a switch stops it.
    """
    hosts = {one.name: inventory.chosen([one.host]) for one in commands}
    ran: list[Ran] = []
    for command in commands:
        for machine in hosts[command.name]:
            name = f"{prefix}/{command.name}/{machine.name}"
            ran.append(await _tried(performer, machine, command, command.words(values), name, facts))
            if not ran[-1].ok:
                return ran
    return ran


async def _tried(
    performer: Performer, machine: Any, command: Command, words: list[str], name: str, facts: dict[str, Any]
) -> Ran:
    tries = command.tries if facts.get("read_only") else 1
    ran = await _ran(performer, machine, command, words, name, facts)
    for _ in range(tries - 1):
        if ran.ok or ran.status == "refused":
            break
        await asyncio.sleep(command.wait_s)
        ran = await _ran(performer, machine, command, words, name, facts)
    return ran


async def _ran(
    performer: Performer, machine: Any, command: Command, words: list[str], name: str, facts: dict[str, Any]
) -> Ran:
    limits = {"timeout_s": command.timeout_s, "become": command.become}
    try:
        async with open_host(machine) as host:
            return ran_of(await run_on_host(performer, host, words, name=name, **limits, **facts))
    except C500Error as error:
        if error.code != "HOST_UNREACHABLE":
            raise
        return ran_of(Outcome(name=name, says=name, status="failed", error=StoredError.of(error)))


def ran_of(outcome: Outcome) -> Ran:
    """What came of the deed of a command."""
    if outcome.status == "planned":
        return Ran(name=outcome.name, status="planned", ok=True)
    if outcome.status != "done":
        why = outcome.why or (outcome.error.message if outcome.error else "")
        return Ran(name=outcome.name, status=outcome.status, ok=False, why=why)
    result = result_of(outcome)
    if result.ok:
        return Ran(name=outcome.name, status="done", ok=True)
    how = "killed for the time it took" if result.timed_out else f"ended with {result.exit_code}"
    said = (result.stderr.strip() or result.stdout.strip())[-300:]
    return Ran(name=outcome.name, status="done", ok=False, why=f"{how}{': ' if said else ''}{said}")


def _filled(word: str, values: Mapping[str, str]) -> str:
    for name, value in values.items():
        word = word.replace(f"{{{name}}}", value)
    return word
