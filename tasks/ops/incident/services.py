"""The services file: whose what is, what it needs, and where its metrics, logs and changes are looked up."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, TypeAdapter, field_validator, model_validator

from blocks.errors import C500Error
from blocks.faults import Fault, faulty
from blocks.hosts.inventory import LOCAL, HostName
from blocks.model import Frozen
from blocks.patterns import Pattern, compiled
from blocks.yaml_file import read_yaml
from tasks.ops.runbook.metric import unquoted
from tasks.ops.runbook.template import Template, parse_template
from tasks.ops.runbook.typed import is_plain_path

FIX = "correct the services file; docs/operations/incidents.md shows its form"
SOURCE_S = 15.0
"""Of each source: what has not answered by then is a gap in the briefing."""

OWN_LABELS = ("service", "job", "app", "application", "deployment", "container")
"""Labels that name a service, where the file does not say otherwise."""

KNOWN = ("service", "alert", "labels")
"""What queries and commands may have in them: `{{ service }}`, `{{ alert }}`, `{{ labels.instance }}`."""
TIMES = ("since", "until")


def _query(text: str) -> str:
    template = _template(text, KNOWN)
    if unquoted(template):
        raise ValueError('values stand within double quotes, as in up{job="{{ service }}"}')
    return text


def _word(text: str) -> str:
    _template(text, (*KNOWN, *TIMES))
    return text


def _template(text: str, known: tuple[str, ...]) -> Template:
    template = parse_template(text)
    for slot in template.slots:
        if slot.name not in known or (slot.name == "labels") != (len(slot.path) == 1):
            raise ValueError(f"there is no value {slot}; there are {', '.join(known[:2])} and labels.NAME")
    return template


def _plain_path(path: str) -> str:
    if not is_plain_path(path):
        raise ValueError("here belongs a plain absolute path")
    return path


Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_./-]{0,80}$")]
Line = Annotated[str, Field(max_length=500)]
Query = Annotated[str, Field(min_length=1, max_length=2000), AfterValidator(_query)]
Word = Annotated[str, Field(max_length=2000), AfterValidator(_word)]
PlainPath = Annotated[str, AfterValidator(_plain_path)]


class Metric(Frozen):
    """A metric to look at.

    Attributes:
        name: For people.
        query: PromQL; values stand within double quotes.
        unit: Of its values.
        above, below: Beyond these it is a finding.
    """

    name: Line
    query: Query
    unit: str = Field(default="", max_length=20)
    above: float | None = None
    below: float | None = None


class LogPlace(Frozen):
    """Where a log is; one of `file`, `journal` and `command`.

    Attributes:
        name: For people.
        file: Path on the host.
        journal: Unit of systemd.
        command: Program and arguments, a word each, as of Loki's logcli; `{{ since }}` and `{{ until }}` are moments.
        host: Of the inventory.
    """

    name: Line
    file: PlainPath | None = None
    journal: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9@_.:-]*$")
    command: tuple[Word, ...] = ()
    host: HostName = LOCAL

    @model_validator(mode="after")
    def _one_place(self) -> "LogPlace":
        if sum((self.file is not None, self.journal is not None, bool(self.command))) != 1:
            raise faulty([Fault(("file",), "one of file, journal and command")])
        return self


class Repository(Frozen):
    """A git repository whose commits are changes of a service.

    Attributes:
        path: Of its folder.
        paths: Only commits that touch these; all, if there are none.
        host: Of the inventory.
    """

    path: PlainPath
    paths: tuple[Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.][^\n\x00]*$")], ...] = ()
    host: HostName = LOCAL


class Dashboard(Frozen):
    """A page to look at."""

    title: Line
    url: Annotated[str, StringConstraints(pattern=r"^https?://\S+$", max_length=1000)]


class Service(Frozen):
    """A service.

    Attributes:
        match: RE2 that the whole of each label has to match; by default one of the usual labels has its name.
        description: What it is.
        owner: Who looks after it: a team.
        contact: How they are reached.
        depends_on: Other services it needs.
        dashboards: Pages to look at.
        metrics: What is asked of Prometheus.
        logs: Where its logs are.
        repositories: Where its changes come from.
        act: Whether fitting runbooks are only suggested, or people are asked at once whether to run them.
    """

    match: dict[str, Pattern] = Field(default_factory=dict[str, str])
    description: Line = ""
    owner: Line = ""
    contact: Line = ""
    depends_on: tuple[Name, ...] = ()
    dashboards: tuple[Dashboard, ...] = ()
    metrics: tuple[Metric, ...] = ()
    logs: tuple[LogPlace, ...] = ()
    repositories: tuple[Repository, ...] = ()
    act: Literal["suggest", "ask"] = "suggest"

    def is_meant(self, name: str, labels: Mapping[str, str]) -> bool:
        """Whether an alert with these labels is about it."""
        if not self.match:
            return any(labels.get(label) == name for label in OWN_LABELS)
        return all(
            label in labels and compiled(pattern).fullmatch(labels[label]) is not None
            for label, pattern in self.match.items()
        )


class Services(Frozen):
    """The services there are.

    Attributes:
        source_s: Seconds that each source of context has.
        metrics: Asked for every service.
        services: By name.
    """

    source_s: float = Field(default=SOURCE_S, gt=0, le=30)
    metrics: tuple[Metric, ...] = ()
    services: dict[Name, Service] = Field(default_factory=dict[str, Service])

    @field_validator("services", mode="before")
    @classmethod
    def _none_is_empty(cls, value: object) -> object:
        if isinstance(value, dict):
            return {name: {} if facts is None else facts for name, facts in value.items()}  # pyright: ignore[reportUnknownVariableType]
        return value

    def of(self, alerts: Iterable[Mapping[str, str]]) -> tuple[str, ...]:
        """The services that alerts with these labels are about; those of no entry are named by the labels alone."""
        found: dict[str, None] = {}
        for labels in alerts:
            names = [name for name, one in self.services.items() if one.is_meant(name, labels)]
            told = next((labels[label] for label in OWN_LABELS if labels.get(label)), None)
            found |= dict.fromkeys(names or ([told[:80]] if told else []))
        return tuple(found)

    def dependents(self, name: str) -> list[str]:
        """Services that need one."""
        return [other for other, one in self.services.items() if name in one.depends_on]


FORM: TypeAdapter[Services] = TypeAdapter(Services)


def read_services(path: Path) -> Services:
    """The services of a file; none where there is no file.

    Raises:
        BadInput: it is wrong; `details["problems"]` has every fault with its line.
    """
    path = path.expanduser()
    if not path.exists():
        return Services()
    return read_yaml(path, fix=FIX, field="services").read_as(FORM)


def services_or_why(path: Path) -> tuple[Services, str]:
    """The services of a file; of one that cannot be used none, and why: an incident does not wait for its repair."""
    try:
        return read_services(path), ""
    except C500Error as error:
        return Services(), error.message.splitlines()[0]
    except OSError as error:
        return Services(), f"{path} cannot be looked at: {error.strerror or error}"
