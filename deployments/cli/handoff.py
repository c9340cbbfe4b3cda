"""`c500 handoff`: what agents have handed to people, and handing it back."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deployments.cli import app
from deployments.cli.given import made_of, whole_id
from deployments.cli.output import Json, echo_json, local_time

if TYPE_CHECKING:
    from tasks.agents.team.handoff import HandBack, HandOff, HandOffs

commands = typer.Typer(
    help="What agents have handed to people, and handing it back.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(commands, name="handoff")

HandOffId = Annotated[str, typer.Argument(metavar="ID", help="Of a hand-off, or how it begins.")]


@commands.command("list")
def list_all(
    every: Annotated[bool, typer.Option("--all", help="Also those that were answered.")] = False, as_json: Json = False
) -> None:
    """List what waits for a person, the oldest first."""
    handoffs = _handoffs()
    found = handoffs.all() if every else handoffs.waiting()
    if as_json:
        echo_json([_facts(handoffs, one) for one in found])
        return
    from blocks.plain_text import plain

    for one in found:
        state = "answered" if handoffs.back(one.handoff_id) else "waits"
        typer.echo(f"{one.handoff_id}  {local_time(one.at)}  {state:8}  {one.agent}: {plain(_line(one.question))}")
    if not found:
        typer.echo("nothing waits for a person", err=True)


@commands.command("show")
def show(handoff: HandOffId, as_json: Json = False) -> None:
    """Show what an agent handed off: what was done, what is open, and what it asks."""
    handoffs = _handoffs()
    found = _found(handoffs, handoff)
    if as_json:
        echo_json(_facts(handoffs, found))
        return
    back = handoffs.back(found.handoff_id)
    for line in _lines(found, back):
        typer.echo(line)
    typer.echo(_how_to_go_on(handoffs, found, answered=back is not None), err=True)


@commands.command("answer")
def answer(
    handoff: HandOffId,
    did: Annotated[str, typer.Option(help="What you did by hand.")] = "",
    answer: Annotated[str, typer.Option(help="Your answer to the agent's question.")] = "",
    changes: Annotated[str, typer.Option(help="What the agent is to do otherwise from now on.")] = "",
    end: Annotated[bool, typer.Option("--end", help="The agent shall not go on, but end its work and report.")] = False,
    as_json: Json = False,
) -> None:
    """Hand back to the agent; each hand-off is answered once. Its run goes on when you say so."""
    handoffs = _handoffs()
    found = _found(handoffs, handoff)
    handoffs.answer(_back(handoff_id=found.handoff_id, did=did, answer=answer, changes=changes, go_on=not end))
    if as_json:
        echo_json(_facts(handoffs, found))
        return
    typer.echo(_how_to_go_on(handoffs, found, answered=True))


def _handoffs() -> "HandOffs":
    from blocks.store import open_store
    from tasks.agents.team.handoff import HandOffs

    return HandOffs(open_store())


def _found(handoffs: "HandOffs", beginning: str) -> "HandOff":
    return handoffs.find(whole_id(beginning, (one.handoff_id for one in handoffs.all())))


def _back(**said: Any) -> "HandBack":
    from blocks.approvals import login_name
    from tasks.agents.team.handoff import HandBack

    return made_of(HandBack, {"by": login_name(), "at": datetime.now(UTC), **said}, fix="say it in fewer words")


def _lines(found: "HandOff", back: "HandBack | None") -> list[str]:
    """A hand-off for people; nothing that an agent wrote moves the cursor."""
    from blocks.plain_text import plain

    parts = [
        ("goal", (found.goal,)),
        ("why", (found.why,)),
        ("question", (found.question,)),
        ("done", found.done),
        ("open", found.open),
        ("proposed", found.next_steps),
        ("files", found.artefacts),
    ]
    if back is not None:
        said = (text for text in (back.did, back.answer, back.changes) if text)
        parts.append((f"handed back by {back.by}", tuple(said)))
    head = f"{found.agent} for {found.user}, run {found.run_id}, {local_time(found.at)}"
    return [plain(head), *(f"{name}: {plain(line)}" for name, lines in parts for line in lines)]


def _facts(handoffs: "HandOffs", handoff: "HandOff") -> dict[str, Any]:
    back, team = handoffs.back(handoff.handoff_id), handoffs.team_of(handoff.handoff_id)
    return handoff.model_dump(mode="json") | {
        "handed_back": back.model_dump(mode="json") if back else None,
        "team": team.model_dump(mode="json") if team else None,
    }


def _how_to_go_on(handoffs: "HandOffs", handoff: "HandOff", *, answered: bool) -> str:
    """The command that takes the work on."""
    waited = handoffs.team_of(handoff.handoff_id)
    command = f"c500 agent --resume {handoff.run_id}" if waited is None else f"c500 team --resume {waited.team}"
    if answered:
        return f"the work goes on with `{command}`"
    return f"answer with `c500 handoff answer {handoff.handoff_id} --did … --answer …`, then go on with `{command}`"


def _line(text: str) -> str:
    first = " ".join(text.split())
    return first if len(first) <= 80 else f"{first[:79]}…"
