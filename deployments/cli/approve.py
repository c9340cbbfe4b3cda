"""`c500 approve`: answer what agents ask before they do it."""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from deployments.cli import app

if TYPE_CHECKING:
    from blocks.approvals import Approval, Approvals
    from blocks.store import Files

commands = typer.Typer(help="Answer what agents ask before they do it.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(commands, name="approve")

ApprovalId = Annotated[str, typer.Argument(metavar="ID", help="Id of a request, or how it begins.")]
Reason = Annotated[str, typer.Option(help="Why; the agent is told it.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]


@commands.command("list")
def list_all(
    every: Annotated[bool, typer.Option("--all", help="Also what is decided.")] = False, as_json: Json = False
) -> None:
    """List what waits, oldest first."""
    approvals = _approvals()
    found = approvals.every() if every else approvals.pending()
    if as_json:
        typer.echo(json.dumps([facts_of(one) for one in found], indent=2, ensure_ascii=False))
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
        typer.echo(json.dumps(facts_of(approval) | {"told": _told(approval)}, indent=2, ensure_ascii=False))
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
    state = Escalations(opened_store()).acknowledge(approval, by=login_name(), now=datetime.now(UTC))
    told = f"{approval.request.approval_id}: {state.acknowledged_by} has it in hand"
    typer.echo(state.model_dump_json(indent=2) if as_json else told)


def opened_store() -> "Files":
    """The store of the settings, if it is that of the service that runs; answers are logged. Raises `Conflict`."""
    from blocks.errors import Conflict
    from blocks.logs import configure_logs
    from blocks.store import open_store, store_place
    from deployments.service.home import read_running

    configure_logs()
    service = read_running()
    if service is not None and service.store not in (None, store_place()):
        raise Conflict(
            f"the service that runs keeps its store in {service.store}, these settings name {store_place()}",
            fix="give this command the settings of the service: AUDIO_DIR or STORE_URL",
        )
    return open_store()


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

    return open_approvals(opened_store())


def _found(approvals: "Approvals", approval_id: str) -> "Approval":
    """A request by its id, or a pending one by how its id begins."""
    from blocks.errors import BadInput

    starting = [one for one in approvals.pending() if approval_id and one.request.approval_id.startswith(approval_id)]
    if len(starting) > 1:
        raise BadInput(f"{len(starting)} requests begin with {approval_id}", fix="give more of the id", field="ID")
    return starting[0] if starting else approvals.read(approval_id)


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
        typer.echo(json.dumps(facts_of(answered), indent=2, ensure_ascii=False))
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
        return _read(edit)
    if not changes:
        return None
    request = approval.request
    arguments = dict(approval.variants()[_hash(approval, version) if version else request.arguments_hash])
    for change in changes:
        name, equals, text = change.partition("=")
        if not equals or name not in arguments:
            known = ", ".join(arguments) or "none"
            raise BadInput(f"--set {change}: there is no argument {name!r}", fix=f"known are {known}", field="--set")
        arguments[name] = _value(text)
    return arguments


def _read(path: Path) -> dict[str, Any]:
    from blocks.errors import BadInput

    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
        arguments: Any = json.loads(text)
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} is no JSON that can be read", fix="give a JSON object", field="--edit") from error
    if not isinstance(arguments, dict):
        raise BadInput(f"{path} is no JSON object", fix="give all arguments as an object", field="--edit")
    return arguments  # pyright: ignore[reportUnknownVariableType]


def _value(text: str) -> Any:
    """JSON where it is some, else a text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _line(approval: "Approval") -> str:
    from blocks.approvals.shown import cut, plain, state_of

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
    from blocks.approvals.shown import json_lines, plain, state_of

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

    state = Escalations(opened_store()).read(approval.request.approval_id)
    lines = [
        f"{one.level} by {one.kind} at {one.at.astimezone():%H:%M:%S}: {one.state} {one.fault}".rstrip()
        for one in state.notices
    ]
    return [*lines, *([f"{state.acknowledged_by} has it in hand"] if state.acknowledged_by else [])]
