"""What a cleanup did: a line for each file in the store, and a page for people."""

import json
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from pydantic import Field

from blocks.errors import NotFound, StoreFailed
from blocks.markdown import inert
from blocks.model import Frozen
from blocks.plain_text import plain
from blocks.store.files import Files
from tasks.ops.cleanup.disk import Disk
from tasks.ops.deed import Status

FOLDER = "operations/cleanup"
SHOWN = 20
PIECE_LINES = 1000


class Part(Frozen):
    """What became of one tree, cache or trash.

    Attributes:
        name: Which, as `logs`.
        place: Where it is.
        status: How it ended; `skipped`: it was not begun, see `why`.
        why: Why it was refused, failed or skipped.
        counts: How many files or keys, by how they ended, or why they stay.
        freed_bytes: What got free on the disk; of a dry run: what would.
        trashed_bytes: What was moved into the trash, and is free when its time there is over.
        held_bytes: Of those freed: what processes have open still, free when they close it.
        disk_bytes: By how much the disk's free space grew meanwhile, as statvfs says; others write, too.
        report: Key of the lines in the store; None: the store had no room for them.
        troubles: The first files that could not be dealt with, and why.
        more: Whether there is more to do than one run does.
    """

    name: str
    place: str
    status: Status | str = "skipped"
    why: str = ""
    counts: dict[str, int] = Field(default_factory=dict[str, int])
    freed_bytes: int = 0
    trashed_bytes: int = 0
    held_bytes: int = 0
    disk_bytes: int | None = None
    report: str | None = None
    troubles: tuple[tuple[str, str], ...] = ()
    more: bool = False

    @property
    def is_well(self) -> bool:
        """Whether all was done that should be."""
        return self.status in ("done", "planned", "skipped") and not self.counts.get("failed", 0)


class CleanupReport(Frozen):
    """What a cleanup did.

    Attributes:
        run_id: Of the run; with the same one it goes on.
        flow: Its name.
        dry_run: Whether it only said what it would do.
        parts: What became of each.
        disks: How full the disks are afterwards, where they were looked at.
        threshold_percent: How full they may be.
    """

    run_id: str
    flow: str
    dry_run: bool
    parts: tuple[Part, ...] = ()
    disks: tuple[Disk, ...] = ()
    threshold_percent: float = 100

    @property
    def full(self) -> tuple[Disk, ...]:
        """The disks above the threshold."""
        return tuple(one for one in self.disks if one.fullest_percent > self.threshold_percent)

    @property
    def freed_bytes(self) -> int:
        """What got free in all."""
        return sum(part.freed_bytes - part.held_bytes for part in self.parts)

    @property
    def is_well(self) -> bool:
        """Whether all was done that should be."""
        return all(part.is_well for part in self.parts)


class Lines:
    """Lines for a report, kept in memory until there is room for them: the disk may be full, or about to be."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._latest: list[dict[str, Any]] = []
        self._counts: Counter[str] = Counter()

    def add(self, line: dict[str, Any]) -> None:
        """Take a line."""
        self._latest.append(line)
        self._counts[line["status"]] += 1
        if len(self._latest) >= PIECE_LINES:
            self._pack()

    def counts(self) -> dict[str, int]:
        """How many lines there are, by status."""
        return dict(self._counts)

    def put(self, files: Files, key: str) -> str | None:
        """Write them into the store; the key, or None where it has no room."""
        self._pack()
        try:
            with files.scratch("report.jsonl") as path:
                with path.open("wb") as stream:
                    for piece in self._pieces:
                        stream.write(zlib.decompress(piece))
                files.put_file(key, path, "application/jsonl")
        except (OSError, StoreFailed):
            return None
        return key

    def _pack(self) -> None:
        text = "".join(f"{json.dumps(line)}\n" for line in self._latest)
        self._pieces.append(zlib.compress(text.encode(), 1))
        self._latest = []


def read_lines(files: Files, key: str) -> Iterator[dict[str, Any]]:
    """The lines of a report; none where there is none."""
    try:
        with files.open(key) as stream:
            yield from (json.loads(line) for line in stream)
    except NotFound:
        return


def key_of(run_id: str, name: str, kind: str = "") -> str:
    """Where the lines about a part are in the store."""
    return f"{FOLDER}/{run_id}/{name}{kind}.jsonl"


def report_markdown(report: CleanupReport) -> str:
    """A page for people."""
    lines = _disks(report) if report.disks else [_freed(report), ""]
    if report.parts or not report.disks:
        lines += [
            "| what | how it ended | files or keys | freed | in the trash |",
            "|---|---|---|---|---|",
            *(_row(part) for part in report.parts),
        ]
    for part in report.parts:
        lines += _notes(part)
    return "\n".join(lines)


def going(files: Files, part: Part) -> list[str]:
    """The first files or keys that a dry run would take away, with their sizes, for people."""
    if part.report is None:
        return []
    planned = (one for one in read_lines(files, part.report) if one["status"] == "planned")
    found = list(islice(planned, SHOWN + 1))
    told = [f"{size(one['bytes']) if 'bytes' in one else '–':>9}  {plain(one['path'])}" for one in found[:SHOWN]]
    return [*told, "           and more"] if len(found) > SHOWN else told


def size(size_bytes: int) -> str:
    """Bytes for people."""
    amount = float(size_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if abs(amount) < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


def _freed(report: CleanupReport) -> str:
    what = "would be free" if report.dry_run else "free"
    return f"# {report.flow}{' (dry run)' if report.dry_run else ''}: {size(report.freed_bytes)} {what}"


def _disks(report: CleanupReport) -> list[str]:
    """How full disks are, and whether anything was cleaned for it."""
    limit = f"the threshold of {report.threshold_percent:g} %"
    full = ", ".join(f"{_cell(one.place)} is {one.fullest_percent:g} % full" for one in report.full)
    lines = [f"# {report.flow}: {f'{full}, above {limit}' if full else f'no disk is above {limit}'}", ""]
    lines += [*disk_lines(report.disks), ""]
    if not report.parts:
        return [*lines, "Nothing had to be cleaned."]
    if report.dry_run:
        return [*lines, "Nothing was cleaned. This is due; `c500 clean disk --emergency` deletes it at once:", ""]
    return [*lines, f"Cleaned: {size(report.freed_bytes)} free.", ""]


def _row(part: Part) -> str:
    counts = ", ".join(f"{number} {what}" for what, number in part.counts.items()) or "none"
    cells = (part.name, part.status, counts, size(part.freed_bytes), size(part.trashed_bytes))
    return f"| {' | '.join(_cell(cell) for cell in cells)} |"


def _notes(part: Part) -> list[str]:
    notes = [f"{part.name}: {part.why}"] if part.why else []
    if part.report:
        notes.append(f"{part.name}: a line for each in {part.report}")
    if part.held_bytes:
        notes.append(f"{part.name}: {size(part.held_bytes)} get free only when processes close the files")
    if part.more:
        notes.append(f"{part.name}: there is more to do; run it again")
    notes += [f"{part.name}: {path}: {why}" for path, why in part.troubles[:SHOWN]]
    return ["", *(f"- {_cell(note)}" for note in notes)] if notes else []


def _cell(text: str) -> str:
    return inert(plain(text)).replace("|", "\\|").replace("`", "'")


def disk_lines(disks: Iterable[Disk]) -> list[str]:
    """How full disks are, for people."""
    rows = [
        f"| {_cell(one.place)} | {one.used_percent:g} % | {one.inodes_percent:g} % | {size(one.free_bytes)} |"
        for one in disks
    ]
    return ["| disk of | in use | files in use | free |", "|---|---|---|---|", *rows]
