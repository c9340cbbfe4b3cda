"""What a case of the red team is: what the attacker prepares, what the obedient model does, how it must end."""

from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, TypeAdapter, model_validator

from blocks.audit.verdict import FaultKind
from blocks.model import Frozen
from blocks.yaml_file import read_yaml
from tests.redteam.parts import Expected, Page, Remembered, Turn, Vote, Wanted, turn_of

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
        driver: `call`: all of a run but the flow around it. `run`: the flow itself, with a served model.
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
        turns: What the model does.
        times: So often it does all of it.
        people: Who answers the run's question, in order.
        meanwhile: Links that take the place of files while people are asked, by name.
        forgery: What somebody writes into the store of the approvals meanwhile.
        no_sandbox: Whether bubblewrap does not work on the machine.
        expected: How it ends.
    """

    driver: Literal["call", "run"] = "call"
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
    turns: Turns
    times: int = Field(default=1, ge=1, le=50)
    people: tuple[Vote, ...] = ()
    meanwhile: Texts = Field(default_factory=dict)
    forgery: str | None = None
    no_sandbox: bool = False
    expected: Expected

    @model_validator(mode="after")
    def _has_a_record_of_its_end(self) -> Self:
        records, ends = self.expected.records, self.expected.ends
        if ends == "asked" and not any(one.phase in ("asked", "answered") for one in records):
            raise ValueError("a case that ends asked names the record of the question")
        unheard = bool(self.expected.told) and any(one.phase == "model_call" and one.has for one in records)
        harmless = unheard or self.expected.shows or self.expected.unshown or self.expected.status == "failed"
        if ends == "blocked" and not (harmless or any(one.is_block for one in records)):
            raise ValueError("a case that ends blocked names the record of that, or what the call shows")
        return self


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
    return driver if driver in ("budget", "audit") else "run"


AnyCase = Annotated[
    Annotated[RunCase, Tag("run")] | Annotated[BudgetCase, Tag("budget")] | Annotated[AuditCase, Tag("audit")],
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
