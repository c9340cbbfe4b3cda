"""`c500 swarm`: one question about each row of a table, asked as often at once as the accounts allow."""

import getpass
import json
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deployments.cli import app

if TYPE_CHECKING:
    from rich.console import Console

    from tasks.swarm.job import SwarmJob
    from tasks.swarm.report import SwarmReport
    from tasks.swarm.tally import Tally

LINE_EVERY_S = 10.0
"""Without a terminal, a line of progress so often."""


@app.command()
def swarm(
    rows: Annotated[str, typer.Argument(help="CSV, JSONL, Parquet or XLSX file.")],
    output: Annotated[str, typer.Option(help="Where the answers go: .jsonl or .parquet; gone on with if it is there.")],
    prompt: Annotated[str | None, typer.Option(help="Jinja template; columns by name, as {{ text }}.")] = None,
    prompt_file: Annotated[Path | None, typer.Option(help="The same from a file.")] = None,
    schema: Annotated[Path | None, typer.Option(help="JSON Schema of the answers; without one they are texts.")] = None,
    model: Annotated[str | None, typer.Option(help="Model of accounts.yaml; by default by tier.")] = None,
    tier: Annotated[str | None, typer.Option(help="simple, moderate, complex or critical.")] = None,
    accounts: Annotated[list[str] | None, typer.Option(help="Only accounts of this label or name; repeatable.")] = None,
    concurrency: Annotated[int, typer.Option(help="Calls in flight at most.")] = 100,
    max_output_tokens: Annotated[int | None, typer.Option(help="Most tokens of an answer.")] = None,
    temperature: Annotated[float | None, typer.Option(help="0 to 2; by default the provider's.")] = None,
    keep: Annotated[str, typer.Option(help="Comma list of columns that go into the output too.")] = "",
    fallback: Annotated[
        Path | None, typer.Option(help="JSON file with a value for rows the model gives none for; see docs/swarm.md.")
    ] = None,
    user: Annotated[str | None, typer.Option(help="Whose budget it is; by default yours.")] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Do the failed rows again, only those.")] = False,
    deadline: Annotated[float | None, typer.Option(help="Seconds within which it ends, done or not.")] = None,
    shard_size: Annotated[int | None, typer.Option(help="Rows of a Prefect task; by default as the work asks.")] = None,
    workers: Annotated[int, typer.Option(help="Spread over so many runs on the service's workers.")] = 0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only estimate cost, time and the limit that binds.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON and nothing else.")] = False,
) -> None:
    """Ask a model about each row of a table; exit 1 when rows failed. The same command goes on after a crash."""
    asked: dict[str, Any] = {
        "source": str(Path(rows).absolute()),
        "prompt": _prompt(prompt, prompt_file),
        "output": str(Path(output).absolute()),
        "schema": _json_file(schema, "--schema"),
        "model": model,
        "tier": tier,
        "max_output_tokens": max_output_tokens,
        "temperature": temperature,
        "accounts": tuple(accounts or ()),
        "concurrency": concurrency,
        "user": user or getpass.getuser(),
        "keep": tuple(name.strip() for name in keep.split(",") if name.strip()),
        "fallback": _json_file(fallback, "--fallback"),
        "retry_failed": retry_failed,
        "deadline_s": deadline,
        "shard_size": shard_size,
        "workers": workers,
    }
    job = _check_before_start(asked)
    report = _rehearse(job) if dry_run else _run(asked, quiet=as_json)
    _show(report, as_json=as_json)
    if report.failed_in_all and not dry_run:
        raise typer.Exit(1)


def _check_before_start(asked: dict[str, Any]) -> "SwarmJob":
    """What is wrong with the options or the accounts should not wait for a server to start."""
    from blocks.accounts.file import read_accounts
    from blocks.accounts.routes import check_choice
    from blocks.settings import settings
    from tasks.swarm.job import swarm_job

    fields = {("answer_schema" if name == "schema" else name): value for name, value in asked.items()}
    accounts = read_accounts(settings().accounts_file.expanduser())
    job = swarm_job(**fields)
    check_choice(accounts, job.accounts, job.model, job.tier)
    return job


def _rehearse(job: "SwarmJob") -> "SwarmReport":
    """Without Prefect's server: nothing is asked, and nothing needs to be kept."""
    import asyncio

    from blocks.accounts.open import open_pool
    from tasks.swarm.rehearse import rehearse

    async def run() -> "SwarmReport":
        async with open_pool() as pool:
            return await rehearse(job, pool)

    return asyncio.run(run())


def _run(asked: dict[str, Any], *, quiet: bool) -> "SwarmReport":
    from rich.console import Console

    from deployments.cli.session import run_flow
    from tasks.swarm.tally import watcher

    def start() -> Any:
        from flows import swarm

        return swarm(**asked)

    console = Console(stderr=True, quiet=quiet)
    with (_live if console.is_terminal else _lines)(console) as show:
        token = watcher.set(show)
        try:
            return run_flow(start, quiet=True)
        finally:
            watcher.reset(token)


@contextmanager
def _live(console: "Console") -> "Generator[Callable[[Tally], None]]":
    """One line that is rewritten each second."""
    from rich.live import Live

    with Live("starting …", console=console, refresh_per_second=4) as live:
        yield lambda tally: live.update(_line(tally))


@contextmanager
def _lines(console: "Console") -> "Generator[Callable[[Tally], None]]":
    """A line every ten seconds."""
    said = time.monotonic()

    def show(tally: "Tally") -> None:
        nonlocal said
        if time.monotonic() - said >= LINE_EVERY_S:
            said = time.monotonic()
            console.print(_line(tally), markup=False, highlight=False, soft_wrap=True)

    yield show


def _line(tally: "Tally") -> str:
    from tasks.swarm.pace import pace

    failed = f", {tally.failed:,} failed" if tally.failed else ""
    done = f"{tally.ended:,} of {tally.due:,} ({tally.share:.1%}){failed}"
    return f"{done} · {pace(tally)} · ${tally.cost_usd:.4f}"


def _prompt(text: str | None, path: Path | None) -> str:
    from blocks.errors import BadInput

    if (text is None) == (path is None):
        raise BadInput("give either --prompt or --prompt-file", fix="as --prompt 'Judge: {{ text }}'", field="--prompt")
    return text if text is not None else _read(path, "--prompt-file")


def _json_file(path: Path | None, option: str) -> dict[str, Any] | None:
    from blocks.errors import BadInput

    if path is None:
        return None
    try:
        content: Any = json.loads(_read(path, option))
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path} is no JSON: {error}", fix="correct the file", field=option) from error
    if not isinstance(content, dict):
        raise BadInput(f"{path} holds no object", fix="correct the file", field=option)
    return content  # pyright: ignore[reportUnknownVariableType]


def _read(path: Path | None, option: str) -> str:
    from blocks.errors import BadInput, NotFound

    try:
        return path.read_text(encoding="utf-8-sig") if path else ""
    except (FileNotFoundError, IsADirectoryError) as error:
        raise NotFound(f"there is no file {path}", fix="check the path", field=option) from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} is not UTF-8 text", fix="convert it, for instance with iconv", field=option) from error


def _show(report: "SwarmReport", *, as_json: bool) -> None:
    if as_json:
        typer.echo(report.model_dump_json(indent=2))
        return
    from rich.console import Console
    from rich.markdown import Markdown

    from tasks.swarm.report import report_markdown

    Console().print(Markdown(report_markdown(report)))
