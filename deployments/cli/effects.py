"""`c500 effects`: calls of killed runs of which nobody knows whether they happened, and saying so."""

import json
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deployments.cli import app
from deployments.cli.given import json_or_text, whole_id
from deployments.cli.output import Json
from deployments.cli.recorded import write_down

if TYPE_CHECKING:
    from blocks.audit import Entry
    from blocks.effects import Effect, EffectLedger

commands = typer.Typer(
    help="Calls of killed runs of which nobody knows whether they happened.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(commands, name="effects")

EffectId = Annotated[
    str, typer.Argument(metavar="ID", help="RUN/CALL, as `c500 effects list` names it, or how it begins.")
]
Reason = Annotated[str, typer.Option(help="How you know; it is kept in the audit.")]


@commands.command("list")
def list_all(
    every: Annotated[bool, typer.Option("--all", help="Also those whose run is at work.")] = False,
    as_json: Json = False,
) -> None:
    """List effects in doubt, oldest first: their run began them, and was killed or stopped before they ended."""
    from blocks.store import open_store
    from tasks.agents.doubts import in_doubt

    ledger = _ledger()
    doubted = in_doubt(ledger, open_store())
    found = ledger.begun() if every else doubted
    states = {one.effect_id: "in doubt" if one in doubted else "run at work" for one in found}
    if as_json:
        typer.echo(_json([_facts(one, states[one.effect_id]) for one in found]))
        return
    for one in found:
        state = states[one.effect_id]
        typer.echo(f"{_plain(one.effect_id)}  {state}  since {one.begun_at.astimezone():%Y-%m-%d %H:%M}")
    if not found:
        typer.echo("no effect is in doubt", err=True)


@commands.command("show")
def show(effect_id: EffectId, as_json: Json = False) -> None:
    """Show what is known of an effect: which tool, with which arguments, when it began, how it ended."""
    from blocks.errors import NotFound

    effect_id = _whole(effect_id)
    effect = _ledger().look(effect_id)
    if effect is None:
        raise NotFound(f"the effect {effect_id[:200]} never began", fix="see `c500 effects list`", field="ID")
    call = _call(effect_id)
    if as_json:
        typer.echo(_json(_facts(effect, _state(effect)) | _call_facts(call)))
        return
    for line in _page(effect, call):
        typer.echo(line)


@commands.command("settle")
def settle(
    effect_id: EffectId,
    result: Annotated[
        str | None, typer.Option(help="What it gave, JSON or text; the agent is told it.", show_default=False)
    ] = None,
    reason: Reason = "",
    as_json: Json = False,
) -> None:
    """Say that an effect in doubt happened: it is not had again, and its run goes on with what it gave."""
    effect_id = _whole(effect_id)
    given = "it was done, as a person has made sure" if result is None else json_or_text(result)
    with _written_down(effect_id, "settled: it happened", reason, given):
        settled = _ledger().settle(effect_id, given)
    typer.echo(_json(_facts(settled, _state(settled))) if as_json else f"{_plain(effect_id)}: it happened")


@commands.command("release")
def release(effect_id: EffectId, reason: Reason = "", as_json: Json = False) -> None:
    """Say that an effect in doubt did not happen: its run, if it has not ended, has it when it goes on."""
    effect_id = _whole(effect_id)
    follows = _follows_release(effect_id)
    with _written_down(effect_id, "released: it did not happen", reason):
        _ledger().release(effect_id)
    told = {"effect_id": effect_id, "state": "released"}
    typer.echo(_json(told) if as_json else f"{_plain(effect_id)}: it did not happen, and {follows}")


def _whole(beginning: str) -> str:
    """The one effect that is not known to have ended and begins so; else what was given."""
    return whole_id(beginning, (one.effect_id for one in _ledger().begun()))


def _follows_release(effect_id: str) -> str:
    """What comes of saying that an effect did not happen."""
    from blocks.store import open_store
    from tasks.agents.doubts import run_of
    from tasks.agents.runs import RunStore

    ended = RunStore(open_store()).result(run_of(effect_id))
    if ended is not None and ended.status == "done":
        return "its run has ended, so it does not happen any more: begin a new run where it should"
    if _was_told(effect_id):
        return "its agent was told that nobody knows, and goes on from there: it does not happen by itself any more"
    return "is had when its run goes on"


def _ledger() -> "EffectLedger":
    from blocks.effects import EffectLedger
    from blocks.settings import settings

    return EffectLedger(settings().agents_home / "effects")


@contextmanager
def _written_down(effect_id: str, outcome: str, reason: str, after: Any = None) -> Generator[None]:
    """Write down what a person says before it counts; and after, where the ledger did not take it."""
    from blocks.errors import C500Error, NotFound
    from tasks.agents.doubts import run_of

    if _ledger().look(effect_id) is None:
        raise NotFound(f"the effect {effect_id[:200]} never began", fix="see `c500 effects list`", field="ID")
    call, run_id = _call(effect_id), run_of(effect_id)
    known: dict[str, Any] = {"call_id": effect_id.removeprefix(f"{run_id}/") or None, "reason": reason}
    if call is not None:
        known |= {"tool": call.tool, "agent": call.agent, "user": call.user}
    write_down("answered", run_id, outcome=outcome, after=after, **known)
    try:
        yield
    except C500Error as error:
        write_down("answered", run_id, outcome=f"not {outcome}: {error.message}", **known)
        raise


def _call(effect_id: str) -> "Entry | None":
    """The call that had the effect, as the audit knows it; None when it does not."""
    found = _entries(effect_id)
    return next((one for one in found if one.arguments is not None), found[0] if found else None)


def _was_told(effect_id: str) -> bool:
    """Whether its agent was told that nobody knows: that is the call's result, in every later attempt too."""
    from blocks.effects import InDoubt

    return any(one.phase == "failed" and InDoubt.code in (one.outcome or "") for one in _entries(effect_id))


def _entries(effect_id: str) -> "list[Entry]":
    """What the audit knows of the call that had the effect."""
    from blocks.audit.log import records
    from blocks.audit.places import AuditPlaces
    from blocks.settings import settings
    from tasks.agents.doubts import run_of

    run_id = run_of(effect_id)
    return [
        record.entry
        for record in records(AuditPlaces(settings().agents_home).folder, run_id)
        if f"{run_id}/{record.entry.call_id}" == effect_id and record.entry.tool is not None
    ]


def _state(effect: "Effect") -> str:
    ends = {"begun": "going on or in doubt", "done": "done", "failed": "failed"}
    return ends[effect.state] + (", settled" if effect.settled else "")


def _facts(effect: "Effect", state: str) -> dict[str, Any]:
    return effect.model_dump() | {"state": state}


def _call_facts(call: "Entry | None") -> dict[str, Any]:
    return {"call": call and {"tool": call.tool, "arguments": call.arguments, "agent": call.agent, "user": call.user}}


def _page(effect: "Effect", call: "Entry | None") -> list[str]:
    from blocks.plain_text import cut, json_lines

    lines = [f"effect   {_plain(effect.effect_id)}: {_state(effect)}", f"began    {effect.begun_at.astimezone():%F %T}"]
    if effect.ended_at is not None:
        lines.append(f"ended    {effect.ended_at.astimezone():%F %T}")
    if call is not None:
        lines.append(f"call     {_plain(str(call.tool))} by agent {_plain(call.agent)} for {_plain(call.user)}")
        lines += [] if call.arguments is None else [cut(json_lines(call.arguments))]
    if effect.error is not None:
        lines.append(f"failed   {_plain(effect.error.code)}: {_plain(effect.error.message)}")
    elif effect.state == "done":
        lines += ["gave", cut(json_lines(effect.result))]
    return lines


def _json(facts: Any) -> str:
    """JSON in ASCII: results may hold halves of characters, which no terminal takes."""
    return json.dumps(facts, indent=2, default=str)


def _plain(text: str) -> str:
    from blocks.plain_text import plain

    return plain(text)
