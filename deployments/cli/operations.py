"""`c500 operations`: the runs of operations flows."""

from typing import Annotated

import typer

from deployments.cli import app
from deployments.cli.output import Json, echo_json, local_time

MOST = 20


@app.command("operations")
def operations(
    most: Annotated[int, typer.Option(min=1, help="How many, the latest ones.")] = MOST,
    as_json: Json = False,
) -> None:
    """List runs of operations, the latest last; one that is at work or died has no end, and goes on with --resume."""
    from blocks.plain_text import plain
    from blocks.store import open_store
    from tasks.ops.run_records import RunRecords

    found = sorted(RunRecords(open_store()).every(), key=lambda one: one.begun_at)[-most:]
    if as_json:
        return echo_json(found)
    for one in found:
        ended = one.ended or "-"
        typer.echo(f"{one.run_id}  {local_time(one.begun_at)}  {ended:9}  {one.flow:20}  {plain(one.subject)}")
    if not found:
        typer.echo("no operation has run yet", err=True)
    return None
