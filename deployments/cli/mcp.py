"""`c500 agents mcp`: what MCP servers say of their tools by now, and accepting it."""

from typing import TYPE_CHECKING, Annotated

import typer

from deployments.cli.agent import commands as agents
from deployments.cli.output import Json, echo_json
from deployments.cli.recorded import write_down

if TYPE_CHECKING:
    from tasks.agents.tools.mcp import Pins
    from tasks.agents.tools.mcp.pins import Said

commands = typer.Typer(
    help="Tools of MCP servers that are new or changed: offered once you accept them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
agents.add_typer(commands, name="mcp")

ABOUT = "mcp"
"""In place of a run in the audit log: `c500 audit show --run mcp`."""


@commands.command("list")
def list_all(as_json: Json = False) -> None:
    """List the tools that wait, with all that their servers say of them and agents would read."""
    waiting = _pins().waiting()
    if as_json:
        echo_json(waiting)
        return
    for server, said in waiting.items():
        _show(server, said)
    if not waiting:
        typer.echo("no tool waits to be accepted", err=True)


@commands.command("accept")
def accept(
    server: Annotated[str, typer.Argument(help="Name of the MCP server.")],
    tool: Annotated[str | None, typer.Argument(help="One of its tools; all that wait by default.")] = None,
    reason: Annotated[str, typer.Option(help="Why; it is kept in the audit.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Accept what a server says of a tool now, so that agents are offered it again."""
    from blocks.action import hash_of

    pins = _pins()
    said = pins.waiting_of(server, tool)
    if not yes:
        _show(server, said)
        typer.confirm("Accept that?", abort=True, err=True)
    hashes = {name: hash_of(name, one) for name, one in said.items()}
    outcome = f"accepted of MCP server {server}: {', '.join(said)}"
    write_down("policy", ABOUT, outcome=outcome, reason=reason, details={"server": server, "tools": hashes})
    accepted = pins.accept(server, said)
    if as_json:
        echo_json({"server": server, "accepted": accepted})
    else:
        typer.echo(f"accepted: {', '.join(accepted)}")


def _pins() -> "Pins":
    from blocks.settings import settings
    from tasks.agents.opened import private_folder
    from tasks.agents.tools.mcp import FOLDER, pins_of

    return pins_of(private_folder(settings().agents_home, FOLDER))


def _show(server: str, said: "dict[str, Said]") -> None:
    from blocks.plain_text import json_lines, plain

    for name, one in said.items():
        typer.echo(plain(f"{server}/{name}"))
        typer.echo(json_lines(one))
