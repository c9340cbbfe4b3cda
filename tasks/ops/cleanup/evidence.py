"""Evidence whose time is over by policy: jobs, requests, quality, batches, sessions, the ledger, the audit."""

from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from prefect.client.orchestration import get_client

from blocks.action import Touched
from blocks.errors import C500Error, NotFound, Stopped
from blocks.progress import in_thread
from blocks.settings import Settings
from blocks.store.files import Files
from blocks.store.local import LocalFiles
from blocks.subjects.held import traces_held
from blocks.subjects.subject import PAGES, Traces
from tasks.ops.cleanup.archives import archives, removed_archive
from tasks.ops.cleanup.audio import jobs_known
from tasks.ops.cleanup.cache import utc
from tasks.ops.cleanup.expiry import Expiry, oldest_run
from tasks.ops.cleanup.parts import done_part, told_lines
from tasks.ops.cleanup.report import Lines, Part
from tasks.ops.cleanup.tree import Cleanup
from tasks.ops.deed import Deed

Line = dict[str, Any]


@dataclass(frozen=True)
class Kind:
    """Things in the store that expire by age alone.

    Attributes:
        name: For reports.
        prefix: What their keys begin with.
        depth: So many parts of a key name one thing; 0: each file is one.
        setting: Which setting says how long they are kept.
    """

    name: str
    prefix: str
    depth: int
    setting: str


KINDS = (
    Kind("requests", "dispatches/", 2, "results_days"),
    Kind("fast-responses", "fast-response/", 2, "batch_days"),
    Kind("batches", "batches/", 2, "batch_days"),
    Kind("swarms", "swarms/", 2, "batch_days"),
    Kind("batch-prompts", "batch-prompts/", 2, "batch_days"),
    Kind("fleets", "fleets/", 2, "batch_days"),
    Kind("agent-tasks", "agent-tasks/", 2, "batch_days"),
    Kind("quality", "quality/", 0, "quality_days"),
    Kind("evaluations", "evaluations/", 0, "quality_days"),
    Kind("reports", "reports/", 0, "quality_days"),
    Kind("session-files", "sessions/", 2, "session_days"),
)


async def evidence_parts(cleanup: Cleanup, chosen: Settings) -> list[Part]:
    """Take away what is older than the settings say; what is on hold, or in use, stays.

    Args:
        cleanup: Does it.
        chosen: The settings; a kind whose days are not set is left alone.

    Raises:
        StoreFailed: it is not known what is on hold; then nothing goes.
    """
    wanted = ("results_days", "quality_days", "batch_days", "session_days", "ledger_days", "audit_days")
    if all(getattr(chosen, name) is None for name in wanted):
        return [Part(name="evidence", place="", why="none of RESULTS_DAYS, QUALITY_DAYS, … is set: all is kept")]
    held = await in_thread(traces_held, cleanup.files)
    home, parts = chosen.agents_home.expanduser(), list[Part]()
    if chosen.results_days is not None:
        parts.append(await _tried("jobs", _jobs(cleanup, chosen.results_days, held)))
    for kind in KINDS:
        if (days := getattr(chosen, kind.setting)) is not None:
            parts.append(await _tried(kind.name, _stored(cleanup, kind, days, held)))
    if chosen.session_days is not None:
        parts.append(await _tried("sessions", _sessions(cleanup, home, chosen.session_days, held)))
    if chosen.ledger_days is not None:
        parts.append(await _tried("ledger", _ledger(cleanup, chosen, chosen.ledger_days, held)))
    if chosen.audit_days is not None:
        parts.append(await _tried("audit", _audit(cleanup, home, chosen.audit_days, held)))
    return parts


async def _tried(name: str, work: Coroutine[Any, Any, Part]) -> Part:
    """A part; one that fails stops no other."""
    try:
        return await work
    except Stopped:
        raise
    except C500Error as error:
        return Part(name=name, place="", status="failed", why=f"{error.message} ({error.fix})")
    except OSError as error:
        return Part(name=name, place="", status="failed", why=str(error))


async def _jobs(cleanup: Cleanup, days: float, held: tuple[Traces, ...]) -> Part:
    async with get_client() as client:
        known, oldest = await jobs_known(client, cleanup.files), await oldest_run(client)
    before = _before(cleanup, days)
    expiry = Expiry(cleanup.files, known, oldest, before, utc(cleanup.clock.began.wall_s), held)
    lines = await in_thread(lambda: list(expiry.lines()))
    due = [line for line in lines if line["status"] == "planned"]
    return await _part(cleanup, "jobs", "jobs/ in the store", days, lines, lambda: expiry.perform(due, _check(cleanup)))


async def _stored(cleanup: Cleanup, kind: Kind, days: float, held: tuple[Traces, ...]) -> Part:
    files, before = cleanup.files, _before(cleanup, days)
    lines = await in_thread(lambda: list(_things(files, kind, before, held)))

    def perform() -> Iterator[Line]:
        for line in lines:
            if line["status"] == "planned":
                _check(cleanup)()
                yield line | _removed(files, kind, line["path"], before)

    return await _part(cleanup, kind.name, f"{kind.prefix} in the store", days, lines, perform)


def _things(files: Files, kind: Kind, before: datetime, held: tuple[Traces, ...]) -> Iterator[Line]:
    every: dict[str, dict[str, datetime]] = {}
    for key, written_at in files.list_modified(kind.prefix):
        every.setdefault("/".join(key.split("/")[: kind.depth]) if kind.depth else key, {})[key] = written_at
    for thing, written in every.items():
        with suppress(NotFound):
            if max(written.values()) >= before:
                yield {"path": thing, "status": "kept", "why": "young"}
            elif any(_is_held(files, one, thing, list(written)) for one in held):
                yield {"path": thing, "status": "kept", "why": "held"}
            else:
                yield {"path": thing, "status": "planned", "why": "expired"}


def _removed(files: Files, kind: Kind, thing: str, before: datetime) -> Line:
    """Delete a thing that is still as old; of several files the ones that tell of the others last."""
    try:
        written = dict(files.list_modified(f"{thing}/")) if kind.depth else {thing: files.modified(thing)}
    except NotFound:
        written = {}
    if not written or max(written.values()) >= before:
        return {"status": "changed"}
    for key in sorted(written, key=lambda one: one.endswith((".json", ".md"))):
        files.delete(key)
    return {"status": "deleted"}


def _is_held(files: Files, held: Traces, thing: str, keys: list[str]) -> bool:
    if not held.ids.isdisjoint(thing.split("/")):
        return True
    # A page has words of what the figures beside it name.
    folders = {key.rpartition("/")[0] for key in keys if key.endswith(PAGES)}
    beside = [key for folder in folders for key in files.list(f"{folder}/") if key.endswith(".json")]
    return any(held.in_file(files.read_bytes(key)) for key in {*keys, *beside})


async def _sessions(cleanup: Cleanup, home: Path, days: float, held: tuple[Traces, ...]) -> Part:
    """State and archive of II-Agent sessions on this machine."""
    root, before = home / "sessions", _before(cleanup, days)
    lines = await in_thread(lambda: list(archives(root, before, held)))

    def perform() -> Iterator[Line]:
        for line in lines:
            if line["status"] == "planned":
                _check(cleanup)()
                yield line | removed_archive(root, line["path"], before)

    return await _part(cleanup, "sessions", str(root), days, lines, perform)


async def _ledger(cleanup: Cleanup, chosen: Settings, days: float, held: tuple[Traces, ...]) -> Part:
    """Rows of calls, summed up by day."""
    from blocks.accounts.ledger_retention import Held, ledger_due, sum_up
    from blocks.accounts.open import with_home
    from blocks.accounts.schema import open_engine

    before = _before(cleanup, days).timestamp()
    stay = Held(
        users=tuple({name for one in held for name in one.users}),
        sessions=tuple({name for one in held for name in one.sessions}),
        jobs=tuple({name for one in held for name in (*one.jobs, *one.runs)}),
    )
    engine = await in_thread(open_engine, with_home(chosen.books_url))
    try:
        due = await in_thread(ledger_due, engine, before, stay)
        lines: list[Line] = [
            {"path": day, "status": "planned", "why": "summed up", "rows": rows} for day, rows in due.days.items()
        ]
        lines += [{"path": f"{due.held} rows", "status": "kept", "why": "held"}] if due.held else []

        def perform() -> Iterator[Line]:
            sum_up(engine, before, stay, _check(cleanup))
            yield from (line | {"status": "deleted"} for line in lines if line["status"] == "planned")

        return await _part(cleanup, "ledger", "c500_calls in the books", days, lines, perform)
    finally:
        engine.dispose()


async def _audit(cleanup: Cleanup, home: Path, days: float, held: tuple[Traces, ...]) -> Part:
    """The oldest days of the agents' audit."""
    from blocks.audit import Anchors
    from blocks.audit.key import read_key
    from blocks.audit.places import AuditPlaces
    from blocks.audit.shorten import due, shorten

    places = AuditPlaces(home)
    if not places.folder.is_dir():
        return Part(name="audit", place=str(places.folder), why="there is no such folder")
    key, before = read_key(places.key), _before(cleanup, days).date().isoformat()

    def holds(entry: Any) -> bool:
        return any(one.in_entry(entry) for one in held)

    what = await in_thread(due, places.folder, key, before, holds)
    lines: list[Line] = [{"path": day, "status": "planned", "why": "expired"} for day in what.days]
    lines += [{"path": what.held_on, "status": "kept", "why": "held"}] if what.held_on else []

    def perform() -> Iterator[Line]:
        shorten(cleanup.performer.audit, places.folder, key, Anchors(places.anchors).read(), what)
        yield from (line | {"status": "deleted"} for line in lines if line["status"] == "planned")

    part = await _part(cleanup, "audit", str(places.folder), days, lines, perform)
    return part.model_copy(update={"freed_bytes": what.size_bytes}) if part.counts.get("deleted") else part


async def _part(
    cleanup: Cleanup, name: str, place: str, days: float, lines: list[Line], perform: Callable[[], Iterator[Line]]
) -> Part:
    """Do what some lines say, as one deed."""
    files = cleanup.files
    deed = Deed(
        name=f"{name}/expire",
        tool="expire_evidence",
        arguments={"kind": name, "days": days},
        says=f"take away {name} older than {days:g} days",
        risk="low",
        repeatable=True,
        touched=Touched(writes=(str(files.root),) if isinstance(files, LocalFiles) else ()),
    )

    async def work() -> Any:
        told = Lines()
        for line in await in_thread(lambda: list(perform())):
            told.add(line)
        return told_lines(cleanup, name, told)

    planned = [line for line in lines if line["status"] == "planned"]
    part = await done_part(cleanup, Part(name=name, place=place), deed, work, planned, 0)
    stay: dict[str, int] = {}
    for line in lines:
        if line["status"] == "kept":
            stay[line["why"]] = stay.get(line["why"], 0) + 1
    return part.model_copy(update={"counts": part.counts | stay})


def _before(cleanup: Cleanup, days: float) -> datetime:
    return datetime.fromtimestamp(cleanup.clock.began.wall_s, UTC) - timedelta(days=days)


def _check(cleanup: Cleanup) -> Callable[[], None]:
    return cleanup.clock.check
