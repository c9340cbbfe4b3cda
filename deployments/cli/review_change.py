"""`c500 change`: changes reviewed."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deployments.cli import app
from deployments.cli.given import made_of
from deployments.cli.operations_options import NoModel, Profile, Resume, User, begun, run_operation
from deployments.cli.output import Json, echo_json

if TYPE_CHECKING:
    from tasks.ops.change.result import ReviewReport

commands = typer.Typer(help="Changes reviewed.", rich_markup_mode=None)
app.add_typer(commands, name="change")


@commands.callback()
def group() -> None:
    """Changes reviewed."""


@commands.command("review")
def review(
    base: Annotated[str, typer.Argument(help="Where the change begins: a branch, tag or commit.")] = "",
    head: Annotated[str, typer.Argument(help="Where it ends.")] = "HEAD",
    repository: Annotated[Path, typer.Option(help="Folder of the git repository.")] = Path(),
    diff: Annotated[Path | None, typer.Option(help="A unified diff instead of commits.")] = None,
    rules: Annotated[Path | None, typer.Option(help="Rules of the project; see docs/operations/ci.md.")] = None,
    fail_on: Annotated[str, typer.Option(help="critical, high, medium or low: exit 1 from there on.")] = "high",
    out: Annotated[Path | None, typer.Option(help="File for the report as Markdown.")] = None,
    no_model: NoModel = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Keep no report.")] = False,
    profile: Profile = None,
    user: User = None,
    resume: Resume = None,
    as_json: Json = False,
) -> None:
    """Review a change: file, line, severity; missing tests and docs. Exit 1 where it fails at --fail-on."""
    from tasks.ops.change.request import Asked

    fix = "see `c500 change review --help`"
    fields = {
        "repository": str(repository.expanduser().absolute()),
        "base": base,
        "head": head,
        "diff": "" if diff is None else str(diff.expanduser().absolute()),
        "rules": "" if rules is None else str(rules.expanduser().absolute()),
        "fail_on": fail_on,
    }
    asked = made_of(Asked, fields, fix=fix)
    options = begun("review-change", profile=profile, user=user, resume=resume, dry_run=dry_run, no_model=no_model)

    def start() -> Any:
        from flows.change_review import review_change

        return review_change(asked, options)

    report: ReviewReport = run_operation(start, quiet=as_json)
    from tasks.ops.change.report import review_markdown

    if out is not None:
        from blocks.whole_file import write_whole

        write_whole(out, review_markdown(report).encode(), mode=0o644)
    if as_json:
        echo_json(report.model_dump(mode="json") | {"failed": report.failed})
    else:
        from deployments.cli.ci import show_markdown

        show_markdown(review_markdown(report))
    if report.failed:
        raise typer.Exit(1)
