"""`c500 ci`: what failed in a build, and tests put right."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deployments.cli import app
from deployments.cli.given import made_of
from deployments.cli.operations_options import NoModel, Profile, Resume, User, begun, run_operation
from deployments.cli.output import Json, echo_json

if TYPE_CHECKING:
    from tasks.ops.ci.result import TriageReport

commands = typer.Typer(help="What failed in a build, and tests put right.", rich_markup_mode=None)
app.add_typer(commands, name="ci")


@commands.command("triage")
def triage(
    junit: Annotated[list[Path] | None, typer.Argument(help="JUnit files of the build, those of retries too.")] = None,
    log: Annotated[list[Path] | None, typer.Option(help="A log of the build; may be given again.")] = None,
    project: Annotated[str, typer.Option(help="Under which name earlier builds are kept.")] = "default",
    commit: Annotated[str, typer.Option(help="What was built.")] = "unknown",
    build: Annotated[str, typer.Option(help="The build's id; by default the same files are one build.")] = "",
    no_model: NoModel = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Keep nothing.")] = False,
    profile: Profile = None,
    user: User = None,
    resume: Resume = None,
    as_json: Json = False,
) -> None:
    """Say why a build failed, and whether it is flaky or real. Exit 1 where something is or may be broken."""
    from tasks.ops.ci.build import Build

    fix = "see `c500 ci triage --help`"
    fields = {"junit": names(junit), "logs": names(log), "project": project, "commit": commit, "build": build}
    asked = made_of(Build, fields, fix=fix, options={"logs": "log"}).checked()
    options = begun("triage-ci", profile=profile, user=user, resume=resume, dry_run=dry_run, no_model=no_model)

    def start() -> Any:
        from flows.ci import triage_ci

        return triage_ci(asked, options)

    report: TriageReport = run_operation(start, quiet=as_json)
    if as_json:
        echo_json(report)
    else:
        from tasks.ops.ci.report import triage_markdown

        show_markdown(triage_markdown(report))
    if report.has_real:
        raise typer.Exit(1)


def names(paths: list[Path] | None) -> tuple[str, ...]:
    """Files as runs are told of them, whose process may stand in another folder."""
    return tuple(str(path.expanduser().absolute()) for path in paths or ())


def show_markdown(text: str) -> None:
    """Print a report."""
    from rich.console import Console
    from rich.markdown import Markdown

    from blocks.plain_text import visible

    Console().print(Markdown(visible(text)))
