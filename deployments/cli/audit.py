"""`c500 audit`: what agents did and why, and whether its record is whole."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from deployments.cli import app
from deployments.cli.output import Json, echo_json

if TYPE_CHECKING:
    from blocks.audit import AuditVerdict, Head
    from blocks.audit.places import AuditPlaces

commands = typer.Typer(help="The record of what agents did and why.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(commands, name="audit")

AnchorOption = Annotated[
    list[str] | None,
    typer.Option("--anchor", metavar="SEQ:HASH", help="A head the log has had, as the Prefect UI shows; repeatable."),
]


@commands.command("verify")
def verify(anchor: AnchorOption = None, as_json: Json = False) -> None:
    """Look at every record: exit 1 when one was changed, left out, put in, swapped or cut off."""
    verdict = _verdict(anchor or [])
    if as_json:
        echo_json(verdict)
    else:
        for fault in verdict.faults:
            typer.echo(str(fault))
        typer.echo(f"{verdict.summary}; head {verdict.head}")
    if not verdict.ok:
        raise typer.Exit(1)


@commands.command("show")
def show(
    run: Annotated[str | None, typer.Option("--run", metavar="ID", help="Only of this run.")] = None,
    since: Annotated[
        str | None, typer.Option(help="30m, 24h, 7d (whole days, UTC, with today) or a date as 2026-11-01.")
    ] = None,
    phase: Annotated[str, typer.Option(help="Comma list, as decided,asked,answered; empty for all.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, a line a record.")] = False,
) -> None:
    """Show records, a line each; exit 1 when the log is not as it was written."""
    from blocks.audit.log import records
    from blocks.audit.story import one_line
    from deployments.cli.costs import moment_of

    phases, start = _phases(phase), moment_of(since, datetime.now(UTC)) if since else None
    verdict = _verdict([])
    for record in records(_places().folder, run, start):
        entry = record.entry
        if phases and entry.phase not in phases:
            continue
        if as_json:
            typer.echo(record.model_dump_json(exclude_none=True))
            continue
        facts = (entry.tool, entry.decision, entry.outcome or entry.trigger)
        about = " ".join(one_line(fact, 80) for fact in facts if fact)
        typer.echo(
            f"{record.at:%Y-%m-%d %H:%M:%S}  {one_line(entry.run_id, 40):16}  {entry.phase:11}  {about}".rstrip()
        )
    _exit_if_broken(verdict)


@commands.command("why")
def why(run: Annotated[str, typer.Argument(metavar="RUN", help="Id of the run.")], as_json: Json = False) -> None:
    """Tell what a run did and why; exit 1 when the log is not as it was written."""
    from blocks.audit.log import records
    from blocks.audit.story import story
    from blocks.errors import NotFound

    verdict = _verdict([])
    found = list(records(_places().folder, run))
    if not found and verdict.ok:
        raise NotFound(f"the audit log has no run {run}", fix="see `c500 audit show`", field="RUN")
    if as_json:
        echo_json([record.model_dump(mode="json", exclude_none=True) for record in found])
    else:
        for line in story(found):
            typer.echo(line)
    _exit_if_broken(verdict)


def _places() -> "AuditPlaces":
    from blocks.audit.places import AuditPlaces
    from blocks.settings import settings

    return AuditPlaces(settings().agents_home)


def _verdict(anchors: list[str]) -> "AuditVerdict":
    """What came of looking at the log, with the anchors of this machine and those given."""
    from blocks.audit import Anchors, verify
    from blocks.audit.key import read_key

    places = _places()
    given = [_head(text) for text in anchors]
    return verify(places.folder, read_key(places.key), [*Anchors(places.anchors).read(), *given])


def _head(text: str) -> "Head":
    from pydantic import ValidationError

    from blocks.audit import Head
    from blocks.errors import BadInput

    seq, _, digest = text.partition(":")
    try:
        return Head.model_validate({"seq": seq, "hash": digest})
    except ValidationError:
        raise BadInput(
            f"{text!r} is no head", fix="give its number and hash, as 12:3f…, 64 digits", field="--anchor"
        ) from None


def _phases(text: str) -> set[str]:
    from blocks.audit.entry import PHASES
    from blocks.errors import BadInput

    wanted = {part.strip() for part in text.split(",") if part.strip()}
    if unknown := wanted - set(PHASES):
        raise BadInput(f"there is no phase {min(unknown)!r}", fix=f"use {', '.join(PHASES)}", field="--phase")
    return wanted


def _exit_if_broken(verdict: "AuditVerdict") -> None:
    if verdict.ok:
        return
    typer.echo(f"the log is not as it was written: {verdict.faults[0]}; see `c500 audit verify`", err=True)
    raise typer.Exit(1)
