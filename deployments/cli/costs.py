"""`c500 costs`: what LLM calls cost, by the books."""

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deployments.cli import app
from deployments.cli.output import Json, echo_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

    from blocks.accounts.costs import By, Sum

FIGURES = "calls", "failed", "tokens sent", "tokens answered", "tokens cached", "mean ms", "cost", "of it estimated"
"""The last columns."""

SPAN = re.compile(r"(\d{1,5})([mhd])")


@app.command()
def costs(
    by: Annotated[
        str, typer.Option(help="Comma list of account, model, user, session, job, day, outcome; empty for one sum.")
    ] = "account,model",
    since: Annotated[
        str, typer.Option(help="30m, 24h, 7d (whole days, UTC, with today) or a date as 2026-11-01.")
    ] = "7d",
    anomalies: Annotated[bool, typer.Option("--anomalies", help="Show what is unusual about today instead.")] = False,
    as_json: Json = False,
) -> None:
    """Show calls, tokens and costs of the LLM accounts, or what is unusual about today's."""
    from blocks.accounts.costs import sums

    if anomalies:
        _show_anomalies(as_json=as_json)
        return
    rows = sums(books(), _names(by), moment_of(since, datetime.now(UTC)).timestamp())
    if as_json:
        echo_json(rows)
        return
    for line in _lines(rows):
        typer.echo(line)


def books() -> "Engine":
    """The database of the books."""
    from blocks.accounts.books import Books
    from blocks.accounts.open import with_home
    from blocks.settings import settings

    return Books(with_home(settings().books_url)).engine()


def moment_of(text: str, now: datetime) -> datetime:
    """When a period began: `30m`, `24h`, `7d`, or a day as `2026-11-01`; days are UTC's."""
    from blocks.errors import BadInput

    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    try:
        if found := SPAN.fullmatch(text):
            number, unit = int(found[1]), found[2]
            if unit == "d":
                return midnight - timedelta(days=max(0, number - 1))
            return now - (timedelta(minutes=number) if unit == "m" else timedelta(hours=number))
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise BadInput(
            f"{text!r} is no period", fix="use 30m, 24h, 7d or a date as 2026-11-01", field="--since"
        ) from error


def _names(text: str) -> "list[By]":
    from blocks.accounts.costs import BY
    from blocks.errors import BadInput

    names = [name.strip() for name in text.split(",") if name.strip()]
    if unknown := [name for name in names if name not in BY]:
        raise BadInput(f"costs are not kept by {unknown[0]!r}", fix=f"use {', '.join(BY)}", field="--by")
    return [name for name in BY if name in names]


def _show_anomalies(*, as_json: bool) -> None:
    from blocks.accounts.anomalies import anomalies

    found = anomalies(books())
    if as_json:
        echo_json(found)
        return
    for one in found:
        typer.echo(one.message)
    if not found:
        typer.echo("nothing unusual today")


def _lines(rows: "list[Sum]") -> "Iterator[str]":
    heads = [*(rows[0].group if rows else ()), *FIGURES]
    cells = [[*_group(row), *_figures(row)] for row in rows]
    if len(rows) > 1:
        names = ("calls", "failed", "cost_usd", "estimated_usd")
        total = {name: sum(getattr(row, name) for row in rows) for name in names}
        dollars = [f"${total[name]:.4f}" for name in names[2:]]
        blanks = ["" for _ in rows[0].group]
        blanks[:1] = ["total"]
        cells.append([*blanks, f"{total['calls']}", f"{total['failed']}", "", "", "", "", *dollars])
    yield from aligned([heads, *cells], left=len(heads) - len(FIGURES))
    if not rows:
        yield "no calls in that period"


def _group(row: "Sum") -> list[str]:
    return [value or "-" for value in row.group.values()]


def _figures(row: "Sum") -> list[str]:
    counts = (row.calls, row.failed, row.prompt_tokens, row.completion_tokens, row.cached_tokens)
    latency = "-" if row.latency_ms is None else f"{row.latency_ms:.0f}"
    return [*map(str, counts), latency, f"${row.cost_usd:.4f}", f"${row.estimated_usd:.4f}"]


def aligned(rows: "list[list[str]]", left: int) -> "Iterator[str]":
    """Rows of cells as lines, the first `left` columns to the left and the others to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells: list[Any] = [
            cell.ljust(width) if column < left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()
