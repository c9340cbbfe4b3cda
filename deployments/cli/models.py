"""`c500 models`: fetch model weights, list them, check them."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from deployments.cli import app

if TYPE_CHECKING:
    from pathlib import Path

    from blocks.models.manifest import Manifest
    from blocks.progress import OnProgress

commands = typer.Typer(help="Model weights on this machine.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(commands, name="models")

Names = Annotated[list[str] | None, typer.Argument(metavar="NAME", help="Short names or hub names (org/name).")]


@commands.command("pull")
def pull_some(
    names: Names = None,
    revision: Annotated[str, typer.Option(help="Branch, tag or commit.")] = "main",
    mirror: Annotated[
        str | None,
        typer.Option(help="URL of a hub-compatible server, or a folder; default is MODELS_MIRROR; empty is the hub."),
    ] = None,
) -> None:
    """Fetch models into MODELS_DIR; without a name those that the settings name."""
    from blocks.errors import C500Error
    from blocks.models.locate import folder_of
    from blocks.models.pull import pull
    from blocks.settings import settings

    source = settings().models_mirror if mirror is None else mirror
    failed: list[tuple[str, C500Error]] = []
    for name in names or _named_and_pullable():
        try:
            with _bar(name) as on_progress:
                manifest = pull(name, revision=revision, mirror=source, on_progress=on_progress)
        except C500Error as error:
            failed.append((name, error))
        else:
            typer.echo(f"{name}: {_facts(manifest)}, in {folder_of(manifest.repo)}")
    for name, error in failed if len(failed) > 1 else []:
        typer.echo(f"{name}: {error.message}", err=True)
    if failed:
        raise failed[0][1]


@commands.command("list")
def list_all() -> None:
    """List the models on this machine, and those that the settings name but are not here."""
    from blocks.models.catalogue import WHISPER_VARIANTS, named_by_settings
    from blocks.models.locate import models_dir, pulled_folders

    typer.echo(f"in {models_dir()}")
    for folder in pulled_folders():
        _list_one(folder)
    typer.echo("named by the settings")
    for named in named_by_settings():
        typer.echo(f"  {named.setting:24} {named.name:46} {_state(named.name)}")
    typer.echo(f"Whisper variants: {', '.join(WHISPER_VARIANTS)}, erax-wow-turbo; any other by its hub name (org/name)")


@commands.command("check")
def check(names: Names = None) -> None:
    """Read every file of the models and compare its hash; exit 1 when something is wrong."""
    from blocks.models.locate import locate, models_dir, pulled_folders

    chosen = [(name, locate(name).folder) for name in names or ()]
    if not names:
        chosen = [(folder.name.replace("--", "/"), folder) for folder in pulled_folders()]
    if not chosen:
        typer.echo(f"no models in {models_dir()}")
    bad = [name for name, folder in chosen if not _is_well(name, folder)]
    if bad:
        raise typer.Exit(1)


def _state(name: str) -> str:
    from blocks.errors import StoreFailed
    from blocks.models.locate import find, own_folder

    if own_folder(name):
        return "a folder of your own"
    try:
        if find(name):
            return "here"
    except StoreFailed as error:
        return f"{error.message}; fix: {error.fix}"
    return f"absent: c500 models pull {name}" if _on_hub(name) else "absent: there is no such folder"


def _is_well(name: str, folder: "Path") -> bool:
    """Say what is wrong with a model, and how to put it right."""
    from blocks.errors import StoreFailed
    from blocks.models.locate import models_dir
    from blocks.models.manifest import read_manifest

    try:
        manifest = read_manifest(folder)
        if manifest is None and folder.parent != models_dir():
            typer.echo(f"{name}: a folder of your own, without a manifest to compare with")
            return True
        problems = manifest.verify(folder) if manifest else ["the pull is incomplete: it has no manifest"]
    except StoreFailed as error:
        problems = [error.message]
    if not problems:
        typer.echo(f"{name}: all right")
        return True
    for problem in problems:
        typer.echo(f"{name}: {problem}")
    typer.echo(f"fix: {_mend(name, folder)}")
    return False


def _mend(name: str, folder: "Path") -> str:
    """The command that puts a model right; a pull fills only folders in MODELS_DIR."""
    from blocks.models.locate import models_dir

    if folder.parent != models_dir():
        return f"replace in {folder} what is wrong; a pull does not write outside MODELS_DIR"
    return f"c500 models pull {name if _on_hub(name) else folder.name.replace('--', '/')}"


def _list_one(folder: "Path") -> None:
    from blocks.errors import StoreFailed
    from blocks.models.catalogue import lookup, settings_that_name
    from blocks.models.manifest import read_manifest

    hub_name = folder.name.replace("--", "/")
    try:
        manifest = read_manifest(folder)
    except StoreFailed as error:
        typer.echo(f"  {hub_name:46} {error.message}; fix: {error.fix}")
        return
    if manifest is None:
        typer.echo(f"  {hub_name:46} incomplete; fix: c500 models pull {hub_name}")
        return
    used = f"; used by {', '.join(users)}" if (users := settings_that_name(manifest.repo)) else ""
    short = f" ({manifest.name})" if manifest.name != manifest.repo else ""
    typer.echo(f"  {manifest.repo + short:46} {_facts(manifest)}; {lookup(manifest.repo).purpose or 'other'}{used}")


def _named_and_pullable() -> list[str]:
    """Each model that the settings name and the hub may have, once."""
    from blocks.models.catalogue import lookup, named_by_settings
    from blocks.models.locate import own_folder

    names: dict[str, str] = {}
    for named in named_by_settings():
        if own_folder(named.name) is None and _on_hub(named.name):
            names.setdefault(lookup(named.name).repo, named.name)
        else:
            typer.echo(f"{named.setting} names the folder {named.name}: nothing to pull", err=True)
    return list(names.values())


def _on_hub(name: str) -> bool:
    from blocks.errors import NotFound
    from blocks.models.catalogue import lookup

    try:
        return bool(lookup(name))
    except NotFound:
        return False


def _facts(manifest: "Manifest") -> str:
    size = manifest.size_bytes
    shown = f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
    return f"revision {manifest.revision[:12]}, {len(manifest.files)} files, {shown}"


@contextmanager
def _bar(name: str) -> "Generator[OnProgress]":
    """A bar on a terminal, nothing elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        task = bars.add_task(name, total=1.0)
        yield lambda share: bars.update(task, completed=share)
