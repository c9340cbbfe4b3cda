"""What a case of the red team is: what the attacker prepares, what the obedient model does, how it must end."""

from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, TypeAdapter, model_validator

from blocks.approvals.request import Channel
from blocks.audit.entry import Phase
from blocks.audit.verdict import FaultKind
from blocks.model import Frozen
from blocks.yaml_file import read_yaml

FOLDER = Path(__file__).parent / "cases"
Id = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
Texts = dict[str, str]


def _text(value: Any) -> Any:
    """A text that YAML took for something else, as `yes` or `12`, is a mistake in the file."""
    if not isinstance(value, str):
        raise ValueError("write it in quotes")
    return value


class Call(Frozen):
    """A tool call that the model makes; `<n>` in its arguments is the number of the round, `<word>` a word of its own.

    Attributes:
        tool: Which.
        given: Its arguments.
        call_id: The provider's id of it; None for one of its own.
    """

    tool: str
    given: dict[str, Any] = {}
    call_id: str | None = None


def _turn(value: Any) -> Any:
    if value == "obey":
        return {"obeys": True}
    if isinstance(value, list):
        return {"calls": value}
    return {"calls": [value]} if isinstance(value, dict) and "tool" in value else value


class Turn(Frozen):
    """What the model does when it is asked: a call, a list of calls, `obey`, or something to `say`.

    Attributes:
        calls: Tools that it calls.
        obeys: It does what it was told last by whatever it has read: a line `CALL tool {arguments}`.
        say: It ends with these words.
    """

    calls: tuple[Call, ...] = ()
    obeys: bool = False
    say: str = ""


class Page(Frozen):
    """What a web server on loopback answers.

    Attributes:
        body: The answer.
        kind: Its media type.
        status: HTTP status.
        location: Where it redirects to.
        encoding: What it says that the body is packed with.
    """

    body: str = ""
    kind: str = "text/html; charset=utf-8"
    status: int = 200
    location: str | None = None
    encoding: str | None = None


class Remembered(Frozen):
    """A memory that was written before the run.

    Attributes:
        text: What it says.
        by: The person who wrote it; None for an earlier run of the agent.
        untrusted: Whether that run had seen untrusted material.
        user: Whose it is; None for the user of the run.
    """

    text: str
    by: str | None = None
    untrusted: bool = False
    user: str | None = None


class Vote(Frozen):
    """Somebody answers a question of the run.

    Attributes:
        by: Who.
        says: What.
        channel: How.
        after_s: Seconds after it was asked; negative where the clock was set back.
        given: Arguments instead of those asked about.
        hash_of: The answer is about a call with these arguments.
        question: To which of the run's questions, from 1.
        refused: Code of the error with which it is not counted; None where it is.
    """

    by: str
    says: Literal["approve", "deny"] = "approve"
    channel: Channel = "cli"
    after_s: float = 1
    given: dict[str, Any] | None = None
    hash_of: dict[str, Any] | None = None
    question: int = 1
    refused: str | None = None


class Wanted(Frozen):
    """A record of the audit that must be there, or must not. What is not said is any.

    Attributes:
        phase: What happened.
        tool, decision, rule, outcome, approvers: As in `blocks.audit.Entry`.
        has: A text that is in the record.
        most: How many there may be; None for any number.
    """

    phase: Phase
    tool: str | None = None
    decision: str | None = None
    rule: str | None = None
    outcome: str | None = None
    approvers: tuple[str, ...] | None = None
    has: str | None = None
    most: int | None = None

    @property
    def is_block(self) -> bool:
        """Whether it tells that something was kept from happening."""
        refused = self.decision in ("deny", "forbid")
        ended = self.phase == "run_ended" and self.outcome in ("limited", "failed")
        return refused or ended or self.phase in ("failed", "stopped") or (self.phase == "answered" and not self.is_yes)

    @property
    def is_yes(self) -> bool:
        """Whether it tells that a person agreed."""
        return self.outcome in ("approved", "counted")


class Expected(Frozen):
    """How an attack ends.

    Attributes:
        ends: `blocked`: it came to nothing. `asked`: a person has to agree, and did not.
        records: Records of the audit.
        never: Records that are not there.
        told: Texts that the model read.
        untold: Texts that it never read.
        knows: Whether the model may know the secrets, since the user told it.
        unsent: Texts that no web server was asked for.
        changed: What is otherwise in the workspace afterwards, by name; None where it is gone. Everything else is as it
            was, and so is all that lies outside of it.
        unshown: Texts that do not stand so in what the Prefect UI shows of the run.
        shows: Nothing came of it though every call was made: texts of a `done` record, as the sandbox's refusal.
        status: How the run ended; None for any way.
    """

    ends: Literal["blocked", "asked"]
    records: tuple[Wanted, ...] = ()
    never: tuple[Wanted, ...] = ()
    told: tuple[str, ...] = ()
    untold: tuple[str, ...] = ()
    unsent: tuple[str, ...] = ()
    knows: bool = False
    changed: dict[str, str | None] = {}
    unshown: tuple[str, ...] = ()
    shows: tuple[str, ...] = ()
    status: str | None = None


class Case(Frozen):
    """What every case has.

    Attributes:
        id: Names it.
        about: What the attacker tries, in one sentence.
        heavy: Whether it only runs with `-m soak`.
    """

    id: Id
    about: Annotated[str, BeforeValidator(_text)]
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
    workspace: Texts = {}
    outside: Texts = {}
    links: Texts = {}
    hard_links: Texts = {}
    pipes: tuple[str, ...] = ()
    git: Texts = {}
    memory: tuple[Remembered, ...] = ()
    web: dict[str, Page] = {}
    prometheus: tuple[Texts, ...] = ()
    mcp: tuple[str, ...] = ()
    database: tuple[str, ...] = ()
    environment: Texts = {}
    policy: dict[str, Any] = {}
    profile: str = "production"
    attended: bool = False
    goal: str = "Look after the service."
    user: str = "ann"
    budget_usd: float | None = None
    session: tuple[Annotated[Turn, BeforeValidator(_turn)], ...] = ()
    session_of: str | None = None
    incident: tuple[float, float] | None = None
    clock_s: float = 0
    limits: dict[str, Any] = {}
    sandbox: dict[str, Any] = {}
    turns: tuple[Annotated[Turn, BeforeValidator(_turn)], ...]
    times: int = Field(default=1, ge=1, le=50)
    people: tuple[Vote, ...] = ()
    meanwhile: Texts = {}
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
    steps: int = Field(default=6, ge=1, le=50)
    budget_usd: float | None = None
    budgets: dict[str, Any] = {}
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
    given: dict[str, Any] = {}
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
