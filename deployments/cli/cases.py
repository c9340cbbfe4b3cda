"""`c500 cases`: what was broken before, why, and what helped."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, cast

import typer

from deployments.cli import app
from deployments.cli.output import Json, echo_json

if TYPE_CHECKING:
    from tasks.ops.cases.case import Case
    from tasks.ops.cases.library import CaseLibrary

R = TypeVar("R")

commands = typer.Typer(
    help="What was broken before, why, and what helped.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(commands, name="cases")

CaseIdArgument = Annotated[str, typer.Argument(metavar="ID", help="Id of a case; see `c500 cases list`.")]
WIDTH = 160


@commands.command("add")
def add(
    file: Annotated[Path, typer.Argument(help="The case, YAML or JSON; see docs/operations/incidents.md.")],
    as_json: Json = False,
) -> None:
    """Put a case into the library; one with the same incident, or of the same words, is replaced."""
    from datetime import UTC, datetime

    from blocks.approvals import login_name
    from blocks.redact import default_redactor
    from tasks.ops.cases.case import case_of, read_case

    case = case_of(read_case(file), added_at=datetime.now(UTC), added_by=login_name(), redactor=default_redactor())

    async def put(library: "CaseLibrary") -> "Case":
        return library.put(case)

    kept = _with(put)
    if as_json:
        echo_json(kept)
    else:
        typer.echo(kept.case_id)


@commands.command("search")
def search(
    text: Annotated[str, typer.Argument(help="What you see, in words.")],
    most: Annotated[int, typer.Option(min=1, max=100, help="How many at most.")] = 5,
    as_json: Json = False,
) -> None:
    """Find cases that are like what you see, best first."""
    from blocks.plain_text import plain

    async def look(library: "CaseLibrary"):  # noqa: ANN202 - what `search` gives
        return await library.search(text, most=most), library.unread

    found, unread = _with(look)
    if as_json:
        echo_json(found)
        return
    for one in found:
        typer.echo(plain(f"{one.case.case_id}  {one.similarity:4.0%}  {one.case.title}")[:WIDTH])
    for why in unread:
        typer.echo(plain(why), err=True)
    if not found:
        typer.echo("there are no such cases", err=True)


@commands.command("list")
def list_(as_json: Json = False) -> None:
    """List all cases."""
    from blocks.plain_text import plain

    found = _with(_every)
    if as_json:
        echo_json(found)
        return
    for one in found:
        typer.echo(plain(f"{one.case_id}  {', '.join(one.services)}  {one.title}")[:WIDTH])
    if not found:
        typer.echo("there are no cases", err=True)


@commands.command("show")
def show(case_id: CaseIdArgument, as_json: Json = False) -> None:
    """Show a case."""
    from blocks.plain_text import plain

    async def read(library: "CaseLibrary") -> "Case":
        return library.read(case_id)

    case = _with(read)
    if as_json:
        echo_json(case)
        return
    facts: dict[str, Any] = case.model_dump(mode="json")
    for name, value in facts.items():
        text = ", ".join(map(str, cast("list[Any]", value))) if isinstance(value, list) else str(value or "–")
        for line in text.split("\n"):
            typer.echo(plain(f"{name:13} {line}"))


@commands.command("export")
def export(
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File; by default standard output.")] = None,
) -> None:
    """Give all cases, a line of JSON each."""
    from blocks.whole_file import write_whole

    text = "".join(f"{one.model_dump_json()}\n" for one in _with(_every))
    if output is None:
        typer.echo(text, nl=False)
    else:
        write_whole(output, text.encode())


@commands.command("remove")
def remove(case_id: CaseIdArgument) -> None:
    """Take a case out of the library for good."""
    _with(lambda library: library.remove(case_id))


async def _every(library: "CaseLibrary") -> "list[Case]":
    from blocks.plain_text import plain

    found = list(library.every())
    for why in library.unread:
        typer.echo(plain(why), err=True)
    return found


def _with(work: "Callable[[CaseLibrary], Awaitable[R]]") -> R:
    from tasks.ops.cases.library import open_library

    async def within() -> R:
        library = open_library()
        try:
            return await work(library)
        finally:
            library.close()

    return asyncio.run(within())
