"""Programs of ours in the sandbox."""

from collections.abc import Mapping, Sequence

from blocks.errors import EngineFailed, TimedOut
from blocks.sandbox import Completed, SandboxLimits
from tasks.agents.tool import Place


async def run_reading(
    place: Place, argv: Sequence[str], *, limits: SandboxLimits, env: Mapping[str, str] | None = None
) -> Completed:
    """Run a program that only reads the workspace.

    Raises:
        TimedOut: it took too long.
        EngineFailed: it was killed, or is not installed.
    """
    # The restricted sandbox refuses what it cannot promise.
    can_write = place.sandbox.name != "bubblewrap"
    return checked(
        await place.sandbox.run(argv, workspace=place.workspace.root, limits=limits, env=env or {}, writable=can_write),
        argv[0],
    )


def checked(done: Completed, program: str) -> Completed:
    """The same, when it came to its end. Raises `TimedOut`, `EngineFailed`."""
    if done.timed_out:
        raise TimedOut(f"{program} took too long", fix="ask for less: a folder, a file, fewer entries")
    if done.killed:
        raise EngineFailed(f"{program} was killed: {done.killed}", fix="ask for less: a folder, a file, fewer entries")
    if done.exit_code in (126, 127) and program in done.stderr:
        raise EngineFailed(f"{program} is not installed", fix="go on without it, or ask the operator to install it")
    return done
