"""Commands on hosts, as deeds."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from blocks.action import Touched
from blocks.errors import EngineUnavailable
from blocks.hosts import CommandResult, Host, HostUnreachable
from tasks.ops.deed import Deed, Lost, Outcome
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
    env: Mapping[str, str] = {},
    cwd: str | None = None,
    shown_chars: int = SHOWN_CHARS,
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
        env: Variables beside PATH, HOME and LANG.
        cwd: The folder it runs in.
        shown_chars: How much of each stream is kept, from its end.
        facts: Other fields of the deed: `risk`, `read_only`, `reversible`, `repeatable`, `consent`.

    Returns:
        What came of it; of a `done` one `result` is a `CommandResult` as JSON (see `result_of`), also where the command
        ended with another code than 0: what that means, the plan knows. Where the connection broke while one with an
        effect ran, it is in doubt.
    """
    argv = tuple(argv)
    arguments: dict[str, Any] = {"host": host.name, "argv": list(argv), "become": become}
    if stdin:
        arguments["stdin_sha256"] = sha256(stdin).hexdigest()
    if env:
        arguments["env"] = dict(env)
    if cwd is not None:
        arguments["cwd"] = cwd
    deed = Deed(
        name=name,
        tool="run_on_host",
        arguments=arguments,
        says=says or f"run {' '.join(argv)} on {host.name}",
        touched=Touched(argv=argv),
        outside=True,
        **facts,
    )

    async def perform() -> Any:
        how = {"stdin": stdin, "env": env, "cwd": cwd, "timeout_s": timeout_s, "become": become}
        done = await ran(host, argv, is_safe=deed.read_only, **how)
        shown = {"stdout": done.stdout[-shown_chars:], "stderr": done.stderr[-shown_chars:]}
        cut = done.truncated or max(len(done.stdout), len(done.stderr)) > shown_chars
        return done.model_copy(update=shown | {"truncated": cut}).model_dump(mode="json")

    return await performer.do(deed, perform)


async def ran(host: Host, argv: Sequence[str], *, is_safe: bool, **how: Any) -> CommandResult:
    """Run a command within a deed.

    Args:
        host: Where.
        argv: The program and its arguments.
        is_safe: Whether it may be run again where nobody knows whether it was.
        how: More arguments of `Host.run`.

    Raises:
        Lost: the connection broke while one ran that is not safe to be run again: the deed is in doubt.
        EngineUnavailable: it broke; or, as `HostUnreachable`, nothing was run.
    """
    try:
        return await host.run(argv, **how)
    except HostUnreachable:
        raise
    except EngineUnavailable as error:
        if is_safe:
            raise
        raise Lost(error.message) from error


def result_of(outcome: Outcome) -> CommandResult:
    """What came of the command of a deed that was done."""
    return CommandResult.model_validate(outcome.result)
