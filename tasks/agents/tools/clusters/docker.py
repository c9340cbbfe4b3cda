"""Tools for the containers of a Docker daemon, through its command-line program."""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from blocks.action import Risk, Touched
from blocks.errors import C500Error, EngineFailed, EngineUnavailable, NotAllowed, NotFound
from blocks.model import Frozen
from blocks.plain_text import cut
from tasks.agents.tool import Call, Tool
from tasks.agents.tools.programs import Ran, run_program

TIMEOUT_S = 45.0
LOG_BYTES = 14_000
SHOWN = ("ID", "Names", "Image", "Command", "State", "Status", "Ports", "CreatedAt")

ContainerName = Annotated[
    str,
    StringConstraints(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$"),
    Field(description="Name or id of the container"),
]


class Daemon(Frozen):
    """How the daemon is reached.

    Attributes:
        command: The program.
        env: All of its environment.
    """

    command: tuple[str, ...]
    env: Mapping[str, str]

    async def run(self, arguments: Sequence[str]) -> Ran:
        """Run the program. Raises what it says, as ours."""
        ran = await run_program((*self.command, *arguments), env=self.env, timeout_s=TIMEOUT_S)
        if ran.exit_code != 0:
            raise _told(ran)
        return ran


class DockerPs(Frozen):
    """Arguments of `docker_ps`."""

    stopped: bool = Field(default=False, description="Whether containers that do not run are listed, too")


class DockerLogs(Frozen):
    """Arguments of `docker_logs`."""

    container: ContainerName
    lines: int = Field(default=100, ge=1, le=1000, description="Latest lines that are given")
    since_s: int | None = Field(default=None, ge=1, le=7 * 86_400, description="Only of the last so many seconds")


class DockerInspect(Frozen):
    """Arguments of `docker_inspect`."""

    container: ContainerName


class DockerRestart(Frozen):
    """Arguments of `docker_restart`."""

    container: ContainerName
    grace_s: int = Field(default=10, ge=0, le=30, description="Seconds it is given to end before it is killed")


def tools(daemon: Daemon) -> tuple[Tool[Any], ...]:
    """The tools of this daemon."""

    async def ps(arguments: DockerPs, _call: Call) -> list[dict[str, Any]]:
        ran = await daemon.run(_ps(arguments))
        found = [json.loads(line) for line in ran.stdout.splitlines() if line.startswith("{")]
        return [{name: one[name] for name in SHOWN if one.get(name)} for one in found]

    async def logs(arguments: DockerLogs, _call: Call) -> dict[str, Any]:
        ran = await run_program(
            (*daemon.command, *_logs(arguments)), env=daemon.env, timeout_s=TIMEOUT_S, output_bytes=LOG_BYTES
        )
        if ran.exit_code != 0:
            raise _told(ran)
        return {"stdout": ran.stdout, "stderr": ran.stderr} | ({"truncated": True} if ran.truncated else {})

    async def inspect(arguments: DockerInspect, _call: Call) -> Any:
        return _without_env((await daemon.run(_inspect(arguments))).stdout)

    async def restart(arguments: DockerRestart, _call: Call) -> str:
        await daemon.run(_restart(arguments))
        return f"restarted {arguments.container}"

    return (
        _reading("docker_ps", "List the containers of this machine.", DockerPs, ps, _ps, polls=True),
        _reading("docker_logs", "Read the latest lines that a container wrote.", DockerLogs, logs, _logs, polls=True),
        _reading(
            "docker_inspect",
            "Read how a container is set up and what state it is in; values of its environment are not shown.",
            DockerInspect,
            inspect,
            _inspect,
        ),
        Tool(
            name="docker_restart",
            description="Stop a container and start it again. It is away for a moment; what it held in memory is lost.",
            arguments=DockerRestart,
            call=restart,
            risk="high",
            outside=True,
            touches=lambda arguments, _place: Touched(argv=("docker", *_restart(arguments))),
        ),
    )


def _reading(
    name: str,
    description: str,
    arguments: type[Any],
    call: Callable[[Any, Call], Awaitable[Any]],
    argv: Callable[[Any], Sequence[str]],
    polls: bool = False,
    risk: Risk = "low",
) -> Tool[Any]:
    return Tool(
        name=name,
        description=description,
        arguments=arguments,
        call=call,
        risk=risk,
        reversible=True,
        read_only=True,
        labels=frozenset({"untrusted"}),
        touches=lambda arguments, _place: Touched(argv=("docker", *argv(arguments))),
        polls=polls,
    )


def _ps(arguments: DockerPs) -> list[str]:
    return ["ps", "--no-trunc", "--format={{json .}}", *(["--all"] if arguments.stopped else [])]


def _logs(arguments: DockerLogs) -> list[str]:
    since = [f"--since={arguments.since_s}s"] if arguments.since_s else []
    return ["logs", "--timestamps", f"--tail={arguments.lines}", *since, arguments.container]


def _inspect(arguments: DockerInspect) -> list[str]:
    return ["inspect", "--type=container", arguments.container]


def _restart(arguments: DockerRestart) -> list[str]:
    return ["restart", f"-t={arguments.grace_s}", arguments.container]


def _without_env(output: str) -> Any:
    """What is told of a container, without the values of its variables: passwords are handed over in them."""
    try:
        [found] = json.loads(output)
    except ValueError as error:
        raise EngineFailed("docker said nothing that can be read", fix="try again later") from error
    config = found.get("Config") or {}
    config["Env"] = [f"{variable.partition('=')[0]}=(hidden)" for variable in config.get("Env") or []]
    return found


def _told(ran: Ran) -> C500Error:
    message = cut((ran.stderr or ran.stdout).strip(), 500)
    low = message.lower()
    if "no such" in low:
        return NotFound(f"docker: {message}", fix="list the containers with docker_ps")
    if "permission denied" in low:
        return NotAllowed(f"docker: {message}", fix="ask the operator whether agents may use Docker")
    if "cannot connect" in low or "connection refused" in low:
        return EngineUnavailable(f"docker: {message}", fix="ask the operator to look whether the daemon runs")
    return EngineFailed(f"docker: {message}", fix="look at the state with docker_ps, then decide")
