"""`c500 review`: look at what agents propose, before it is used."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deployments.cli import app
from deployments.cli.given import text_of, whole_id
from deployments.cli.output import Json, echo_json
from deployments.cli.service_store import service_store

if TYPE_CHECKING:
    from blocks.reviews import Review, Reviews

commands = typer.Typer(help="Look at what agents propose, before it is used.", rich_markup_mode=None)
app.add_typer(commands, name="review")

ReviewId = Annotated[str, typer.Argument(metavar="ID", help="Id of a proposal, or how it begins.")]
Reason = Annotated[str, typer.Option(help="Why; the agent is told it.")]

CHOICES = "[a]pprove  [r]eject  [e]dit  [s]kip  [q]uit"


@commands.callback(invoke_without_command=True)
def interactive(context: typer.Context) -> None:
    """Go through what waits, one by one; commands below do the same for scripts."""
    if context.invoked_subcommand is not None:
        return
    reviews = _reviews()
    waiting = reviews.pending()
    for number, review in enumerate(waiting, start=1):
        typer.echo(f"\n{number} of {len(waiting)}")
        _show(review)
        if not _asked(reviews, review):
            return
    typer.echo("nothing waits" if not waiting else "that was all", err=True)


@commands.command("list")
def list_all(
    every: Annotated[bool, typer.Option("--all", help="Also what is answered.")] = False, as_json: Json = False
) -> None:
    """List what waits, oldest first."""
    from blocks.plain_text import plain

    reviews = _reviews()
    found = reviews.every() if every else reviews.pending()
    if as_json:
        echo_json([review_facts(one) for one in found])
        return
    for one in found:
        made = one.proposal
        facts = [made.review_id, f"{one.state:8}", f"until {made.expires_at.astimezone():%m-%d %H:%M}"]
        by = f"(by {_agent(one)} for {plain(made.proposer)})"
        typer.echo("  ".join([*facts, f"{plain(made.kind)}: {plain(made.title)} {by}"]))
    if not found:
        typer.echo("nothing waits", err=True)


@commands.command("show")
def show(review_id: ReviewId, as_json: Json = False) -> None:
    """Show a proposal, against what it would replace."""
    review = _found(_reviews(), review_id)
    if as_json:
        echo_json(review_facts(review))
    else:
        _show(review)


@commands.command("approve")
def approve(review_id: ReviewId, reason: Reason = "", as_json: Json = False) -> None:
    """Approve a proposal as it is."""
    reviews = _reviews()
    _tell(_approve(reviews, _found(reviews, review_id), reason), as_json)


@commands.command("reject")
def reject(
    review_id: ReviewId,
    reason: Annotated[str, typer.Option(help="Why; the agent is told it.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Reject a proposal."""
    reviews = _reviews()
    _tell(_reject(reviews, _found(reviews, review_id), reason), as_json)


@commands.command("edit")
def edit(
    review_id: ReviewId,
    file: Annotated[
        Path | None, typer.Option(help="The changed content; - for standard input; without it, $EDITOR opens.")
    ] = None,
    reason: Reason = "",
    allow_empty: Annotated[bool, typer.Option("--allow-empty", help="Nothing at all may stay of it.")] = False,
    as_json: Json = False,
) -> None:
    """Change a proposal and approve it so. A text stays a text; other contents are edited as JSON."""
    reviews = _reviews()
    review = _found(reviews, review_id)
    text = _in_editor(review) if file is None else text_of(file, "--file")
    if text is None:
        typer.echo("not changed, so not answered", err=True)
        return
    _tell(_edit(reviews, review, text, reason, allow_empty=allow_empty), as_json)


def review_facts(review: "Review") -> dict[str, Any]:
    """A review as JSON; seals are nobody's business."""
    return review.proposal.model_dump(mode="json") | {
        "state": review.state,
        "answer": review.answer and review.answer.model_dump(mode="json", exclude={"seal"}),
        "claimed": review.claim is not None,
    }


def content_of(review: "Review", text: str) -> Any:
    """What somebody wrote, as the content of a proposal: text for a text, else JSON. Raises `BadInput`."""
    from blocks.errors import BadInput

    if isinstance(review.proposal.content, str):
        return text
    try:
        return json.loads(text)
    except ValueError as error:
        raise BadInput(f"the content is no JSON: {error}", fix="correct it", field="content") from None


def _agent(review: "Review") -> str:
    """The agent that proposes, for people."""
    from blocks.errors import StoreFailed
    from blocks.plain_text import plain
    from tasks.agents.runs import RunStore

    try:
        begun = RunStore(service_store()).begun(review.proposal.run_id)
    except StoreFailed:  # a damaged record of its run hides no proposal
        begun = None
    return f"agent {plain(begun.definition.name)}" if begun else f"run {plain(review.proposal.run_id)}"


def _reviews() -> "Reviews":
    from blocks.logs import configure_logs
    from blocks.reviews import open_reviews

    configure_logs()  # answers are logged
    return open_reviews(service_store())


def _found(reviews: "Reviews", review_id: str) -> "Review":
    return reviews.read(whole_id(review_id, (one.proposal.review_id for one in reviews.every())))


def _asked(reviews: "Reviews", review: "Review") -> bool:
    """Ask for an answer until one counts or is put off; False to stop."""
    from blocks.errors import C500Error

    while True:
        choice = typer.prompt(CHOICES, default="s", show_default=False).strip().lower()[:1]
        if choice in ("s", "q"):
            return choice == "s"
        try:
            answered = _answered(reviews, review, choice)
        except C500Error as error:
            typer.echo(f"error: {error.message}\nfix: {error.fix}", err=True)
            continue
        if answered is not None:
            _tell(answered, as_json=False)
            return True


def _answered(reviews: "Reviews", review: "Review", choice: str) -> "Review | None":
    if choice == "a":
        return _approve(reviews, review, "")
    if choice == "r":
        return _reject(reviews, review, typer.prompt("why"))
    if choice == "e" and (text := _in_editor(review)) is not None:
        return _edit(reviews, review, text, "")
    return None


def _approve(reviews: "Reviews", review: "Review", reason: str) -> "Review":
    return reviews.approve(review.proposal.review_id, seen=review.proposal.content_hash, reason=reason, **_who())


def _reject(reviews: "Reviews", review: "Review", reason: str) -> "Review":
    return reviews.reject(review.proposal.review_id, reason=reason, **_who())


def _edit(reviews: "Reviews", review: "Review", text: str, reason: str, *, allow_empty: bool = False) -> "Review":
    from blocks.errors import BadInput

    if not text.strip() and not allow_empty:
        fix = "give the whole content; --allow-empty where nothing of it is to stay"
        raise BadInput("the changed content is empty, and would be approved so", fix=fix, field="--file")
    seen, content = review.proposal.content_hash, content_of(review, text)
    return reviews.edit(review.proposal.review_id, seen=seen, content=content, reason=reason, **_who())


def _who() -> dict[str, Any]:
    from blocks.approvals import login_name

    return {"by": login_name(), "now": datetime.now(UTC)}


def _in_editor(review: "Review") -> str | None:
    """The content as somebody changed it in $EDITOR; None when it was not saved. Raises `BadInput`: no editor runs."""
    import click

    from blocks.errors import BadInput
    from blocks.reviews.shown import text_of

    content = review.proposal.content
    before = text_of(content)
    try:
        after = click.edit(before, extension=".txt" if isinstance(content, str) else ".json")
    except click.ClickException as error:
        fix = "set EDITOR (or VISUAL, which goes before it) to an editor that is installed, or give --file"
        raise BadInput(f"the editor does not work: {error.message}", fix=fix, field="EDITOR") from None
    # Editors end a file with a line break, which nobody has typed.
    return after if after is None or before.endswith("\n") else after.removesuffix("\n")


def _show(review: "Review") -> None:
    from blocks.plain_text import plain
    from blocks.reviews.shown import difference

    made = review.proposal
    typer.echo(f"{made.review_id}: {plain(made.kind)}: {plain(made.title)}, {review.state}")
    by = f"{_agent(review)} for {plain(made.proposer)}"
    typer.echo(f"proposed by {by} in run {plain(made.run_id)}, hash {made.content_hash[:12]}")
    if review.answer:
        typer.echo(f"{review.state} by {plain(review.answer.by) or 'nobody'}: {plain(review.answer.reason)}")
    for line in difference(review):
        typer.echo(line)


def _tell(review: "Review", as_json: bool) -> None:
    if as_json:
        echo_json(review_facts(review))
    else:
        typer.echo(f"{review.proposal.review_id}: {review.state}")
