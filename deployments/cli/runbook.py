"""`c500 runbook`: carry out runbooks, check them, see what became of a run."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deployments.cli import app
from deployments.cli.operations_options import (
    ApprovalS,
    DryRun,
    Profile,
    Resume,
    Unattended,
    User,
    begun,
    run_operation,
)
from deployments.cli.output import Json, echo_json, local_time

if TYPE_CHECKING:
    from tasks.ops.runbook.alert import Alert
    from tasks.ops.runbook.checked import Ready
    from tasks.ops.runbook.record import RunbookRun

EXIT = {"done": 0, "planned": 0, "refused": 3, "in_doubt": 3}

runbook = typer.Typer(help="Runbooks: steps for known troubles, carried out up to where a person must decide.")
app.add_typer(runbook, name="runbook", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Its name in RUNBOOKS_DIR, or the path of its file.")]


@runbook.command("run")
def run(
    name: Name = "",
    parameter: Annotated[list[str] | None, typer.Option("--parameter", "-p", help="NAME=VALUE; repeatable.")] = None,
    alert: Annotated[Path | None, typer.Option(help="JSON of the alert, as Alertmanager sends it.")] = None,
    profile: Profile = None,
    user: User = None,
    approval_s: ApprovalS = 3600,
    dry_run: DryRun = False,
    unattended: Unattended = False,
    resume: Resume = None,
    as_json: Json = False,
) -> None:
    """Carry a runbook out. Exit 1 where it failed, 3 where it was refused or stands in doubt."""
    options = begun(
        "run-runbook",
        dry_run=dry_run,
        profile=profile,
        user=user,
        approval_s=approval_s,
        unattended=unattended,
        resume=resume,
    )
    given, about = _given(parameter or []), None if alert is None else _alert(alert)
    book = _checked_before_start(name, given, about, resume)

    def start() -> Any:
        from flows.runbook import run_runbook

        return run_runbook(name, given, about, options)

    result = run_operation(start, quiet=as_json)
    _show(result, book, as_json=as_json)
    if code := EXIT.get(result.status, 1):
        raise typer.Exit(code)


@runbook.command("check")
def check(names: Annotated[list[str] | None, typer.Argument(help="Names or files; by default all.")] = None) -> None:
    """Check runbooks as a run does before its first step: all faults, with their lines."""
    from blocks.errors import BadInput
    from blocks.settings import settings
    from tasks.ops.runbook.reading import path_of, runbook_files

    folder = settings().runbooks_dir
    paths = [path_of(folder, name) for name in names or ()] or list(runbook_files(folder))
    if not paths:
        state = "holds none" if folder.expanduser().is_dir() else "is missing"
        raise BadInput(
            f"there is no runbook to check: RUNBOOKS_DIR ({folder}) {state}",
            fix="write one there, set RUNBOOKS_DIR, or name files",
            field="RUNBOOKS_DIR",
        )
    wrong: list[BadInput] = []
    for path in paths:
        try:
            book = _ready(path)
            typer.echo(f"{path}: ok, {len(book.sources)} runbook{'s' if len(book.sources) > 1 else ''}")
        except BadInput as error:
            wrong.append(error)
            typer.echo("\n".join(error.details.get("problems", [error.message])), err=True)
    if wrong:
        raise typer.Exit(2)


@runbook.command("list")
def list_(
    alert: Annotated[Path | None, typer.Option(help="Only those for this alert: a JSON file.")] = None,
    runs: Annotated[bool, typer.Option("--runs", help="The runs there were, in place of the runbooks.")] = False,
    as_json: Json = False,
) -> None:
    """Show the runbooks there are, or those for an alert, or the runs there were."""
    from blocks.settings import settings
    from tasks.ops.runbook.alert import matching
    from tasks.ops.runbook.reading import readable

    if runs:
        _list_runs(as_json=as_json)
        return
    sources, wrong = readable(settings().runbooks_dir)
    books = [source.runbook for source in sources]
    if alert is not None:
        books = matching(books, _alert(alert))
    if as_json:
        echo_json([{"name": one.name, "description": one.description} for one in books])
    else:
        for one in books:
            typer.echo(f"{one.name:28} {one.description.splitlines()[0]}")
    for error in wrong:
        typer.echo(f"cannot be used: {error.message.splitlines()[0]}", err=True)


@runbook.command("show")
def show(
    name: Annotated[str, typer.Argument(help="A runbook, or a run by its id.")],
    as_json: Json = False,
) -> None:
    """Show a runbook, or how a run of one stands."""
    from blocks.errors import BadInput, NotFound
    from blocks.settings import settings
    from blocks.store import open_store
    from tasks.ops.runbook.reading import path_of
    from tasks.ops.runbook.record import runbook_runs

    try:
        found = runbook_runs(open_store()).find(name)
    except BadInput:  # what is no key of the store is no run
        found = None
    if found is not None:
        _show(found, _ready(Path(found.path)), as_json=as_json)
        return
    try:
        path = path_of(settings().runbooks_dir, name)
    except NotFound as error:
        raise NotFound(
            f"{error.message}, and no run {name}", fix=f"{error.fix}; runs: `c500 runbook list --runs`", field="name"
        ) from None
    book = _ready(path).runbook
    if as_json:
        echo_json(book.model_dump(mode="json", by_alias=True))
    else:
        typer.echo(path.read_text())


def _given(pairs: list[str]) -> dict[str, str]:
    from blocks.errors import BadInput

    if wrong := [pair for pair in pairs if "=" not in pair]:
        raise BadInput(f"{wrong[0]!r:.60} is no NAME=VALUE", fix="write -p NAME=VALUE", field="--parameter")
    return dict(pair.split("=", 1) for pair in pairs)


def _alert(path: Path) -> "Alert":
    from pydantic import ValidationError

    from blocks.errors import BadInput
    from deployments.cli.given import json_object, text_of
    from tasks.ops.runbook.alert import alert_of

    try:
        return alert_of(json_object(text_of(path, "--alert"), "--alert"))
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, fault["loc"]))
        raise BadInput(
            f"--alert: {where}: {fault['msg']}", fix="see docs/operations/runbooks.md", field="--alert"
        ) from None


def _ready(path: Path) -> "Ready":
    from blocks.hosts import read_inventory
    from blocks.settings import settings
    from tasks.ops.runbook.checked import ready

    chosen = settings()
    return ready(path, read_inventory(), metrics=chosen.prometheus_url is not None)


def _checked_before_start(name: str, given: dict[str, str], alert: "Alert | None", resume: str | None) -> "Ready":
    """What is wrong should not wait for a server to start."""
    from blocks.errors import NotFound
    from blocks.hosts import read_inventory
    from blocks.settings import settings
    from blocks.store import open_store
    from tasks.ops.runbook.begin import begin

    chosen = settings()
    begun = begin(
        name,
        given,
        alert,
        folder=chosen.runbooks_dir,
        inventory=read_inventory(),
        files=open_store(),
        run_id=resume,
        metrics=chosen.prometheus_url is not None,
    )
    if resume is not None and begun.earlier is None:
        raise NotFound(f"there is no run {resume}", fix="see `c500 runbook list --runs`", field="--resume")
    return begun.ready


def _list_runs(*, as_json: bool) -> None:
    from blocks.store import open_store
    from tasks.ops.runbook.record import runbook_runs

    runs = runbook_runs(open_store())
    found = sorted((runs.read(name) for name in runs.names()), key=lambda one: one.began_at)
    if as_json:
        echo_json(found)
        return
    for one in found:
        typer.echo(f"{one.run_id}  {local_time(one.began_at)}  {one.status:9} {one.runbook}")


def _show(result: "RunbookRun", book: "Ready", *, as_json: bool) -> None:
    if as_json:
        echo_json(result)
        return
    from rich.console import Console
    from rich.markdown import Markdown

    from tasks.ops.runbook.picture import picture

    Console().print(Markdown(picture(result, book)))
    if not result.ok and result.status in ("running", "in_doubt"):
        typer.echo(f"go on with: c500 runbook run --resume {result.run_id}", err=True)
