"""Options of the commands that run operations flows, and how they are run."""

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from deployments.cli.output import local_time

if TYPE_CHECKING:
    from blocks.approvals import ApprovalRequest
    from tasks.ops.options import OperationsOptions

R = TypeVar("R")

Profile = Annotated[str | None, typer.Option(help="Profile of the rules; by default OPERATIONS_PROFILE.")]
User = Annotated[str | None, typer.Option(help="For whom it is done, who then cannot approve it; by default you.")]
ApprovalS = Annotated[float, typer.Option(min=1, help="Seconds a question to a person stands.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]
Unattended = Annotated[bool, typer.Option("--unattended", help="Nobody can be asked: what needs a person is refused.")]
Resume = Annotated[str | None, typer.Option(metavar="RUN", help="Go on with a run that died or was stopped.")]


OF_OPTIONS = {"resume": "run_id"}


def options_of(**facts: Any) -> "OperationsOptions":
    """Options as a flow takes them, from those of a command, as `unattended` and `resume`. Raises `BadInput`."""
    from deployments.cli.given import made_of
    from tasks.ops.options import OperationsOptions

    fields = {OF_OPTIONS.get(name, name): value for name, value in facts.items() if name != "unattended"}
    fields["attended"] = not facts.get("unattended", False)
    return made_of(OperationsOptions, fields, fix="give another value; see --help", options={"run_id": "resume"})


def run_operation(start: Callable[[], Coroutine[Any, Any, R]], *, quiet: bool) -> R:
    """Run an operations flow; what it asks of people is told on standard error.

    Args:
        start: Imports the flow and calls it.
        quiet: Show nothing of its progress.
    """
    from deployments.cli.session import run_flow

    def listening() -> Coroutine[Any, Any, R]:
        from flows.approvals import on_asked

        on_asked.set(tell_of_question)
        return start()

    return run_flow(listening, quiet=quiet)


def tell_of_question(request: "ApprovalRequest") -> None:
    """Say on standard error that a person is asked, and how the person answers."""
    from blocks.plain_text import plain

    until = local_time(request.expires_at)
    told = (
        f"waits until {until} for {request.persons} person(s) to agree (risk {request.risk}): {plain(request.reason)}"
    )
    typer.echo(f"{told}\nsomebody else runs `c500 approve show {request.approval_id}`", err=True)
