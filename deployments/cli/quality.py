"""`c500 quality`: audits of what finished jobs made."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deployments.cli import app
from deployments.cli.operations_options import Profile, Resume, User, begun, run_operation
from deployments.cli.output import Json, echo_json, local_time

if TYPE_CHECKING:
    from tasks.quality.audit.judged import AuditReport
    from tasks.quality.audit.period import Period

quality = typer.Typer(help="Audits of what finished jobs made.", no_args_is_help=True)
app.add_typer(quality, name="quality")

FAILED = 1
"""Exit status of an audit that a critical expectation fails."""


@quality.command("audit")
def audit(
    since: Annotated[str | None, typer.Option(metavar="MOMENT", help="Begin of the period, in UTC.")] = None,
    until: Annotated[str | None, typer.Option(metavar="MOMENT", help="Its end; by default now.")] = None,
    day: Annotated[str | None, typer.Option(metavar="DAY", help="A day, as 2026-11-21, or last, or today.")] = None,
    week: Annotated[str | None, typer.Option(metavar="WEEK", help="A week, as 2026-W47, or last, or this.")] = None,
    month: Annotated[str | None, typer.Option(metavar="MONTH", help="A month, as 2026-11, or last, or this.")] = None,
    profile: Profile = None,
    user: User = None,
    resume: Resume = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Keep nothing and tell nobody.")] = False,
    as_json: Json = False,
) -> None:
    """Hold the results of a period against the suites; by default of yesterday. Exit 1 when it fails."""
    period = period_of(since=since, until=until, day=day, week=week, month=month)
    _check_suites()
    options = begun("audit-quality", profile=profile, user=user, resume=resume, dry_run=dry_run)

    def start() -> Any:
        from flows.quality_audit import audit_quality

        return audit_quality(period, options=options)

    report = run_operation(start, quiet=as_json)
    print_report(report, as_json=as_json)
    if report.verdict == "failed":
        raise typer.Exit(FAILED)


@quality.command("show")
def show(
    period: Annotated[str | None, typer.Argument(help="As 2026-11-21; by default all that were audited.")] = None,
    as_json: Json = False,
) -> None:
    """Show the audit of a period, or list all audits."""
    from blocks.store import open_store
    from tasks.quality.audit.history import read_periods
    from tasks.quality.audit.keep import read_report

    files = open_store()
    if period is not None:
        print_report(read_report(files, period), as_json=as_json)
        return
    rows = read_periods(files)
    if as_json:
        echo_json(rows)
        return
    for row in rows:
        failed = f"  {', '.join(row.failed)}" if row.failed else ""
        typer.echo(f"{row.name:<34} {row.verdict:<7} {row.jobs:>7,} jobs  {local_time(row.audited_at)}{failed}")
    if not rows:
        typer.echo("no period was audited yet: c500 quality audit")


@quality.command("suites")
def suites(
    columns: Annotated[bool, typer.Option("--columns", help="List the columns of the tables instead.")] = False,
    as_json: Json = False,
) -> None:
    """List the expectations, yours among them, and check them."""
    from tasks.quality.audit.suite_files import TABLES

    if columns:
        told = {name: {key: one.description for key, one in row.model_fields.items()} for name, row in TABLES.items()}
        if as_json:
            echo_json(told)
            return
        for name, described in told.items():
            typer.echo(f"{name}\n" + "\n".join(f"  {key:<22} {text}" for key, text in described.items()))
        return
    found = _check_suites()
    if as_json:
        echo_json([_as_json(suite) for suite in found])
        return
    for suite in found:
        typer.echo(f"{suite.name}: {suite.title} (table {suite.table})")
        for one in suite.expectations:
            typer.echo(f"  {one.id:<20} {one.severity:<9} {one.about or one.expect}")


def period_of(
    *, since: str | None, until: str | None, day: str | None, week: str | None, month: str | None
) -> "Period | None":
    """The period that options name; None where they name none.

    Raises:
        BadInput: they name several, or one that there is not.
    """
    from datetime import UTC

    from blocks.errors import BadInput
    from deployments.cli.given import made_of
    from tasks.quality.audit.period import Period, named

    spans = {"day": day, "week": week, "month": month}
    given = [name for name, value in spans.items() if value is not None]
    if len(given) + (since is not None) > 1 or (until is not None and since is None):
        raise BadInput(
            "the options name no one period",
            fix="give --since with or without --until, or one of --day, --week, --month",
        )
    if given:
        [span] = given
        return named(span, spans[span] or "", f"--{span}")  # pyright: ignore[reportArgumentType]
    if since is None:
        return None
    ends = {"since": _moment(since, "--since"), "until": _moment(until, "--until") if until else datetime.now(UTC)}
    return made_of(Period, ends, fix="give a begin and an end")


def _moment(text: str, option: str) -> datetime:
    from datetime import UTC

    from blocks.errors import BadInput

    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadInput(
            f"{option} is {text!r:.60}, which is no moment",
            fix="give it as 2026-11-21 or 2026-11-21T08:00",
            field=option,
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _check_suites() -> Any:
    """The suites, looked at before a server is started for them."""
    from blocks.settings import settings
    from tasks.quality.audit.judge import check
    from tasks.quality.audit.suite_files import read_suites

    found = read_suites(settings().quality_suites_dir)
    check(found)
    return found


def _as_json(suite: Any) -> dict[str, Any]:
    names = ("id", "expect", "arguments", "severity", "at_least", "about", "source", "where")
    expectations = [{name: getattr(one, name) for name in names} for one in suite.expectations]
    return {"suite": suite.name, "table": suite.table, "title": suite.title, "expectations": expectations}


def print_report(report: "AuditReport", *, as_json: bool) -> None:
    """Print a report."""
    if as_json:
        echo_json(report)
        return
    from rich.console import Console
    from rich.markdown import Markdown

    from blocks.plain_text import visible
    from tasks.quality.audit.tell import markdown

    Console().print(Markdown(visible(markdown(report))))
