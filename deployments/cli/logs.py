"""`c500 logs`: what is new in logs, what spikes, where errors burst."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deployments.cli import app
from deployments.cli.given import made_of
from deployments.cli.operations_options import NoModel, Profile, Resume, User, begun, run_operation
from deployments.cli.output import Json, echo_json

if TYPE_CHECKING:
    from tasks.ops.logs.report import LogReport


@app.command("logs")
def logs(
    paths: Annotated[list[Path], typer.Argument(help="Log files, plain, .gz or .zst, in their order of time.")],
    state: Annotated[
        str | None, typer.Option(help="Name of an analysis: read only what is new since its last run.")
    ] = None,
    baseline_share: Annotated[float, typer.Option(help="Share of the files that is usual, without a state.")] = 0.25,
    encoding: Annotated[str | None, typer.Option(help="Of the text; by default UTF-8, or as marked.")] = None,
    window_s: Annotated[int, typer.Option(help="Seconds of a window of time.")] = 60,
    max_templates: Annotated[int, typer.Option(help="Kinds of lines told apart.")] = 2_000,
    context: Annotated[int, typer.Option(help="Lines shown around each sample.")] = 3,
    profile: Profile = None,
    user: User = None,
    no_model: NoModel = False,
    resume: Resume = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Keep nothing, neither report nor state.")] = False,
    as_json: Json = False,
) -> None:
    """Mine the templates of logs: new ones, spiking ones, bursts of errors, with samples."""
    from tasks.ops.logs.request import LogOptions

    fix = "give another value; see `c500 logs --help`"
    fields: dict[str, Any] = {
        "state": state,
        "baseline_share": baseline_share,
        "encoding": encoding,
        "window_s": window_s,
        "max_templates": max_templates,
        "context": context,
    }
    asked = made_of(LogOptions, fields, fix=fix)
    options = begun("analyse-logs", profile=profile, user=user, resume=resume, dry_run=dry_run, no_model=no_model)

    def start() -> Any:
        from flows.log_analysis import analyse_logs

        return analyse_logs([str(path.absolute()) for path in paths], asked, options)

    show(run_operation(start, quiet=as_json), as_json=as_json)


def show(report: "LogReport", *, as_json: bool) -> None:
    """Print a report."""
    if as_json:
        echo_json(report)
        return
    from rich.console import Console
    from rich.markdown import Markdown

    from blocks.plain_text import visible
    from tasks.ops.logs.report import markdown

    Console().print(Markdown(visible(markdown(report))))
