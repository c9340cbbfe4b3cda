"""How many sessions can go on at once, and what keeps it from being more; looked at before any begins."""

import resource
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import Field, TypeAdapter, ValidationError

from blocks.errors import BadInput, LimitReached
from blocks.faults import faults_of
from blocks.iiagent.books import hint
from blocks.iiagent.server import AgentServer
from blocks.model import Frozen
from tasks.sessions.fleet_jobs import ReadyJob

EXECUTOR_MOST = 32
"""Calls at once of one server process, however many cores it has: min(32, cores + 4)."""

HEADROOM = 0.8
DOCKER_GIB = 4.0
"""Memory of a Docker sandbox; it has one core, too."""

FILES_PER_SESSION = 12
"""Open files that a session takes here: its socket, connections of REST, archive, lease, files being written."""

FILES_KEPT = 64
OPENED = Path("/proc/self/fd")


class FleetOptions(Frozen):
    """How a fleet is run.

    Attributes:
        n: Sessions that shall go on at once; None: as many as can.
        duty: Share of a session's time in which its model or a tool is at work; 1 for text tasks.
        requests_per_min: Of the accounts behind the servers' model keys, all together; None: not known.
        mean_turn_s: Seconds of one call of a model; for `requests_per_min`.
        docker_free_gib: Free memory of each server with Docker sandboxes; None: this machine's, where it is one.
        start_every_s: Between two sessions that begin on one server.
        quarantine_after: Failures in a row after which a server gets no more jobs.
        allow_failures: Share of the jobs that may fail, 0 to 1.
    """

    n: int | None = Field(default=None, ge=1, le=10_000)
    duty: float = Field(default=1.0, gt=0, le=1)
    requests_per_min: float | None = Field(default=None, gt=0)
    mean_turn_s: float = Field(default=10.0, gt=0)
    docker_free_gib: float | None = Field(default=None, gt=0)
    start_every_s: Annotated[float, Field(ge=0, le=3600)] = 0.1
    quarantine_after: int = Field(default=3, ge=1)
    allow_failures: float = Field(default=0.0, ge=0, le=1)


class PlanLimit(Frozen):
    """Something that limits how many sessions go on at once.

    Attributes:
        name: What.
        sessions: So many it permits.
        how: How that was computed.
    """

    name: str
    sessions: int
    how: str


class ServerShare(Frozen):
    """What a server can carry.

    Attributes:
        server: Its name.
        sessions: At once.
        limits: All its limits, the tightest first.
        hint: What to do about it.
    """

    server: str
    sessions: int
    limits: tuple[PlanLimit, ...]
    hint: str = ""


class FleetPlan(Frozen):
    """What a fleet has to do, and with how much at once.

    Attributes:
        jobs: In all.
        asked: Sessions at once that were asked for.
        slots: Sessions at once that there will be.
        limits: What limits them, the tightest first.
        servers: What each can carry.
    """

    jobs: int
    asked: int | None
    slots: int
    limits: tuple[PlanLimit, ...]
    servers: tuple[ServerShare, ...]

    @property
    def binding(self) -> PlanLimit:
        """The tightest limit."""
        return self.limits[0]

    def check(self) -> "FleetPlan":
        """The plan itself.

        Raises:
            LimitReached: nothing can go on, or less at once than was asked for; `details["limit"]` names what binds.
        """
        most = self.binding.sessions
        wanted = 1 if self.asked is None else self.asked
        if wanted <= most:
            return self
        raise LimitReached(
            f"{wanted} sessions at once are not possible, but {most}: {self.binding.name} binds ({self.binding.how})",
            fix=f"ask for {most}, or raise that limit" if most else "raise that limit",
            field="n",
            limit=self.binding.name,
            possible=most,
        )


OPTIONS = TypeAdapter(FleetOptions)


def options_of(**fields: Any) -> FleetOptions:
    """The options of these fields. Raises `BadInput`."""
    try:
        return OPTIONS.validate_python(fields)
    except ValidationError as error:
        fault = faults_of(error, OPTIONS)[0]
    raise BadInput(f"{fault.where}: {fault.what}", fix="correct it; see docs/sessions.md", field=fault.where)


def plan_of(jobs: Sequence[ReadyJob], servers: Sequence[AgentServer], options: FleetOptions) -> FleetPlan:
    """The plan of a fleet.

    Args:
        jobs: What there is to do.
        servers: Where; one that no job may run on carries nothing of it.
        options: How.
    """
    only_on = {job.job.server for job in jobs}
    shares = tuple(share_of(server, options) for server in servers if None in only_on or server.name in only_on)
    # Of several servers the tightest limit of each counts; which one that is, is told.
    told = "; ".join(f"{share.server}: {share.limits[0].name}, {share.limits[0].how}" for share in shares)
    only = shares[0].limits[0].name if len(shares) == 1 else "the servers"
    limits = [PlanLimit(name=only, sessions=sum(share.sessions for share in shares), how=told)]
    if options.requests_per_min is not None:
        limits.append(
            PlanLimit(
                name="requests per minute of the accounts",
                sessions=int(options.requests_per_min * options.mean_turn_s / 60 + 1e-9),
                how=f"{options.requests_per_min:g} a minute × {options.mean_turn_s:g} s / 60",
            )
        )
    soft, opened = files_left()
    limits.append(
        PlanLimit(
            name="open files of this process",
            sessions=max(0, (soft - opened - FILES_KEPT) // FILES_PER_SESSION),
            how=f"({soft} − {opened} open − {FILES_KEPT} kept) / {FILES_PER_SESSION} each; see ulimit -n",
        )
    )
    limits.sort(key=lambda limit: limit.sessions)
    slots = min(limits[0].sessions, options.n or limits[0].sessions, max(1, len(jobs)))
    return FleetPlan(jobs=len(jobs), asked=options.n, slots=slots, limits=tuple(limits), servers=shares)


def files_left() -> tuple[int, int]:
    """Files that this process may open, and those that it has open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft, len(list(OPENED.iterdir())) if OPENED.is_dir() else 0


def share_of(server: AgentServer, options: FleetOptions) -> ServerShare:
    """What a server can carry."""
    calls = min(EXECUTOR_MOST, server.cores + 4)
    limits = [
        PlanLimit(name=f"max_sessions of {server.name}", sessions=server.max_sessions, how=f"{server.max_sessions}"),
        PlanLimit(
            name=f"calls at once of {server.name}",
            sessions=int(calls * HEADROOM / options.duty + 1e-9),
            how=f"min({EXECUTOR_MOST}, {server.cores} cores + 4) × {HEADROOM} / {options.duty:g}",
        ),
    ]
    if server.sandbox == "docker":
        limits.append(
            PlanLimit(
                name=f"cores of {server.name}", sessions=server.cores, how=f"{server.cores} cores, one for each sandbox"
            )
        )
        free_gib = options.docker_free_gib if options.docker_free_gib is not None else _own_free_gib(server)
        if free_gib is not None:
            limits.append(
                PlanLimit(
                    name=f"memory of {server.name}",
                    sessions=int(free_gib / DOCKER_GIB + 1e-9),
                    how=f"{free_gib:.1f} GiB free / {DOCKER_GIB:g} GiB for each sandbox",
                )
            )
    limits.sort(key=lambda limit: limit.sessions)
    return ServerShare(server=server.name, sessions=limits[0].sessions, limits=tuple(limits), hint=hint(server.name))


def _own_free_gib(server: AgentServer) -> float | None:
    """Free memory of this machine, where the server is on it; None: not known."""
    if urlsplit(server.base_url).hostname not in ("127.0.0.1", "localhost", "::1"):
        return None
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) / 1024**2
    except (OSError, ValueError, IndexError):
        pass
    return None
