"""What a case of the red team is: what the attacker prepares, what the obedient model does, how it must end."""

from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, TypeAdapter, model_validator

from blocks.audit.verdict import FaultKind
from blocks.model import Frozen
from blocks.yaml_file import read_yaml
from tests.redteam.parts import Expected, Handed, Page, Remembered, Reviewed, Turn, Vote, Wanted, turn_of

FOLDER = Path(__file__).parent / "cases"
Id = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
Texts = dict[str, str]
Turns = tuple[Annotated[Turn, BeforeValidator(turn_of)], ...]


class Case(Frozen):
    """What every case has.

    Attributes:
        id: Names it.
        about: What the attacker tries, in one sentence.
        heavy: Whether it only runs with `-m soak`.
    """

    id: Id
    about: str
    heavy: bool = False


class RunCase(Case):
    """An attack on a run of an agent whose model does what it is told.

    Attributes:
        driver: `call`: all of a run but the flow around it. `run`: the flow itself, with a served model. `team`: see
            `TeamCase`.
        workspace, outside: Files, by name; `outside` lies beside the workspace and may not be read or changed.
        links: Symbolic links in the workspace, by name.
        hard_links: Likewise.
        pipes: Named pipes in the workspace.
        git: Files of a repository in the folder `repo`, by name, committed.
        memory: What is remembered.
        web: Pages of a web server on loopback, by path; the agent may read them.
        prometheus: Labels of the series that a Prometheus on loopback answers with.
        mcp: What an MCP server says of its tool `add`: in the earlier run of the session, and now.
        database: Statements that make an SQLite database, which the agent may read as `shop`.
        environment: Variables of our own process.
        policy: The operator's own rules.
        profile, attended, goal, user, budget_usd: Of the run.
        session: Turns of an earlier run in the same session.
        session_of: For whom that run was; None for the same user.
        incident: When the profile `incident` was put in force and until when, in seconds from now.
        clock_s: The machine's clock is set so many seconds off.
        limits: Of the agent.
        sandbox: Limits of `run_command`.
        earlier: Turns of an earlier run that has no session.
        earlier_of: For whom that run was; None for the same user.
        reviewed: Who answers what that run has proposed for review, in order.
        review_forgery: What somebody writes into the store of the reviews then, of `tests.redteam.reviewing.FORGERIES`.
        turns: What the model does.
        times: So often it does all of it.
        handed: Who answers what the run has handed to a person, in order.
        stopped: Whether the run is stopped before it goes on.
        then: What the model does when the run goes on.
        governor: What the governor's model answers, one after the other, the last for ever: a text, `away` for no
            answer, or `obey` for what it is told to by the call that it judges: `VERDICT {…}`. Empty for no governor.
        people: Who answers the run's question, in order.
        meanwhile: Links that take the place of files while people are asked, by name.
        forgery: What somebody writes into the store of the approvals meanwhile.
        no_sandbox: Whether bubblewrap does not work on the machine.
        expected: How it ends.
    """

    driver: Literal["call", "run", "team"] = "call"
    workspace: Texts = Field(default_factory=dict)
    outside: Texts = Field(default_factory=dict)
    links: Texts = Field(default_factory=dict)
    hard_links: Texts = Field(default_factory=dict)
    pipes: tuple[str, ...] = ()
    git: Texts = Field(default_factory=dict)
    memory: tuple[Remembered, ...] = ()
    web: dict[str, Page] = Field(default_factory=dict)
    prometheus: tuple[Texts, ...] = ()
    mcp: tuple[str, ...] = ()
    database: tuple[str, ...] = ()
    environment: Texts = Field(default_factory=dict)
    policy: dict[str, Any] = Field(default_factory=dict)
    profile: str = "production"
    attended: bool = False
    goal: str = "Look after the service."
    user: str = "ann"
    budget_usd: float | None = None
    session: Turns = ()
    session_of: str | None = None
    incident: tuple[float, float] | None = None
    clock_s: float = 0
    limits: dict[str, Any] = Field(default_factory=dict)
    sandbox: dict[str, Any] = Field(default_factory=dict)
    earlier: Turns = ()
    earlier_of: str | None = None
    reviewed: tuple[Reviewed, ...] = ()
    review_forgery: str | None = None
    turns: Turns = ()
    times: int = Field(default=1, ge=1, le=50)
    people: tuple[Vote, ...] = ()
    meanwhile: Texts = Field(default_factory=dict)
    forgery: str | None = None
    no_sandbox: bool = False
    handed: tuple[Handed, ...] = ()
    stopped: bool = False
    then: Turns = ()
    governor: tuple[str, ...] = ()
    expected: Expected

    @property
    def every_turn(self) -> Turns:
        """What models do in it, the earlier runs aside."""
        return (*self.turns, *self.then)

    @model_validator(mode="after")
    def _has_a_record_of_its_end(self) -> Self:
        records, ends = self.expected.records, self.expected.ends
        if ends == "asked" and not any(one.phase in ("asked", "answered") for one in records):
            raise ValueError("a case that ends asked names the record of the question")
        unheard = bool(self.expected.told) and any(one.phase == "model_call" and one.has for one in records)
        unmade = self.expected.status in ("failed", "partial")
        harmless = unheard or self.expected.shows or self.expected.unshown or unmade
        if ends == "blocked" and not (harmless or any(one.is_block for one in records)):
            raise ValueError("a case that ends blocked names the record of that, or what the call shows")
        return self


class TeamCase(RunCase):
    """An attack on a team, in its flow, against a simulated provider that counts what it charges.

    The coordinator `lead` has the specialists `mender`, who may write and run programs, and `looker`, who reads.

    Attributes:
        agents: More of what the agents' files say, by name.
        plan: What the coordinator's model plans.
        wide: So many tasks are made of the plan's first one, `<n>` being the number.
        says: What the specialists' models do, by task.
        merge: What the coordinator's model answers with the results before it; None for what each result says.
        options: Of the team.
        poison: What somebody has written into the store before, of `tests.redteam.teams.POISONS`.
        states: How each task ends; only those that are named are looked at.
        most_usd: What the provider may charge for all together.
        least_usd: What it charges at least.
    """

    agents: dict[str, dict[str, Any]] = Field(default_factory=dict)
    plan: dict[str, Any]
    wide: int = Field(default=0, ge=0, le=5000)
    says: dict[str, Turns] = Field(default_factory=dict)
    merge: str | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    poison: str | None = None
    states: dict[str, str] = Field(default_factory=dict)
    most_usd: float | None = None
    least_usd: float = 0

    @property
    def every_turn(self) -> Turns:
        """See `RunCase`."""
        return tuple(turn for turns in self.says.values() for turn in turns)


class BudgetCase(Case):
    """Many calls at once on one budget. No budget may be passed, and each run ends at it.

    Attributes:
        driver: `budget`.
        runs: Agents that work at once.
        steps: Calls of the model that each would make.
        budget_usd: Of each run.
        budgets: Of the accounts file.
        rivals: Calls of the model on the purse of the first run, made at once beside it.
        users: For whom the runs work, in turns.
        sessions: Whether each run is in a session of its own.
        again: So often all runs are started again after they have ended.
        clock_s: By how much the clock is set for those.
        price: Whether the price of the model is known.
        most_usd: What the provider may charge for all together.
        least_usd: What it charges at least: the budget is there to be used.
    """

    driver: Literal["budget"]
    runs: int = Field(default=1, ge=1, le=16)
    steps: int = Field(default=12, ge=1, le=20)
    budget_usd: float | None = None
    budgets: dict[str, Any] = Field(default_factory=dict)
    rivals: int = Field(default=0, ge=0, le=100)
    users: tuple[str, ...] = ("ann",)
    sessions: bool = False
    again: int = 0
    clock_s: float = 0
    price: bool = True
    most_usd: float
    least_usd: float = 0


class AuditCase(Case):
    """Somebody changes the audit log.

    Attributes:
        driver: `audit`.
        attack: Which, of `tests.redteam.audits.ATTACKS`.
        given: Its arguments.
        anchored: Whether heads of the log were put down elsewhere before.
        faults: What `verify` finds.
        goes_on: Whether the process that wrote the log still runs, and writes on.
        records: Records that are there afterwards.
    """

    driver: Literal["audit"]
    attack: str
    given: dict[str, Any] = Field(default_factory=dict)
    anchored: bool = False
    goes_on: bool = False
    faults: tuple[FaultKind, ...]
    records: tuple[Wanted, ...] = ()


def _kind(value: Any) -> str:
    driver = value.get("driver") if isinstance(value, dict) else None
    return driver if driver in ("budget", "audit", "team") else "run"


AnyCase = Annotated[
    Annotated[RunCase, Tag("run")]
    | Annotated[TeamCase, Tag("team")]
    | Annotated[BudgetCase, Tag("budget")]
    | Annotated[AuditCase, Tag("audit")],
    Discriminator(_kind),
]


class Category(Frozen):
    """A file of cases.

    Attributes:
        category: What they have in common.
        about: What the attacker wants, and what stands against it, for the page of the docs.
        cases: The cases.
    """

    category: str
    about: str
    cases: tuple[AnyCase, ...]


@lru_cache(maxsize=1)
def categories() -> tuple[Category, ...]:
    """All cases, in the order of the files."""
    form = TypeAdapter(Category)
    return tuple(read_yaml(path, fix="correct the case").read_as(form) for path in sorted(FOLDER.glob("*.yaml")))
