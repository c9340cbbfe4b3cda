"""`c500 report`: what happened on a day, in a week or since some moment; how well, at what cost, who is needed."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from deployments.cli import app
from deployments.cli.operations_options import NoModel, Profile, Resume, User, begun, run_operation
from deployments.cli.output import Json, echo_json

if TYPE_CHECKING:
    from tasks.quality.report.period import Kind
    from tasks.quality.report.report import OperationsReport

Form = Literal["text", "markdown", "html"]


@app.command("report")
def report(
    when: Annotated[
        str, typer.Argument(help="A date as 2026-11-22, a week as 2026-W47, or `this`; by default the latest over.")
    ] = "",
    day: Annotated[bool, typer.Option("--day", help="Of a day; this is the default.")] = False,
    week: Annotated[bool, typer.Option("--week", help="Of an ISO week.")] = False,
    since: Annotated[str, typer.Option(help="Of any period: its begin, as 2026-11-22 or 2026-11-22T13:30.")] = "",
    until: Annotated[str, typer.Option(help="Its end, which is no part of it; by default now.")] = "",
    zone: Annotated[str, typer.Option(help="Time zone of the days; by default REPORT_TIMEZONE, else TZ.")] = "",
    form: Annotated[Form, typer.Option(help="How it is printed: text, markdown or html.")] = "text",
    out: Annotated[Path | None, typer.Option(help="Write it into this file; .html, .md or .json says how.")] = None,
    send: Annotated[bool, typer.Option("--send", help="Send a short form over the operators' channels, too.")] = False,
    profile: Profile = None,
    user: User = None,
    no_model: NoModel = False,
    resume: Resume = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Keep and send nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Report jobs, quality, cost, incidents and agents of a day or a week, and what needs a person now."""
    kind = _kind(when, day=day, week=week, since=since, until=until)
    writer = _writer(out)
    _check(kind, when, since=since, until=until, zone=zone)
    options = begun("report-operations", profile=profile, user=user, resume=resume, dry_run=dry_run, no_model=no_model)

    def start() -> Any:
        from flows.report import report_operations

        return report_operations(kind, when, since=since, until=until, zone=zone, send=send, options=options)

    found: OperationsReport = run_operation(start, quiet=as_json)
    if out is not None:
        _write(out, _as(found, writer))
    if as_json:
        echo_json(found)
    elif out is None:
        _print(found, form)
    if found.place and not as_json:
        typer.echo(f"kept in {found.place}" + (f"; {found.posted}" if found.posted else ""), err=True)
    if send and not dry_run and not found.is_sent:
        raise typer.Exit(1)


def _kind(when: str, *, day: bool, week: bool, since: str, until: str) -> "Kind":
    from blocks.errors import BadInput
    from tasks.quality.report.period import WEEK

    span = bool(since or until)
    if (day and week) or (span and (day or week or when)):
        raise BadInput("several periods are asked for", fix="give one of --day, --week, or --since and --until")
    if until and not since:
        raise BadInput("--until needs a begin", fix="give --since, too", field="--since")
    return "span" if span else "week" if week or (not day and WEEK.fullmatch(when)) else "day"


def _check(kind: "Kind", when: str, *, since: str, until: str, zone: str) -> None:
    """What is wrong should not wait for a server to start. Raises `BadInput`."""
    from datetime import UTC, datetime

    from blocks.settings import settings
    from tasks.quality.report.period import asked_period

    chosen = zone or settings().report_timezone
    asked_period(kind, when, since=since, until=until, zone=chosen, now=datetime.now(UTC))


FORMS = {".html": "html", ".htm": "html", ".md": "markdown", ".json": "json"}


def _writer(out: Path | None) -> str:
    from blocks.errors import BadInput

    if out is None:
        return ""
    if out.suffix.lower() not in FORMS:
        raise BadInput(
            f"{out.name} does not say how", fix="give a name that ends in .html, .md or .json", field="--out"
        )
    return FORMS[out.suffix.lower()]


def _as(found: "OperationsReport", form: str) -> str:
    from tasks.quality.report.markdown import report_markdown
    from tasks.quality.report.page import report_page

    if form == "json":
        return found.model_dump_json(indent=1)
    return report_page(found) if form == "html" else report_markdown(found)


def _write(out: Path, text: str) -> None:
    from blocks.errors import BadInput
    from blocks.whole_file import write_whole

    try:
        write_whole(out, text.encode("utf-8", "replace"))
    except OSError as error:
        raise BadInput(f"{out} cannot be written: {error.strerror}", fix="name another file", field="--out") from error


def _print(found: "OperationsReport", form: Form) -> None:
    if form != "text":
        typer.echo(_as(found, form))
        return
    from rich.console import Console
    from rich.markdown import Markdown

    from blocks.plain_text import visible

    Console().print(Markdown(visible(_as(found, "markdown"))))
