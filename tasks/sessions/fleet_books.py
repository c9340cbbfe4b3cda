"""What is kept of a fleet: to which server each job went, and what came of it, so that any process can go on."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from pydantic import Field, ValidationError

from blocks.content import content_hash
from blocks.errors import Conflict, StoreFailed
from blocks.iiagent.state import sessions_folder
from blocks.model import Frozen
from blocks.store.scratch import locked
from blocks.whole_file import write_whole
from tasks.sessions.fleet_jobs import ReadyJob
from tasks.sessions.result import AgentResult


class JobResult(Frozen):
    """What came of a job.

    Attributes:
        name: Which.
        job_id: Its identity.
        server: Where it ran last; empty: nowhere.
        tried: Servers that failed it.
        result: What came of its task; None where that never began, or broke off.
        error: Why it broke off.
        servers_fault: Whether that is likely to go better on another server.
        collects: What was collected, and whereto; see `ReadyJob.collects`.
    """

    name: str
    job_id: str
    server: str = ""
    tried: tuple[str, ...] = ()
    result: AgentResult | None = None
    error: str = ""
    servers_fault: bool = False
    collects: str = ""

    @property
    def done(self) -> bool:
        """Whether it is done."""
        return self.result is not None and self.result.done

    @property
    def told(self) -> str:
        """How it ended, in a few words."""
        return self.result.told if self.result is not None else self.error


class _Assigned(Frozen):
    servers: dict[str, str] = Field(default_factory=dict)


class FleetBooks:
    """The books of one fleet, in a folder.

    Args:
        folder: Where.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._assigned = self._read_assigned()

    def server_of(self, job: ReadyJob) -> str | None:
        """The server that a job went to before."""
        return self._assigned.get(job.job_id)

    def assign(self, job: ReadyJob, server: str) -> None:
        """Note where a job goes, before it goes there. Raises `StoreFailed`."""
        if self._assigned.get(job.job_id) == server:
            return
        self._assigned[job.job_id] = server
        self._write("assigned.json", _Assigned(servers=self._assigned).model_dump_json().encode())

    def find(self, job: ReadyJob) -> JobResult | None:
        """What came of a job; None where nothing did, or what is kept cannot be read."""
        try:
            return JobResult.model_validate_json((self.folder / _name(job.job_id)).read_bytes())
        except (OSError, ValidationError):
            return None

    def keep(self, result: JobResult) -> None:
        """Keep what came of a job. Raises `StoreFailed`."""
        self._write(_name(result.job_id), result.model_dump_json(indent=1).encode())

    def _read_assigned(self) -> dict[str, str]:
        try:
            return dict(_Assigned.model_validate_json((self.folder / "assigned.json").read_bytes()).servers)
        except (OSError, ValidationError):  # then a job begins anew where the plan puts it
            return {}

    def _write(self, name: str, content: bytes) -> None:
        try:
            write_whole(self.folder / name, content)
        except OSError as error:
            told = f"the books of a fleet cannot be written to {self.folder}: {error.strerror}"
            raise StoreFailed(told, fix="look at the disk") from error


def fleet_id_of(source: object, name: str, jobs: list[ReadyJob]) -> str:
    """Identity of a fleet: its name, else the file that it is read from, else its jobs."""
    if name:
        return content_hash(["fleet", name])[:12]
    if isinstance(source, str | Path):
        return content_hash(["fleet", str(Path(source).expanduser().absolute())])[:12]
    return content_hash(["fleet", [job.job_id for job in jobs]])[:12]


@contextmanager
def opened_books(fleet_id: str) -> Generator[FleetBooks]:
    """The books of a fleet, for one process at a time. Raises `Conflict`, `StoreFailed`."""
    folder = sessions_folder() / "fleets" / fleet_id
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StoreFailed(f"{folder} cannot be made: {error.strerror}", fix="look at AGENTS_HOME") from error
    with locked(folder / "fleet.lock", wait=False) as alone:
        if not alone:
            raise Conflict(f"another process runs the fleet {fleet_id}", fix="wait until it has ended")
        yield FleetBooks(folder)


def _name(job_id: str) -> str:
    return f"job-{job_id}.json"
