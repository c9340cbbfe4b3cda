"""The source `logs`: error lines around the beginning, and the last lines, of the logs that the services file names."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from tasks.ops.incident.context import Finds
from tasks.ops.incident.scene import Scene, texts
from tasks.ops.incident.services import LogPlace
from tasks.ops.logs.levels import BAD, level_of
from tasks.ops.logs.masks import shape
from tasks.ops.logs.times import moment_of
from tasks.ops.runbook.template import parse_template

TAIL_BYTES = 900_000
"""Of a file, its end; what a host gives back is bounded by 1 MB."""
MOST_LINES = 20_000
LINE_CHARS = 1000
SHOWN_LINES = 12
MOST_SHAPES = 8


async def logs(scene: Scene, finds: Finds) -> None:
    """Read the logs of the incident's services."""
    places = [(name, place) for name, one in scene.known.items() for place in one.logs]
    if not places:
        finds.gap("", f"the services file names no logs for {named(scene.incident.services)}")
    await asyncio.gather(
        *(finds.look(f"{place.name} of {name}", _log(scene, finds, name, place)) for name, place in places)
    )


def named(services: Sequence[str]) -> str:
    """Services in words."""
    return ", ".join(services) or "this alert, which names no service"


async def _log(scene: Scene, finds: Finds, service: str, place: LogPlace) -> None:
    argv = _command(scene, service, place)
    result = await scene.look(f"{place.name} of {service}", place.host, argv)
    lines = result.stdout.splitlines()[-MOST_LINES:]
    if not any(line.strip() for line in lines):
        finds.gap(f"{place.name} of {service}", "there are no lines")
        return
    if "\N{REPLACEMENT CHARACTER}" in result.stdout:
        finds.gap(f"{place.name} of {service}", "parts of it are no text")
    around = lines_between(lines, scene.since, scene.now())
    if not around:
        finds.gap(f"{place.name} of {service}", f"no line is from after {scene.since:%H:%M} UTC; its last are shown")
    await asyncio.to_thread(_note, finds, service, place, around or lines[-SHOWN_LINES:], scene.incident.began_at)


def _command(scene: Scene, service: str, place: LogPlace) -> list[str]:
    if place.file is not None:
        return ["tail", "-c", str(TAIL_BYTES), "--", place.file]
    if place.journal is not None:
        since = int(scene.since.timestamp())
        return [
            "journalctl",
            "--no-pager",
            "-o",
            "short-iso",
            "-n",
            "5000",
            "--since",
            f"@{since}",
            "-u",
            place.journal,
        ]
    values, words = scene.values(service), [parse_template(word) for word in place.command]
    kinds = texts(values)
    return [word.word(values, kinds, allow_option=False, allow_path=False) for word in words]


def lines_between(lines: Iterable[str], since: datetime, until: datetime) -> list[str]:
    """Lines whose time lies between two moments; one without a time belongs to the one before it.

    Lines of a log in which no line bears a time are all taken.
    """
    first, last, kept, within, timed = since.timestamp(), until.timestamp() + 60, list[str](), False, False
    every: list[str] = []
    for line in lines:
        at = moment_of(line[:300].encode(errors="replace"), until.astimezone(UTC).year)
        if at is not None:
            within, timed = first <= at <= last, True
        if within:
            kept.append(line[:LINE_CHARS])
        every.append(line[:LINE_CHARS])
    return kept if timed else every


def _note(finds: Finds, service: str, place: LogPlace, lines: list[str], began: datetime) -> None:
    bad = [line for line in lines if level_of(line) in BAD]
    title = f"{place.name} of {service}"
    if bad:
        shapes = Counter(shape(line) for line in bad)
        first_of = {shape(line): line for line in reversed(bad)}
        top = [f"{count}× {first_of[one]}" for one, count in shapes.most_common(MOST_SHAPES)]
        told = f"{len(bad)} of {len(lines)} lines are errors"
        finds.fact(
            "log_errors",
            f"{title}: {told}",
            "\n".join(top),
            at=_moment(bad[0], began),
            service=service,
            errors=len(bad),
            lines=len(lines),
            before=sum(1 for line in bad if (at := _moment(line, began)) is not None and at < began),
        )
    finds.fact(
        "log_lines",
        f"{title}: its last {min(len(lines), SHOWN_LINES)} lines",
        "\n".join(lines[-SHOWN_LINES:]),
        at=_moment(lines[-1], began),
        service=service,
        lines=len(lines),
    )


def _moment(line: str, about: datetime) -> datetime | None:
    at = moment_of(line[:300].encode(errors="replace"), about.astimezone(UTC).year)
    return None if at is None else datetime.fromtimestamp(at, UTC)
