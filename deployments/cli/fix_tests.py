"""`c500 ci fix`: failing tests put right, each on a branch of its own."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deployments.cli.ci import commands, names, show_markdown
from deployments.cli.given import made_of
from deployments.cli.operations_options import (
    ApprovalS,
    NoModel,
    Profile,
    Resume,
    Unattended,
    User,
    begun,
    run_operation,
)
from deployments.cli.output import Json, echo_json

if TYPE_CHECKING:
    from tasks.ops.fixing.result import FixReport


@commands.command("fix")
def fix(
    tests: Annotated[list[str] | None, typer.Argument(help="Files of tests, as the repository has them.")] = None,
    junit: Annotated[list[Path] | None, typer.Option(help="A JUnit file of the build that failed.")] = None,
    repository: Annotated[Path, typer.Option(help="Folder of the git repository.")] = Path(),
    base: Annotated[str, typer.Option(help="The commit on which they fail.")] = "HEAD",
    since: Annotated[str, typer.Option(help="A commit on which they passed; by default the one before.")] = "",
    python: Annotated[Path | None, typer.Option(help="An interpreter with pytest and what the tests need.")] = None,
    allow: Annotated[list[str] | None, typer.Option(help="skip, expected or assertions; see the docs.")] = None,
    variable: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="Variable for the tests.")] = None,
    no_model: NoModel = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Find and try fixes, but make no branch.")] = False,
    profile: Profile = None,
    user: User = None,
    approval_s: ApprovalS = 3600,
    unattended: Unattended = False,
    resume: Resume = None,
    as_json: Json = False,
) -> None:
    """Put failing tests right: test files only, passed thrice, never merged. Exit 1 unless all were."""
    from tasks.ops.fixing.request import FixAsked

    hint = "see `c500 ci fix --help`"
    fields = {
        "repository": str(repository.expanduser().absolute()),
        "base": base,
        "since": since,
        "junit": names(junit),
        "tests": tuple(tests or ()),
        "python": "" if python is None else str(python.expanduser().absolute()),
        "environment": _variables(variable or []),
        "allow": tuple(allow or ()),
    }
    asked = made_of(FixAsked, fields, fix=hint, options={"environment": "variable"}).checked()
    options = begun(
        "fix-tests",
        profile=profile,
        user=user,
        approval_s=approval_s,
        unattended=unattended,
        resume=resume,
        dry_run=dry_run,
        no_model=no_model,
    )

    def start() -> Any:
        from flows.fixing_tests import fix_tests

        return fix_tests(asked, options)

    report: FixReport = run_operation(start, quiet=as_json)
    if as_json:
        echo_json(report)
    else:
        from tasks.ops.fixing.report import fixes_markdown

        show_markdown(fixes_markdown(report))
    if not report.all_fixed:
        raise typer.Exit(1)


def _variables(given: list[str]) -> dict[str, str]:
    """What NAME=VALUE say. Raises `BadInput`."""
    from blocks.errors import BadInput

    if wrong := [one for one in given if not one.partition("=")[0] or "=" not in one]:
        raise BadInput(f"--variable is {wrong[0]!r:.100}", fix="give NAME=VALUE", field="--variable")
    return dict(one.split("=", 1) for one in given)
