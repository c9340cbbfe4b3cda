"""`c500 approve`: answer what agents ask before they do it."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from deployments.cli import app
from deployments.cli.given import json_object, json_or_text, text_of, whole_id
from deployments.cli.output import Json, echo_json
from deployments.cli.service_store import service_store

if TYPE_CHECKING:
    from blocks.approvals import Approval, Approvals

commands = typer.Typer(help="Answer what agents ask before they do it.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(commands, name="approve")

ApprovalId = Annotated[str, typer.Argument(metavar="ID", help="Id of a request, or how it begins.")]
Reason = Annotated[str, typer.Option(help="Why; the agent is told it.")]


@commands.command("list")
def list_all(
    every: Annotated[bool, typer.Option("--all", help="Also what is decided.")] = False, as_json: Json = False
) -> None:
    """List what waits, oldest first."""
    approvals = _approvals()
    found = approvals.every() if every else approvals.pending()
    if as_json:
        echo_json([facts_of(one) for one in found])
        return
    for one in found:
        typer.echo(_line(one))
    if not found:
        typer.echo("nothing waits for an answer", err=True)


@commands.command("show")
def show(approval_id: ApprovalId, as_json: Json = False) -> None:
    """Show a request with its exact arguments, who was told of it, and who has answered."""
    approval = _found(_approvals(), approval_id)
    if as_json:
        echo_json(facts_of(approval) | {"told": _told(approval)})
        return
    for line in _page(approval):
        typer.echo(line)


@commands.command("yes")
def approve(
    approval_id: ApprovalId,
    edit: Annotated[
        Path | None, typer.Option(help="JSON file with other arguments, all of them; - for standard input.")
    ] = None,
    changes: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Change one argument; may be repeated.")
    ] = None,
    version: Annotated[
        str | None, typer.Option("--hash", help="Which arguments, where there are several versions.")
    ] = None,
    reason: Reason = "",
    as_json: Json = False,
) -> None:
    """Approve a call, as it is or with other arguments. It is made when enough persons approve the same arguments."""
    approvals = _approvals()
    approval = _found(approvals, approval_id)
    arguments = _edited(approval, edit, changes or [], version)
    _vote(approvals, approval, "approve", reason, as_json, arguments=arguments, version=version)


@commands.command("no")
def deny(approval_id: ApprovalId, reason: Reason = "", as_json: Json = False) -> None:
    """Deny a call: one person is enough."""
    approvals = _approvals()
    _vote(approvals, _found(approvals, approval_id), "deny", reason, as_json)


@commands.command("ack")
def acknowledge(approval_id: ApprovalId, as_json: Json = False) -> None:
    """Say that you have it in hand: nobody further up is told. The time to answer goes on."""
    from blocks.approvals import login_name
    from blocks.escalation import Escalations

    approval = _found(_approvals(), approval_id)
    state = Escalations(service_store()).acknowledge(approval, by=login_name(), now=datetime.now(UTC))
    if as_json:
        echo_json(state)
    else:
        typer.echo(f"{approval.request.approval_id}: {state.acknowledged_by} has it in hand")


def facts_of(approval: "Approval") -> dict[str, Any]:
    """An approval as JSON; seals are nobody's business."""
    from blocks.approvals import tally
    from blocks.approvals.shown import state_of

    decided = tally(approval)
    return approval.request.model_dump(mode="json") | {
        "state": state_of(approval),
        "votes": [vote.model_dump(mode="json", exclude={"seal"}) for vote in approval.votes],
        "decision": decided and decided.model_dump(mode="json"),
    }


def _approvals() -> "Approvals":
    from blocks.approvals import open_approvals
    from blocks.logs import configure_logs

    configure_logs()  # answers are logged
    return open_approvals(service_store())


def _found(approvals: "Approvals", approval_id: str) -> "Approval":
    """A request by its id, or by how that begins."""
    return approvals.read(whole_id(approval_id, (one.request.approval_id for one in approvals.every())))


def _vote(
    approvals: "Approvals",
    approval: "Approval",
    verdict: Literal["approve", "deny"],
    reason: str,
    as_json: bool,
    *,
    arguments: dict[str, Any] | None = None,
    version: str | None = None,
) -> None:
    from blocks.approvals import login_name, tally
    from blocks.approvals.shown import state_of

    answered = approvals.vote(
        approval.request.approval_id,
        by=login_name(),
        verdict=verdict,
        channel="cli",
        now=datetime.now(UTC),
        arguments_hash=None if version is None else _hash(approval, version),
        arguments=arguments,
        reason=reason,
    )
    if as_json:
        echo_json(facts_of(answered))
        return
    more = "" if tally(answered) else "; more persons must approve the same arguments"
    typer.echo(f"{approval.request.approval_id}: {state_of(answered)}{more}")


def _hash(approval: "Approval", version: str) -> str:
    from blocks.errors import BadInput

    meant = [one for one in approval.variants() if one.startswith(version)]
    if len(meant) != 1:
        known = ", ".join(one[:12] for one in approval.variants())
        raise BadInput(f"--hash {version} means {len(meant)} versions", fix=f"give one of {known}", field="--hash")
    return meant[0]


def _edited(approval: "Approval", edit: Path | None, changes: list[str], version: str | None) -> dict[str, Any] | None:
    """The arguments as they were changed; None when they were not."""
    from blocks.errors import BadInput

    if edit is not None and changes:
        raise BadInput("--edit and --set exclude each other", fix="use one of them", field="--edit")
    if edit is not None:
        return json_object(text_of(edit, "--edit"), "--edit")
    if not changes:
        return None
    request = approval.request
    arguments = dict(approval.variants()[_hash(approval, version) if version else request.arguments_hash])
    for change in changes:
        name, equals, text = change.partition("=")
        if not equals or name not in arguments:
            known = ", ".join(arguments) or "none"
            raise BadInput(f"--set {change}: there is no argument {name!r}", fix=f"known are {known}", field="--set")
        arguments[name] = json_or_text(text)
    return arguments


def _line(approval: "Approval") -> str:
    from blocks.approvals.shown import state_of
    from blocks.plain_text import cut, plain

    request = approval.request
    facts = [
        request.approval_id,
        f"{state_of(approval):16}",
        f"{request.risk:8}",
        f"until {request.expires_at.astimezone():%m-%d %H:%M}",
        f"{plain(request.agent)} for {plain(request.requester)}:",
        plain(request.tool),
        cut(plain(json.dumps(request.arguments, ensure_ascii=False)), 100),
    ]
    return "  ".join(facts)


def _page(approval: "Approval") -> list[str]:
    from blocks.approvals.shown import state_of
    from blocks.plain_text import json_lines, plain

    request = approval.request
    lines = [
        f"request  {request.approval_id}: {state_of(approval)}",
        f"call     {plain(request.tool)}, risk {request.risk}, hash {request.arguments_hash}",
        f"by       agent {plain(request.agent)} for {plain(request.requester)}, run {plain(request.run_id)}",
        f"because  {plain(request.reason)}",
        f"time     asked {request.asked_at.astimezone():%Y-%m-%d %H:%M:%S}, denied after "
        f"{request.expires_at.astimezone():%Y-%m-%d %H:%M:%S}; persons needed: {request.persons}",
        json_lines(request.arguments),
    ]
    for vote in approval.votes:
        lines.append(f"{vote.verdict:8} {plain(vote.by)} by {vote.channel} at {vote.at.astimezone():%H:%M:%S}"
                     f", hash {vote.arguments_hash[:12]}: {plain(vote.reason)}")  # fmt: skip
        lines += [] if vote.arguments is None else [json_lines(vote.arguments)]
    return [*lines, *(f"told     {plain(one)}" for one in _told(approval))]


def _told(approval: "Approval") -> list[str]:
    """Who was told of a request, and who has it in hand."""
    from blocks.escalation import Escalations

    state = Escalations(service_store()).read(approval.request.approval_id)
    lines = [
        f"{one.level} by {one.kind} at {one.at.astimezone():%H:%M:%S}: {one.state} {one.fault}".rstrip()
        for one in state.notices
    ]
    return [*lines, *([f"{state.acknowledged_by} has it in hand"] if state.acknowledged_by else [])]
