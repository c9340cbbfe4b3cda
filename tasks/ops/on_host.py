"""Commands on hosts, as deeds."""

from collections.abc import Sequence
from typing import Any

from blocks.action import Touched
from blocks.hosts import CommandResult, Host
from tasks.ops.deed import Deed, Outcome
from tasks.ops.performer import Performer

SHOWN_CHARS = 4000
"""Of each stream, its end: results of deeds are kept, and shown to people."""


async def run_on_host(
    performer: Performer,
    host: Host,
    argv: Sequence[str],
    *,
    name: str,
    says: str = "",
    timeout_s: float = 600,
    become: bool = False,
    stdin: bytes = b"",
    **facts: Any,
) -> Outcome:
    """Run a command on a host as a deed.

    Args:
        performer: Does it.
        host: Where.
        argv: The program and its arguments.
        name: Of the deed within the run.
        says: What it does, for people; empty: the command itself.
        timeout_s: Seconds after which it is killed.
        become: Whether it runs as root.
        stdin: What it reads.
        facts: Other fields of the deed: `risk`, `read_only`, `reversible`, `repeatable`, `consent`.

    Returns:
        What came of it; of a `done` one `result` is a `CommandResult` as JSON (see `result_of`), also where the command
        ended with another code than 0: what that means, the plan knows.
    """
    argv = tuple(argv)
    deed = Deed(
        name=name,
        tool="run_on_host",
        arguments={"host": host.name, "argv": list(argv), "become": become},
        says=says or f"run {' '.join(argv)} on {host.name}",
        touched=Touched(argv=argv),
        outside=True,
        **facts,
    )

    async def perform() -> Any:
        done = await host.run(argv, stdin=stdin, timeout_s=timeout_s, become=become)
        shown = {"stdout": done.stdout[-SHOWN_CHARS:], "stderr": done.stderr[-SHOWN_CHARS:]}
        return done.model_copy(update=shown).model_dump(mode="json")

    return await performer.do(deed, perform)


def result_of(outcome: Outcome) -> CommandResult:
    """What came of the command of a deed that was done."""
    return CommandResult.model_validate(outcome.result)
