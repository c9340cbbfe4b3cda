"""Which work a person had done, and all that a job was: found where it is kept, each time anew."""

import json
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterParentFlowRunId
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import FlowRunSort

from blocks.errors import NotFound
from blocks.keys import KEYS_FILE, KeyFile
from blocks.runs.queue import OVERLAP, PAGE
from blocks.runs.record import JOB_ID, OWNER, UPLOAD, label
from blocks.store.files import Files
from blocks.subjects.holds import Holds
from blocks.subjects.subject import Subject, Traces, texts_in

if TYPE_CHECKING:
    from sqlalchemy import Engine

PERSONS = ("user", "owner", "requester", "begun_by", "person", "subject")
"""Parameters of flows that name for whom they run."""

WORKS = ("run_id", "session", "session_id", "dispatch_id", "job", "job_id", "task_id", "subject")
"""Parameters of flows that name what they work on."""

OF_RUNS = "agents/runs/", "agents/teams/", "agents/handoffs/"
"""Where records of agents' runs lie, with `user` in them."""

PIECE = 100
"""Runs whose children are asked for at once."""

CONVERSATIONS = "agents/sessions/"


@dataclass(frozen=True)
class Known:
    """Where traces are looked for.

    Attributes:
        files: The store.
        books: The engine of the books.
        client: Of Prefect's server.
    """

    files: Files
    books: "Engine"
    client: SyncPrefectClient


@dataclass
class _Found:
    users: set[str] = field(default_factory=set[str])
    keys: set[str] = field(default_factory=set[str])
    jobs: set[str] = field(default_factory=set[str])
    runs: set[str] = field(default_factory=set[str])
    sessions: set[str] = field(default_factory=set[str])
    flow_runs: set[str] = field(default_factory=set[str])
    uploads: set[str] = field(default_factory=set[str])
    open_runs: set[str] = field(default_factory=set[str])
    shared: set[str] = field(default_factory=set[str])


@contextmanager
def known(files: Files) -> Generator[Known]:
    """Where traces are looked for, by the settings."""
    from blocks.accounts.open import with_home
    from blocks.accounts.schema import open_engine
    from blocks.settings import settings

    engine = open_engine(with_home(settings().books_url))
    try:
        with get_client(sync_client=True) as client:
            yield Known(files, engine, client)
    finally:
        engine.dispose()


def trace(subject: Subject, place: Known) -> Traces:
    """The traces of a subject. Nothing is made up: who has left none has only their own name."""
    found = _Found()
    every = list(_flow_runs(place.client))
    if subject.kind == "job":
        _job(subject.id, place, every, found)
    else:
        _person(subject.id, place, every, found)
    _below(place.client, found)
    _note_open(every, found)
    sets = {name: tuple(sorted(value)) for name, value in vars(found).items()}
    return Traces(subject=subject, **sets)


def held(place: Known) -> tuple[Traces, ...]:
    """The traces of all that is held. Raises `StoreFailed`."""
    return tuple(trace(hold.subject, place) for hold in Holds(place.files).every())


def _job(job_id: str, place: Known, every: list[FlowRun], found: _Found) -> None:
    own = next((run for run in every if str(run.id) == job_id), None)
    job = (label(own, JOB_ID) if own else None) or job_id
    found.jobs |= {job}
    found.runs |= {job_id}
    found.sessions |= {job_id}
    found.runs |= set(_runs_in(place.files, job_id))
    for run in every:
        if str(run.id) == job_id or label(run, JOB_ID) == job or _names(run, WORKS) & {job, *found.runs}:
            _note(run, found)
    # Equal submissions share an upload: of one that another job was made of, too, this one has its own copy.
    others = {_folder(run) for run in every if str(run.id) not in found.flow_runs}
    found.uploads -= others - {None}  # pyright: ignore[reportOperatorIssue]


def _person(name: str, place: Known, every: list[FlowRun], found: _Found) -> None:
    from blocks.accounts.forget import Names, jobs_of, sessions_of, users_of_jobs

    found.keys |= {key.key_id for key in _keys(place.files) if name in (key.key_id, key.name)}
    found.users |= {name, *found.keys}
    users = tuple(sorted(found.users))
    found.sessions |= sessions_of(place.books, users, name)
    for run_id, session in _runs_of(place.files, found.users):
        found.runs.add(run_id)
        found.sessions |= {session} if session else set()
    found.runs |= jobs_of(place.books, Names(users=users, sessions=tuple(sorted(found.sessions))))
    jobs = set[str]()
    for run in every:
        if label(run, OWNER) in found.users or _names(run, PERSONS) & found.users or _names(run, WORKS) & found.runs:
            _note(run, found)
            jobs |= {one for one in (label(run, JOB_ID),) if one}
    of_others = {label(run, JOB_ID) for run in every if str(run.id) not in found.flow_runs}
    paid = users_of_jobs(place.books, tuple(sorted(jobs | found.runs)))
    found.shared = {one for one in jobs | found.runs if one in of_others or paid.get(one, set()) - found.users}
    found.jobs = jobs - found.shared
    found.runs -= found.shared


def _note(run: FlowRun, found: _Found) -> None:
    found.flow_runs.add(str(run.id))
    if (folder := _folder(run)) is not None:
        found.uploads.add(folder)


def _folder(run: FlowRun) -> str | None:
    """The id of an upload: `uploads/<id>/<name>`."""
    upload = label(run, UPLOAD)
    return upload.split("/")[1] if upload and upload.count("/") else None


def _names(run: FlowRun, fields: Iterable[str]) -> set[str]:
    """The values of such parameters of a run, however deep within them."""
    return set(_at(run.parameters, frozenset(fields)))


def _at(value: Any, fields: frozenset[str]) -> Iterator[str]:
    if isinstance(value, dict):
        for name, item in value.items():  # pyright: ignore[reportUnknownVariableType]
            if name in fields:
                yield from texts_in(item)
            else:
                yield from _at(item, fields)
    elif isinstance(value, list):
        for item in value:  # pyright: ignore[reportUnknownVariableType]
            yield from _at(item, fields)


def _flow_runs(client: SyncPrefectClient, wanted: FlowRunFilter | None = None) -> Iterator[FlowRun]:
    """All runs that the server knows, or that a filter finds, each once."""
    seen, offset = set[object](), 0
    while True:
        runs = client.read_flow_runs(flow_run_filter=wanted, sort=FlowRunSort.ID_DESC, limit=PAGE, offset=offset)
        yield from (run for run in runs if run.id not in seen)
        seen.update(run.id for run in runs)
        if len(runs) < PAGE:
            return
        offset += PAGE - OVERLAP


def _below(client: SyncPrefectClient, found: _Found) -> None:
    """Add the runs that these runs have started."""
    latest = sorted(found.flow_runs)
    while latest:
        piece, latest = latest[:PIECE], latest[PIECE:]
        parents = FlowRunFilterParentFlowRunId.model_validate({"any_": piece})
        fresh = {str(run.id) for run in _flow_runs(client, FlowRunFilter(parent_flow_run_id=parents))} - found.flow_runs
        found.flow_runs |= fresh
        latest += sorted(fresh)


def _note_open(every: list[FlowRun], found: _Found) -> None:
    found.open_runs = {
        str(run.id)
        for run in every
        if str(run.id) in found.flow_runs and not (run.state and run.state.is_final() and not run.state.is_crashed())
    }


def _runs_of(files: Files, users: set[str]) -> Iterator[tuple[str, str | None]]:
    """Runs of agents and teams for these users, and conversations; each with its session."""
    for prefix in OF_RUNS:
        for key in files.list(prefix):
            record = _record(files, key) if key.endswith(("/begun.json", "/off.json")) else {}
            if users & {record.get("user"), record.get("begun_by")}:
                run_id = str(record.get("run_id") or key.split("/")[2])
                yield run_id, record.get("session")
    for key in files.list(CONVERSATIONS):
        record = _record(files, key)
        if record.get("user") in users:
            session = key.removeprefix(CONVERSATIONS).removesuffix(".json")
            yield session, session  # a name of it alone, where no run has ended yet
            yield from ((str(run), session) for run in record.get("runs", ()))


def _runs_in(files: Files, session: str) -> Iterator[str]:
    """Runs of a conversation: what was said in it stands in their records, too."""
    for prefix in OF_RUNS:
        for key in files.list(prefix):
            record = _record(files, key) if key.endswith(("/begun.json", "/off.json")) else {}
            if record.get("session") == session:
                yield str(record.get("run_id") or key.split("/")[2])


def _record(files: Files, key: str) -> dict[str, Any]:
    with suppress(NotFound, ValueError):
        found: Any = json.loads(files.read_bytes(key))
        if isinstance(found, dict):
            return found  # pyright: ignore[reportUnknownVariableType]
    return {}


def _keys(files: Files) -> tuple[Any, ...]:
    with suppress(NotFound):
        return KeyFile.model_validate_json(files.read_bytes(KEYS_FILE)).keys
    return ()
