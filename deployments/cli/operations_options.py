"""Options of the commands that run operations flows, and how they are run."""

from collections.abc import Callable, Coroutine
from secrets import token_hex
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from blocks.errors import C500Error
from deployments.cli import go_on_with
from deployments.cli.output import local_time

if TYPE_CHECKING:
    from blocks.approvals import ApprovalRequest
    from tasks.ops.options import OperationsOptions

R = TypeVar("R")

Profile = Annotated[str | None, typer.Option(help="Profile of the rules; by default OPERATIONS_PROFILE.")]
User = Annotated[str | None, typer.Option(help="For whom it is done, who then cannot approve it; by default you.")]
ApprovalS = Annotated[float, typer.Option(min=1, help="Seconds a question to a person stands.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]
NoModel = Annotated[bool, typer.Option("--no-model", help="Ask no model: rules and templates only.")]
Unattended = Annotated[bool, typer.Option("--unattended", help="Nobody can be asked: what needs a person is refused.")]
Resume = Annotated[str | None, typer.Option(metavar="RUN", help="Go on with a run that died or was stopped.")]


def options_of(*, unattended: bool = False, no_model: bool = False, **facts: Any) -> "OperationsOptions":
    """Options as a flow takes them, from those of a command.

    Args:
        unattended: Whether nobody can be asked.
        no_model: Whether no model is asked.
        facts: Other fields of `OperationsOptions`.

    Raises:
        BadInput: a value is not to be had; it names the option. Or the rules are wrong.
        NotFound: there is no such profile.
    """
    from blocks.policy.open import open_operations_policy
    from blocks.settings import settings
    from deployments.cli.given import made_of
    from tasks.ops.options import OperationsOptions

    fields = facts | {"attended": not unattended, "ask_model": not no_model}
    options = made_of(OperationsOptions, fields, fix="give another value; see --help", options={"run_id": "resume"})
    # What is wrong with the rules should not wait for a server to start.
    open_operations_policy().in_force(options.profile or settings().operations_profile)
    return options


def begun(flow: str, *, resume: str | None = None, **facts: Any) -> "OperationsOptions":
    """Options of a run that is told on standard error by its id: whatever ends it, it can be gone on with.

    Args:
        flow: Name of the flow.
        resume: Of a run to go on with; None for a new one.
        facts: As `options_of` takes them.

    Raises:
        BadInput, NotFound: as with `options_of`; or there is no such run.
    """
    from blocks.store import open_store
    from tasks.ops.run_records import RunRecords

    options = options_of(run_id=resume, **facts)
    if resume is not None:
        RunRecords(open_store()).read(resume, flow)
    run_id = resume or token_hex(8)
    if not options.dry_run:
        typer.echo(f"run {run_id} {'goes on' if resume else 'begins'}", err=True)
        go_on_with(f"add --resume {run_id} to the command")
    return options.model_copy(update={"run_id": run_id})


def run_operation(start: Callable[[], Coroutine[Any, Any, R]], *, quiet: bool) -> R:
    """Run an operations flow; what it asks of people is told on standard error.

    Args:
        start: Imports the flow and calls it.
        quiet: Show nothing of its progress.
    """
    from deployments.cli.session import run_flow
    from deployments.operations_checks import check_channels_file

    try:
        check_channels_file()
    except C500Error as error:  # it is done all the same: an incident does not wait for its repair
        typer.echo(f"warning: nobody will be told of it: {error.message}\nfix: {error.fix}", err=True)

    def listening() -> Coroutine[Any, Any, R]:
        from flows.approvals import on_asked

        on_asked.set(tell_of_question)
        return start()

    return run_flow(listening, quiet=quiet)


def tell_of_question(request: "ApprovalRequest") -> None:
    """Say on standard error that a person is asked, and how the person answers."""
    from blocks.plain_text import plain

    until = local_time(request.expires_at)
    persons = "a person" if request.persons == 1 else f"{request.persons} persons"
    told = f"waits until {until} for {persons} to agree (risk {request.risk}): {plain(request.reason)}"
    typer.echo(f"{told}\nsomebody else runs `c500 approve show {request.approval_id}`", err=True)
