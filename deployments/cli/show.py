"""Results on the screen, or as JSON, or copied into a folder."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.markdown import Markdown
from rich.table import Table

if TYPE_CHECKING:
    from blocks.batch import BatchReport
    from blocks.job import JobResult

LINES_SHOWN = 12


def show_result(result: "JobResult", *, out: Path | None, as_json: bool) -> None:
    """Print a result: summary, start of the text, figures, and where the files are."""
    if out:
        copy_files(result, out)
    if as_json:
        typer.echo(result.model_dump_json(indent=2))
        return
    from blocks.job import job_folder
    from blocks.store import open_store
    from tasks.jobs.report import metrics_rows, summary_markdown

    console = Console()
    console.print(Markdown(summary_markdown(result)))
    text = _text_lines(result)
    if text:
        console.print("\n[bold]Text[/bold]" if console.is_terminal else "\nText")
        console.print("\n".join(text[:LINES_SHOWN]), markup=False, highlight=False)
        if len(text) > LINES_SHOWN:
            console.print(f"… {len(text) - LINES_SHOWN} more lines: c500 result {result.job_id} --file transcript.txt")
    table = Table("figure", "value", box=None)
    for row in metrics_rows(result):
        table.add_row(row["figure"], row["value"])
    console.print(table)
    place = str(out) if out else open_store().uri(job_folder(result.job_id))
    console.print(f"job {result.job_id} · {result.status} · files in {place}", markup=False, soft_wrap=True)


def _text_lines(result: "JobResult") -> list[str]:
    from blocks.store import open_store

    name = "transcript.txt"
    if name not in result.files:
        return []
    return open_store().read_bytes(result.files[name].key).decode().splitlines()


def show_batch(report: "BatchReport", *, out: Path | None, as_json: bool) -> None:
    """Print a batch report; with a folder, copy each job's files into a folder of its own there."""
    from blocks.store import open_store
    from tasks.jobs.publish import read_result
    from tasks.jobs.report import batch_markdown

    if out:
        for item in report.items:
            if item.job_id and (result := read_result(open_store(), item.job_id)):
                copy_files(result, out / item.job_id)
    if as_json:
        typer.echo(report.model_dump_json(indent=2))
        return
    Console().print(Markdown(batch_markdown(report)))
    typer.echo(f"report in {open_store().uri(f'batches/{report.batch_id}')}")


def copy_files(result: "JobResult", folder: Path) -> None:
    """Copy all files of a job except its audio into a folder, made when missing."""
    from blocks.errors import StoreFailed
    from blocks.job import job_folder
    from blocks.store import open_store

    files = open_store()
    wanted = {name: ref.key for name, ref in result.files.items() if not ref.media_type.startswith("audio/")}
    wanted.pop(result.source.key.rsplit("/", 1)[1] if result.source else "", None)
    wanted["result.json"] = f"{job_folder(result.job_id)}/result.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, key in wanted.items():
            with files.local(key) as path:
                shutil.copyfile(path, folder / name)
    except OSError as error:
        raise StoreFailed(
            f"cannot write to {folder}: {error.strerror or error}", fix="name another folder with --out"
        ) from error
