"""What is to be maintained: tasks, on which hosts, when, in which order, and who must agree."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, TypeAdapter, model_validator

from blocks.action import Risk
from blocks.faults import Fault, faulty
from blocks.hosts.inventory import HostName
from blocks.model import Frozen
from blocks.policy.windows import Window
from blocks.yaml_file import read_yaml
from tasks.ops.deed import Consent

TaskName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
Word = Annotated[str, StringConstraints(min_length=1, max_length=4096, pattern=r"^[^\x00]+$")]
Argv = Annotated[tuple[Word, ...], Field(min_length=1)]
Package = Annotated[str, StringConstraints(pattern=r"^[a-z0-9*?][a-z0-9+.*?-]*$")]
AbsolutePath = Annotated[str, StringConstraints(pattern=r"^/[^\x00\n]*$")]

FIX = "correct the plan; docs/operations/maintenance.md shows its form"


class Task(Frozen):
    """What all kinds of tasks have.

    Attributes:
        name: Names it within the plan.
        hosts: Names and groups of the inventory; `all` is every host.
        window: Name of the window outside of which it does not begin; None: always.
        after: Tasks that must have gone well on the same host before.
        approval: Who must agree, beyond what the rules want.
        timeout_s: Seconds that each of its commands may take.
        parallel: On how many hosts at once; None for the plan's number.
        stop_after_failures: After so many hosts on which it failed it does not begin on another.
        become: Whether its commands run as root.
        check: A command that says, by exit code 0, that the host is well after the task.
    """

    name: TaskName
    hosts: tuple[HostName, ...] = Field(default=("all",), min_length=1)
    window: str | None = None
    after: tuple[TaskName, ...] = ()
    approval: Consent = "rules"
    timeout_s: float = Field(default=1800, gt=0, le=86_400)
    parallel: int | None = Field(default=None, ge=1, le=100)
    stop_after_failures: int = Field(default=1, ge=1)
    become: bool = False
    check: Argv | None = None


class PackageUpdates(Task):
    """Updates of Debian packages; where the check fails afterwards, the old versions are put back.

    Attributes:
        only: Patterns of names that are updated; empty: all.
        hold: Patterns of names that are not.
        apt_config: A file that APT_CONFIG names, for another root or other sources.
    """

    kind: Literal["package_updates"]
    only: tuple[Package, ...] = ()
    hold: tuple[Package, ...] = ()
    apt_config: AbsolutePath | None = None


class LogRotation(Task):
    """Rotation of logs by logrotate.

    Attributes:
        config: Its configuration.
        state: Its state file; None for its own.
        measure: Folder whose size is told before and after; None: no size is told.
    """

    kind: Literal["log_rotation"]
    config: AbsolutePath = "/etc/logrotate.conf"
    state: AbsolutePath | None = None
    measure: AbsolutePath | None = None


class DockerPrune(Task):
    """Removal of images, stopped containers and build caches that nothing uses.

    Attributes:
        older_than_h: Hours since they were made.
        what: What is removed; volumes only where they are named here.
    """

    kind: Literal["docker_prune"]
    older_than_h: int = Field(default=168, ge=1)
    what: tuple[Literal["container", "image", "builder", "network", "volume"], ...] = ("container", "image", "builder")


class BackupVerification(Task):
    """Backups are there, new, no smaller than usual, and a sample of them can be restored.

    Attributes:
        folder: Where they lie.
        pattern: Of their names.
        newest_within_h: Hours since the newest was written.
        at_least_bytes: Size of the newest.
        shrinks_at_most: Share that the newest may be smaller than the median of those before.
        format: What is restored, and how: members of an archive into an empty folder, or tables of a dump of PostgreSQL
            (`pg_dump -Fc`) into a database that is made for it and dropped.
        sample: How many members or tables are restored.
        database_url: PostgreSQL server where the dump is restored; its user may make databases. Its password lies in
            `~/.pgpass` of the host: a command's words are seen by all.
    """

    kind: Literal["backup_verification"]
    folder: AbsolutePath
    pattern: str = Field(default="*", pattern=r"^[^/\x00\n]+$")
    newest_within_h: float = Field(default=26, gt=0)
    at_least_bytes: int = Field(default=1, ge=0)
    shrinks_at_most: float = Field(default=0.5, gt=0, le=1)
    format: Literal["tar", "pg_dump"] = "tar"
    sample: int = Field(default=5, ge=1, le=100)
    database_url: str = Field(default="postgresql:///postgres", pattern=r"^postgresql://([^\s:@/]*@)?[^\s@]*$")


class Certificates(Task):
    """Certificates are told before they expire, and renewed.

    Attributes:
        files: PEM files on the host.
        endpoints: `host:port` that the host connects to by TLS.
        warn_days: Days before expiry from which on it is told.
        critical_days: Days from which on the task fails.
        renew: Renews them, where any has fewer than `renew_days` left.
        renew_days: See `renew`.
        reload: Has servers load the new ones.
    """

    kind: Literal["certificates"]
    files: tuple[AbsolutePath, ...] = ()
    endpoints: tuple[Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.-]+:[0-9]{1,5}$")], ...] = ()
    warn_days: float = Field(default=21, gt=0)
    critical_days: float = Field(default=7, gt=0)
    renew: Argv | None = None
    renew_days: float = Field(default=14, gt=0)
    reload: Argv | None = None

    @model_validator(mode="after")
    def _has_something(self) -> Self:
        if not self.files and not self.endpoints:
            raise faulty([Fault(("files",), "name files or endpoints; without them nothing is looked at")])
        return self


class Command(Task):
    """A command of your own.

    Attributes:
        argv: The program and its arguments; no shell takes part.
        changes: Whether it changes anything; one that only looks is also run in a dry run.
        risk: How much harm it may do.
        undo: What takes it back, where the check fails.
        repeatable: Whether running it twice is as running it once.
    """

    kind: Literal["command"]
    argv: Argv
    changes: bool = True
    risk: Risk = "medium"
    undo: Argv | None = None
    repeatable: bool = False


AnyTask = Annotated[
    PackageUpdates | LogRotation | DockerPrune | BackupVerification | Certificates | Command,
    Field(discriminator="kind"),
]


class MaintenancePlan(Frozen):
    """The file.

    Attributes:
        windows: By name, when tasks may begin.
        parallel: On how many hosts at once.
        tasks: In this order.
    """

    windows: dict[TaskName, tuple[Window, ...]] = Field(default_factory=dict[TaskName, tuple[Window, ...]])
    parallel: int = Field(default=4, ge=1, le=100)
    tasks: tuple[AnyTask, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if faults := list(self._faults()):
            raise faulty(faults)
        return self

    def _faults(self) -> Iterator[Fault]:
        seen: dict[str, int] = {}
        for number, task in enumerate(self.tasks):
            place: tuple[Any, ...] = ("tasks", number)
            if task.name in seen:
                yield Fault((*place, "name"), f"{task.name} is the name of another", ("tasks", seen[task.name], "name"))
            if task.window is not None and task.window not in self.windows:
                yield Fault((*place, "window"), f"there is no window {task.window}")
            for before in task.after:
                if before not in seen:
                    yield Fault((*place, "after"), f"there is no task {before} above this one")
            seen.setdefault(task.name, number)


FORM = TypeAdapter(MaintenancePlan)


def read_plan(path: Path) -> MaintenancePlan:
    """A plan.

    Raises:
        NotFound: there is no such file.
        BadInput: it is wrong; `details["problems"]` has every fault with its line.
    """
    return read_yaml(path.expanduser(), fix=FIX, field="plan").read_as(FORM)
