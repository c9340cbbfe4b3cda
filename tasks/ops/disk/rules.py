"""The rules by which full disks are healed: which safe actions there are, in which order, and when each applies."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Self

from pydantic import ByteSize, Field, StringConstraints, TypeAdapter, model_validator

from blocks.action import Risk
from blocks.faults import Fault, faulty
from blocks.hosts.inventory import HostName
from blocks.model import Frozen
from blocks.yaml_file import read_yaml
from tasks.ops.deed import Consent

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
Word = Annotated[str, StringConstraints(min_length=1, max_length=4096, pattern=r"^[^\x00]+$")]
Argv = Annotated[tuple[Word, ...], Field(min_length=1)]
AbsolutePath = Annotated[str, StringConstraints(pattern=r"^/[^\x00\n]*$")]

USUAL = Path(__file__).parent / "usual.yaml"
FIX = "correct the rules; docs/operations/disk.md shows their form"


class Place(Frozen):
    """Files of a kind, by where they lie.

    Attributes:
        name: Names them.
        paths: Folders or files; what is on another file system than they are is not looked at.
        patterns: Of the files' names, as `*.gz`; any of them.
        older_than_days: Days since they were last written.
    """

    name: Name
    paths: tuple[AbsolutePath, ...] = Field(min_length=1)
    patterns: tuple[Word, ...] = ("*",)
    older_than_days: int = Field(default=0, ge=0)


KNOWN: tuple[Place, ...] = (
    Place(
        name="package_cache",
        paths=("/var/cache/apt/archives", "/var/cache/dnf", "/var/cache/yum", "/var/cache/pacman/pkg"),
        patterns=("*.deb", "*.rpm", "*.pkg.tar.*"),
    ),
    Place(name="journal", paths=("/var/log/journal", "/run/log/journal"), patterns=("*.journal", "*.journal~")),
    Place(
        name="rotated_logs",
        paths=("/var/log",),
        patterns=("*.gz", "*.xz", "*.bz2", "*.zst", "*.old", "*.[0-9]", "*.[0-9][0-9]"),
    ),
    Place(name="core_dumps", paths=("/var/lib/systemd/coredump", "/var/crash", "/var/lib/apport/coredump")),
)
"""What is looked for everywhere; rules may add places of their own, or say one of these differently."""

ELSEWHERE: tuple[str, ...] = ("docker", "old_kernels", "deleted_open")
"""Found by other means than names of files."""


class When(Frozen):
    """When an action applies: all that is said here must hold.

    Attributes:
        finding: What must have been found on the file system.
        at_least: How much of it.
        used_percent_above: How full the file system must be.
        check: A command that only looks, and ends with 0 where the action may begin.
    """

    finding: Name | None = None
    at_least: ByteSize = ByteSize(1_000_000)
    used_percent_above: float | None = Field(default=None, ge=0, le=100)
    check: Argv | None = None


class DiskAction(Frozen):
    """Something that makes room and may be done.

    Attributes:
        name: Names it.
        place: A folder on the file system in which it makes room; it applies to no other.
        hosts: On which hosts.
        when: When it applies.
        argv: The program and its arguments, exactly as they are run; no shell takes part.
        expects: How much room it makes; None: all that was found of `when.finding`.
        consent: Who must agree, beyond what the policy wants.
        risk: How much harm it may do.
        reversible: Whether it can be taken back.
        repeatable: Whether doing it twice is as doing it once.
        become: Whether it runs as root.
        timeout_s: Seconds that it may take.
        on_no_gain: What happens where it made no room: `stop`, since something is not as the rules think, or `next`.
    """

    name: Name
    place: AbsolutePath
    hosts: tuple[HostName, ...] = Field(default=("all",), min_length=1)
    when: When = When()
    argv: Argv
    expects: ByteSize | None = None
    consent: Consent = "rules"
    risk: Risk = "medium"
    reversible: bool = False
    repeatable: bool = True
    become: bool = False
    timeout_s: float = Field(default=900, gt=0, le=86_400)
    on_no_gain: str = Field(default="stop", pattern=r"^(stop|next)$")


class DiskRules(Frozen):
    """The file.

    Attributes:
        hosts: Which are looked at.
        parallel: How many at once.
        filesystems: Folders whose file systems are looked at; empty: all disks of each host.
        threshold_percent: Above it a file system is full, in bytes or in inodes.
        target_percent: It is healed down to this; None: to the threshold.
        least_gain: What made less room made none.
        look_s: Seconds that each look for what takes the room may take.
        become: Whether the looks run as root, who may see more.
        findings: More places, or other words for known ones.
        actions: What may be done, in this order.
    """

    hosts: tuple[HostName, ...] = Field(default=("all",), min_length=1)
    parallel: int = Field(default=4, ge=1, le=100)
    filesystems: tuple[AbsolutePath, ...] = ()
    threshold_percent: float = Field(default=85, gt=0, le=100)
    target_percent: float | None = Field(default=None, gt=0, le=100)
    least_gain: ByteSize = ByteSize(1_000_000)
    look_s: float = Field(default=120, gt=0, le=3600)
    become: bool = False
    findings: tuple[Place, ...] = ()
    actions: tuple[DiskAction, ...] = Field(min_length=1)

    @property
    def target(self) -> float:
        """Per cent down to which it is healed."""
        return self.threshold_percent if self.target_percent is None else self.target_percent

    @property
    def places(self) -> tuple[Place, ...]:
        """All places that are looked at."""
        own = {one.name for one in self.findings}
        return (*(one for one in KNOWN if one.name not in own), *self.findings)

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if faults := list(self._faults()):
            raise faulty(faults)
        return self

    def _faults(self) -> Iterator[Fault]:
        if self.target > self.threshold_percent:
            yield Fault(("target_percent",), "it is above threshold_percent")
        known = {*(one.name for one in self.places), *ELSEWHERE}
        for part, names in (
            ("findings", [one.name for one in self.findings]),
            ("actions", [a.name for a in self.actions]),
        ):
            for number, name in enumerate(names):
                if name in names[:number]:
                    yield Fault(
                        (part, number, "name"), f"{name} is the name of another", (part, names.index(name), "name")
                    )
        for number, action in enumerate(self.actions):
            if action.when.finding is not None and action.when.finding not in known:
                told = f"there is no finding {action.when.finding}; there are {', '.join(sorted(known))}"
                yield Fault(("actions", number, "when", "finding"), told)


FORM = TypeAdapter(DiskRules)


def rules_of(named: str, begun_with: str = "") -> Path:
    """The file of rules: the one that is named, else the one that the run began with, else the usual one."""
    return Path(named or begun_with or USUAL).expanduser().absolute()


def read_rules(path: Path) -> DiskRules:
    """The rules of a file.

    Raises:
        NotFound: there is no such file.
        BadInput: it is wrong; `details["problems"]` has every fault with its line.
    """
    return read_yaml(path.expanduser(), fix=FIX, field="rules").read_as(FORM)
