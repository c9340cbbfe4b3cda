"""The command `c500`: each subcommand is a few lines over a flow."""

import signal
import sys
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

from blocks.errors import C500Error


class Alphabetical(TyperGroup):
    """Commands by name, whichever module was imported first."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The names, sorted."""
        return sorted(self.commands)


app = typer.Typer(
    name="c500",
    cls=Alphabetical,
    help="Recordings in; transcript, enhanced text and structured summary out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

DEBUG = "--debug"
ENDED = {130: "interrupted", 143: "terminated"}


def _say_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"c500 {version('c500')}")
        raise typer.Exit


@app.callback()
def options(
    debug: bool = typer.Option(False, DEBUG, help="Show tracebacks; works anywhere on the line."),
    version: bool = typer.Option(False, "--version", callback=_say_version, is_eager=True, help="Show the version."),
) -> None:
    """Recordings in; transcript, enhanced text and structured summary out."""


def load_commands() -> None:
    """Import the modules that define commands; each registers its own."""
    for module in (
        "accounts",
        "agent",
        "approve",
        "ask",
        "audit",
        "batch_prompts",
        "capacity",
        "cases",
        "ci",
        "clean",
        "costs",
        "data",
        "deploy_service",
        "disk",
        "drift",
        "effects",
        "evaluate",
        "fast_response",
        "fix_tests",
        "handoff",
        "incident",
        "incidents",
        "inspect",
        "keys",
        "logs",
        "maintain",
        "mcp",
        "memory",
        "migrate",
        "models",
        "operations",
        "policy",
        "process",
        "quality",
        "report",
        "review",
        "review_change",
        "rollout",
        "runbook",
        "sessions",
        "simulate",
        "status",
        "stop",
        "swarm",
        "team",
        "templates",
        "trash",
        "up",
        "worker",
    ):
        import_module(f"deployments.cli.{module}")


def main() -> None:
    """Run the command line; exit 0 on success, 2 bad input, 3 refused, 1 failure, 130 interrupted, 143 terminated."""
    load_commands()
    arguments = sys.argv[1:]
    debug = DEBUG in arguments
    # Prefect's own handler, in force while a flow runs, ends with a call of this one.
    signal.signal(signal.SIGTERM, _terminated)
    try:
        app([argument for argument in arguments if argument != DEBUG])
    except C500Error as error:
        if debug:
            raise
        typer.echo(f"error: {error.message}\nfix: {error.fix}", err=True)
        sys.exit(error.exit_code)
    except SystemExit as end:
        # Typer turns an interrupt into 130, _terminated a SIGTERM into 143.
        _say_how_it_ended(end.code)
        raise
    except Exception as error:
        if debug:
            raise
        typer.echo(f"error: {type(error).__name__}: {error}", err=True)
        typer.echo("fix: run it again with --debug and report what it prints", err=True)
        sys.exit(1)
    except BaseException as end:
        # By name, since Prefect is slow to import: its handler's exception, when it was raised outside the flow's task.
        if type(end).__name__ != "TerminationSignal":
            raise
        _say_how_it_ended(143)
        sys.exit(143)


def _say_how_it_ended(code: object) -> None:
    if isinstance(code, int) and code in ENDED:
        typer.echo(f"{ENDED[code]}; {_go_on[-1]} to go on where it stopped", err=True)


_go_on = ["run the same command again"]


def go_on_with(command: str) -> None:
    """What to tell somebody who ends this command how it goes on, where that is another command."""
    _go_on.append(command)


def _terminated(*_: object) -> None:
    sys.exit(143)
