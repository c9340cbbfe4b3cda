"""The source `changes`: commits of the services' repositories, and what operations flows did lately."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, cast

from blocks.errors import NotFound
from blocks.progress import in_thread
from blocks.store.files import Files
from tasks.ops.incident.context import Finds
from tasks.ops.incident.logs import named
from tasks.ops.incident.records import Change, changes_told
from tasks.ops.incident.scene import CHANGES_BEFORE, Scene
from tasks.ops.incident.services import Repository

MOST_COMMITS = 30
FIELD, RECORD = "\x1f", "\x1e"
FORMAT = "%H%x1f%ct%x1f%an%x1f%s%x1e"

OPERATIONS = "operations/"
NO_CHANGES = ("capacity", "cases", "changes", "ci", "drift", "fixes", "incidents", "locks", "logs", "runs")
"""Folders of the store whose records change nothing outside."""
MOST_RECORDS = 20_000
"""Of the others, so many are looked at."""
RECORD_NAMES = ("manifest.json", "report.json", "result.json", "record.json")


async def changes(scene: Scene, finds: Finds) -> None:
    """Look what was changed in the day before, newest first."""
    places = [(name, repository) for name, one in scene.known.items() for repository in one.repositories]
    if not places:
        finds.gap("", f"the services file names no repositories for {named(scene.incident.services)}")
    await asyncio.gather(
        *(finds.look(f"{place.path} of {name}", _commits(scene, finds, name, place)) for name, place in places),
        finds.look("the store's records", _recorded(scene, finds)),
    )


async def _commits(scene: Scene, finds: Finds, service: str, place: Repository) -> None:
    since = int((scene.incident.began_at - CHANGES_BEFORE).timestamp())
    # Named, so that a repository of another user is read, whatever its own configuration would have git run.
    argv = ["git", "-c", f"safe.directory={place.path}", "-c", "core.fsmonitor=false", "-C", place.path, "log"]
    argv += [f"--since=@{since}", f"--max-count={MOST_COMMITS}", "--no-show-signature", f"--format={FORMAT}"]
    result = await scene.look(f"{place.path} of {service}", place.host, [*argv, "--", *place.paths])
    for record in result.stdout.split(RECORD):
        parts = record.strip("\n").split(FIELD)
        if len(parts) != 4 or not parts[1].isdigit():
            continue
        commit, at, author, subject = parts
        finds.fact(
            "commit",
            f"{subject} ({commit[:10]})",
            f"by {author} in {place.path}",
            at=datetime.fromtimestamp(int(at), UTC),
            service=service,
            commit=commit,
            author=author,
        )


async def _recorded(scene: Scene, finds: Finds) -> None:
    since, until = scene.incident.began_at - CHANGES_BEFORE, scene.now()
    records, left_out = await in_thread(records_since, scene.files, since, until)
    if left_out:
        finds.gap("the store's records", f"{left_out} of them were not looked at")
    found = [one for at, key, content in records for one in _told(at, key, content) if since <= one.at <= until]
    names = scene.names
    # Those that are about it first: of too many facts the rest is left out.
    for one in sorted(found, key=lambda one: (one.is_about(names), one.at), reverse=True):
        finds.fact("deployment", one.title, at=one.at, service=one.service, related=one.is_about(names))


def _told(at: datetime, key: str, content: dict[str, Any]) -> Iterator[Change]:
    kind, _, rest = key.removeprefix(OPERATIONS).partition("/")
    return changes_told(at, kind, rest.rpartition("/")[0], content)


def records_since(
    files: Files, since: datetime, until: datetime
) -> tuple[list[tuple[datetime, str, dict[str, Any]]], int]:
    """What operations flows have written into the store since a moment, newest first: when, key, content.

    And how many records there are that were not looked at.
    """
    keys = [key for key in files.list(OPERATIONS) if _is_record(key)]
    found: list[tuple[datetime, str, dict[str, Any]]] = []
    for key in keys[:MOST_RECORDS]:
        with suppress(NotFound):  # cleaned up meanwhile
            at = files.modified(key)
            if since <= at <= until:
                found.append((at, key, _content(files, key)))
    return sorted(found, key=lambda one: one[0], reverse=True), max(0, len(keys) - MOST_RECORDS)


def _is_record(key: str) -> bool:
    folder, _, rest = key.removeprefix(OPERATIONS).partition("/")
    return folder not in NO_CHANGES and rest.rpartition("/")[2] in RECORD_NAMES


def _content(files: Files, key: str) -> dict[str, Any]:
    """The record, of a manifest what it holds; nothing where it is no JSON object."""
    try:
        content: Any = json.loads(files.read_bytes(key))
        if isinstance(content, dict) and set(cast(dict[str, Any], content)) == {"token", "content"}:
            content = json.loads(content["content"])  # pyright: ignore[reportUnknownArgumentType]
    except (ValueError, RecursionError, TypeError):
        return {}
    return cast(dict[str, Any], content) if isinstance(content, dict) else {}
