"""Rules of a policy as people write them: a verdict, why, and what it is about."""

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from blocks.action import Label, Risk
from blocks.faults import Fault, faulty
from blocks.model import Frozen
from blocks.policy.command import Command
from blocks.policy.hosts import HostGlob, PrivateHost
from blocks.policy.paths import PathGlob
from blocks.policy.verdict import Persons, Verdict
from blocks.policy.windows import Window

Id = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
ProfileName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,31}$")]
ToolGlob = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:*?-]+$")]
NameGlob = Annotated[str, StringConstraints(pattern=r"^[^\s\[\]]+$")]
Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=300, pattern=r"^[^\n\r]+$")]
Bytes = Annotated[int, Field(ge=0, strict=True)]

LONGEST_S = 24 * 3600.0
"""Seconds that a profile which expires may be in force at a time."""

NO_CONDITION = {"id", "verdict", "reason", "persons", "profiles"}
OUT_OF_ALLOW = "a rule that allows says what is allowed, and not only what is not"


class Rule(Frozen):
    """A rule; what it does not say is the same to it. Several values of a field are alternatives.

    To forbid, ask or notify, one path, host or command of an action that may be meant is enough; to allow, there must
    be one, and all of them must surely be.

    Attributes:
        id: Names it in decisions.
        verdict: See `verdict.VERDICTS`.
        reason: Why, for people and for the model.
        persons: How many different persons must agree, where one is asked.
        profiles: In which profiles it holds.
        tools: Names of tools.
        risk_at_least: Risk of the tool.
        risk_at_most: Likewise.
        read_only: Whether the tool changes nothing.
        reversible: Whether what it does can be undone.
        outside: Whether it has effects beyond the workspace, or connects to a host.
        paths: Paths that are read, written, or named in a command.
        reads: Paths that are read.
        writes: Paths that are written, moved or deleted.
        hosts: Hosts that are connected to; to forbid, also those named in a command.
        commands: Programs that are run.
        size_above_bytes: What is written or sent is more; what nobody knows may be.
        size_at_most_bytes: It is not more.
        times: When it holds.
        users: For whom the agent works.
        agents: Names of agents.
        labels: What the run has seen: all of these.
    """

    id: Id
    verdict: Verdict
    reason: Reason
    persons: Persons = 1
    profiles: tuple[ProfileName, ...] = Field(default=(), min_length=1)
    tools: tuple[ToolGlob, ...] = Field(default=(), min_length=1)
    tools_except: tuple[ToolGlob, ...] = Field(default=(), min_length=1)
    risk_at_least: Risk | None = None
    risk_at_most: Risk | None = None
    read_only: bool | None = None
    reversible: bool | None = None
    outside: bool | None = None
    paths: tuple[PathGlob, ...] = Field(default=(), min_length=1)
    paths_except: tuple[PathGlob, ...] = Field(default=(), min_length=1)
    reads: tuple[PathGlob, ...] = Field(default=(), min_length=1)
    reads_except: tuple[PathGlob, ...] = Field(default=(), min_length=1)
    writes: tuple[PathGlob, ...] = Field(default=(), min_length=1)
    writes_except: tuple[PathGlob, ...] = Field(default=(), min_length=1)
    hosts: tuple[HostGlob, ...] = Field(default=(), min_length=1)
    hosts_except: tuple[HostGlob, ...] = Field(default=(), min_length=1)
    commands: tuple[Command, ...] = Field(default=(), min_length=1)
    size_above_bytes: Bytes | None = None
    size_at_most_bytes: Bytes | None = None
    times: tuple[Window, ...] = Field(default=(), min_length=1)
    users: tuple[NameGlob, ...] = Field(default=(), min_length=1)
    users_except: tuple[NameGlob, ...] = Field(default=(), min_length=1)
    agents: tuple[NameGlob, ...] = Field(default=(), min_length=1)
    agents_except: tuple[NameGlob, ...] = Field(default=(), min_length=1)
    labels: frozenset[Label] = Field(default=frozenset[Label](), min_length=1)

    @property
    def widens(self) -> bool:
        """Whether it lets something go on that would be asked without it."""
        return self.verdict in ("allow", "notify")

    @property
    def conditions(self) -> set[str]:
        """The fields that say what it is about."""
        empty: tuple[object, ...] = (None, (), frozenset[Label]())
        return {field for field in self.model_fields_set - NO_CONDITION if getattr(self, field) not in empty}

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if faults := list(self._faults()):
            raise faulty(faults)
        return self

    def _faults(self) -> Iterator[Fault]:
        if not self.conditions:
            yield Fault(("id",), 'the rule says of nothing what it is about; `tools: ["*"]` is every tool')
        if self.persons > 1 and self.verdict != "ask":
            yield Fault(("persons",), "only a rule that asks has persons")
        if self.verdict == "deny" and self.profiles:
            yield Fault(("profiles",), "deny holds in every profile; use forbid for some")
        if self.widens:
            for number, command in enumerate(self.commands):
                yield from (Fault(("commands", number, field), what) for field, what in command.unsafe())
            for field in ("paths", "reads", "writes", "hosts"):
                if getattr(self, f"{field}_except") and not getattr(self, field):
                    yield Fault((f"{field}_except",), OUT_OF_ALLOW)


class Flow(Frozen):
    """A rule about what a run has seen: it holds wherever something goes out, and no other rule makes it milder.

    Attributes:
        id: Names it in decisions, as `flow:ID`.
        verdict: What becomes of an action with effects outside.
        reason: Why.
        labels: What the run has seen: all of these.
        persons: How many different persons must agree, where one is asked.
    """

    id: Id
    verdict: Literal["deny", "forbid", "ask"]
    reason: Reason
    labels: frozenset[Label] = Field(min_length=1)
    persons: Persons = 1


class Profile(Frozen):
    """How free an agent is.

    Attributes:
        about: When it is used.
        sandbox: The weakest in which programs may run.
        dry_run: Whether agents only plan, and change nothing.
        falls_back_to: The stricter profile that holds when this one was not activated, or not for now.
        lasts_at_most_s: Seconds that it may be in force at a time; only of one that falls back.
    """

    about: str
    sandbox: Literal["bubblewrap", "restricted"] = "bubblewrap"
    dry_run: bool = False
    falls_back_to: ProfileName | None = None
    lasts_at_most_s: float = Field(default=LONGEST_S, gt=0, le=LONGEST_S)


class Default(Frozen):
    """What holds for actions that no rule allows.

    Attributes:
        harmless: Of known tools that only read, at low risk, and reach no host.
        other: Of all others.
    """

    harmless: Literal["ask", "notify", "allow"] = "allow"
    other: Literal["ask"] = "ask"


class PolicyFile(Frozen):
    """A file of rules, which come to those that are shipped.

    Attributes:
        profiles: By name; one of a shipped name takes its place.
        default: What holds where no rule does; the stricter of this and the shipped one.
        flows: Rules about what a run has seen.
        private_hosts: Hosts of private networks that may be reached at all.
        without: Ids of shipped rules that do not hold; none that denies.
        rules: The rules, in any order.
    """

    profiles: dict[ProfileName, Profile] = Field(default_factory=dict[ProfileName, Profile])
    default: Default | None = None
    flows: tuple[Flow, ...] = ()
    private_hosts: tuple[PrivateHost, ...] = ()
    without: tuple[Id, ...] = ()
    rules: tuple[Rule, ...] = ()
