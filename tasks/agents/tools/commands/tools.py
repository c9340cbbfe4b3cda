"""The tool that runs programs in the sandbox."""

import shlex
from typing import Annotated, Any

from pydantic import Field, StringConstraints, field_validator

from blocks.action import Touched, canonical
from blocks.errors import BadInput
from blocks.model import Frozen
from blocks.sandbox import Completed, SandboxLimits
from tasks.agents.tool import Call, Place, Tool
from tasks.agents.tools.commands.argument_paths import touched_by

OUTPUT_BYTES = 12_000
LONGEST_S = 600

OPERATORS = {"|", "||", "&&", "&", ">", ">>", "<", "<<", "2>", "2>&1", "&>", "1>"}
"""Of shells; a program that got one as an argument would take it for a file."""

AS_LIST = 'give argv as a list of the program and each of its arguments, as ["ls", "-l", "src"]; there is no shell'

Argument = Annotated[str, StringConstraints(max_length=100_000, pattern=r"^[^\x00]*$")]


class RunCommand(Frozen):
    """Arguments of `run_command`."""

    argv: tuple[Argument, ...] = Field(
        min_length=1,
        max_length=500,
        description='The program and each of its arguments, as ["grep", "-n", "x y", "a.txt"]; no shell, no pipes',
    )
    stdin: str = Field(default="", max_length=1_000_000, description="What the program may read from its input")
    timeout_s: int = Field(default=60, ge=1, le=LONGEST_S, description="Seconds it may take")

    @field_validator("argv", mode="before")
    @classmethod
    def _is_a_list(cls, argv: Any) -> Any:
        if isinstance(argv, str):
            raise ValueError(AS_LIST)
        return argv


def tools(limits: SandboxLimits | None = None, *, network: bool = False) -> tuple[Tool[Any], ...]:
    """`run_command`.

    Args:
        limits: What a program may use; its time is the call's.
        network: Whether programs reach the network, as they do in the restricted sandbox.
    """
    most = limits or SandboxLimits()

    async def run(arguments: RunCommand, call: Call) -> dict[str, Any]:
        check_command(arguments.argv)
        within = most.model_copy(
            update={"wall_s": arguments.timeout_s, "cpu_s": arguments.timeout_s, "output_bytes": OUTPUT_BYTES}
        )
        done = await call.place.sandbox.run(
            arguments.argv, workspace=call.place.workspace.root, limits=within, stdin=arguments.stdin.encode()
        )
        return shown(done)

    return (
        Tool(
            name="run_command",
            description="Run a program in the workspace, in a sandbox: the system is read-only"
            f"{'' if network else ', there is no network'}, and what it needs must be installed or in the workspace. "
            "No shell reads the arguments: no pipes, redirections, variables or wildcards.",
            arguments=RunCommand,
            call=run,
            risk="medium",
            outside=network,
            labels=frozenset({"untrusted"}),
            touches=_reaches,
            timeout_s=LONGEST_S + 60,
            preview=_preview,
        ),
    )


def _reaches(arguments: RunCommand, place: Place) -> Touched:
    check_command(arguments.argv)
    size = len(arguments.stdin.encode("utf-8", "replace"))
    return touched_by(arguments.argv, place.workspace.root, place.sandbox.name, size)


async def _preview(arguments: RunCommand, _call: Call) -> str:
    given = f"\nwith {len(arguments.stdin)} characters on its input" if arguments.stdin else ""
    return f"{shlex.join(arguments.argv)}{given}"


def check_command(argv: tuple[str, ...]) -> None:
    """Refuse what was meant for a shell. Raises `BadInput`."""
    if not argv[0].strip():
        raise BadInput("argv names no program", fix=AS_LIST, field="argv")
    if len(argv) == 1 and len(argv[0].split()) > 1:
        raise BadInput(f"argv holds a whole command line; {_as_list(argv[0])}", fix=AS_LIST, field="argv")
    if found := OPERATORS & set(argv[1:]):
        raise BadInput(
            f"argv has {min(found)!r}, which only a shell understands",
            fix="run one program in a call; read its output from the result, and write files with write_file",
            field="argv",
        )


def _as_list(line: str) -> str:
    try:
        return f"write it as {canonical(shlex.split(line))}"
    except ValueError:
        return "its quotes are not closed"


def shown(done: Completed) -> dict[str, Any]:
    """What came of a program, as the model sees it."""
    facts: dict[str, Any] = {"exit_code": done.exit_code, "stdout": done.stdout}
    if done.stderr:
        facts["stderr"] = done.stderr
    if done.timed_out or done.killed:
        facts["killed"] = done.killed or "it took too long"
    if done.truncated:
        facts["truncated"] = "the middle of the output was left out"
    return facts
