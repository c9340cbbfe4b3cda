"""`c500 engines`, `c500 result`, `c500 doctor`: what is here, and is it well."""

import sys
from typing import Annotated

import typer

from deployments.cli import app


@app.command()
def engines() -> None:
    """List the engines: what is installed, what is missing and how to get it."""
    from blocks.diarisation import registry as diarisers
    from blocks.language import registry as language_engines
    from blocks.speech import registry as speech_engines

    kinds = (
        ("speech engines", speech_engines.entries()),
        ("diarisers", diarisers.entries()),
        ("language engines", language_engines.entries()),
    )
    for kind, entries in kinds:
        typer.echo(kind)
        for entry in entries:
            missing = entry.missing()
            state = "ready" if missing is None else f"missing: {missing}"
            typer.echo(f"  {entry.name:12} {entry.description}\n  {'':12} {state}")


@app.command()
def result(
    job: Annotated[str, typer.Argument(help="Job id, as `c500 process` prints it.")],
    file: Annotated[str | None, typer.Option(help="Print this file of the job, for instance transcript.srt.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Show the stored result of a job."""
    from blocks.errors import NotFound
    from blocks.store import open_store
    from deployments.cli.show import show_result
    from tasks.jobs.publish import read_result

    found = read_result(open_store(), job)
    if found is None:
        raise NotFound(f"there is no finished job {job}", fix="give the id that `c500 process` printed", field="JOB")
    if file is None:
        show_result(found, out=None, as_json=as_json)
        return
    if file == "result.json":
        typer.echo(found.model_dump_json(indent=2))
        return
    if file not in found.files:
        raise NotFound(
            f"job {job} has no file {file}",
            fix=f"choose one of {', '.join(sorted(found.files))}",
            field="--file",
        )
    sys.stdout.buffer.write(open_store().read_bytes(found.files[file].key))


def _indented(text: str) -> str:
    return text.replace("\n", f"\n     {'':16} ")


@app.command()
def doctor() -> None:
    """Check settings, store, engines and Prefect; exit 1 when something is wrong."""
    from deployments.doctor import examine

    findings = examine()
    for finding in findings:
        mark = "WARN" if finding.lacking else "ok  " if finding.good else "BAD "
        typer.echo(f"{mark} {finding.part:16} {_indented(finding.fact)}")
        if finding.fix:
            typer.echo(f"     {'':16} {_indented(finding.fix)}")
    if not all(finding.good for finding in findings):
        raise typer.Exit(1)
