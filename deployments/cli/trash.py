"""`c500 trash`: what agents have deleted, had back or deleted for good."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from deployments.cli import app
from deployments.cli.given import whole_id
from deployments.cli.output import Json

if TYPE_CHECKING:
    from blocks.trash import Trash, Trashed

commands = typer.Typer(help="What agents have deleted.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(commands, name="trash")

DAY_S = 86_400.0


@commands.command("list")
def list_all(as_json: Json = False) -> None:
    """List what is in the trash, newest first: its id, when it was deleted, what it is and where it was."""
    found = _trash().list()
    if as_json:
        typer.echo(_json(found))
        return
    for one in found:
        typer.echo(_line(one))
    if not found:
        typer.echo("the trash is empty", err=True)


@commands.command("restore")
def restore(
    trash_id: Annotated[str, typer.Argument(metavar="ID", help="Id of a deleted thing, or how it begins.")],
    as_json: Json = False,
) -> None:
    """Put something back where it was; what has taken its place there is not overwritten."""
    from blocks.plain_text import plain

    trash = _trash()
    restored = trash.restore(whole_id(trash_id, (one.trash_id for one in trash.list())))
    told = f"{plain(restored.name)} is back in {plain(restored.root)}"
    typer.echo(restored.model_dump_json(indent=2) if as_json else told)


@commands.command("purge")
def purge(
    older_than_days: Annotated[
        float | None,
        typer.Option(min=0, help="Only what was deleted longer ago; by default TRASH_DAYS.", show_default=False),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Delete for good what has been in the trash for long; it cannot be had back."""
    from datetime import UTC, datetime, timedelta

    from blocks.settings import settings

    trash = _trash()
    older_than_s = (settings().trash_days if older_than_days is None else older_than_days) * DAY_S
    before = datetime.now(UTC) - timedelta(seconds=older_than_s)
    due = [one for one in trash.list() if one.at < before]
    if due and not yes:
        size_bytes = sum(one.size_bytes for one in due)
        typer.confirm(f"delete {len(due)} things, {size_bytes:,} bytes, for good?", abort=True, err=True)
    gone = trash.purge((datetime.now(UTC) - before).total_seconds()) if due else ()
    _tell(gone, as_json=as_json)


def _tell(gone: "tuple[Trashed, ...]", *, as_json: bool) -> None:
    if as_json:
        typer.echo(_json(gone))
        return
    for one in gone:
        typer.echo(_line(one))
    typer.echo(f"{len(gone)} things, {sum(one.size_bytes for one in gone):,} bytes, are gone", err=True)


def _trash() -> "Trash":
    from blocks.settings import settings
    from blocks.trash import Trash

    return Trash(settings().agents_home / "trash")


def _json(found: "tuple[Trashed, ...]") -> str:
    return json.dumps([one.model_dump(mode="json") for one in found], indent=2, ensure_ascii=False)


def _line(one: "Trashed") -> str:
    from blocks.plain_text import plain

    what = f"{one.kind:6} {one.files:6} files {one.size_bytes:13,} bytes"
    return f"{one.trash_id}  {one.at.astimezone():%Y-%m-%d %H:%M}  {what}  {plain(one.name)}  in {plain(one.root)}"
