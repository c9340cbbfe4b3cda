"""The plan of a migration: phases with what they do, how it is verified and how it is undone."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, TypeAdapter, model_validator

from blocks.action import Risk
from blocks.databases_file import DatabaseName
from blocks.errors import NotFound
from blocks.faults import Fault
from blocks.hosts.command import VARIABLE
from blocks.hosts.inventory import LOCAL, HostName
from blocks.model import Frozen
from blocks.policy.windows import Window
from blocks.secret_reference import SecretReference
from blocks.yaml_file import YamlText, read_yaml
from tasks.ops.deed import Consent
from tasks.ops.migration.statements import ENDS_TRANSACTION, first_words, split_statements

FIX = "correct the plan; docs/operations/migrations.md shows its form"

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,39}$")]
Resource = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]*(/[a-z0-9][a-z0-9._-]*)*$", max_length=100)]
Variable = Annotated[str, StringConstraints(pattern=f"^{VARIABLE.pattern}$")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=200_000)]


class Command(Frozen):
    """A program that runs on a host, without a shell.

    Attributes:
        kind: `command`.
        host: Of the inventory.
        argv: The program and its arguments.
        env: Variables that it gets beside C500_MIGRATION, C500_PHASE, C500_RUN and the tokens.
        secrets: Variables whose values are secrets: where they are.
        database: Whose address it gets as PGHOST, PGPORT, PGUSER, PGPASSWORD and PGDATABASE, as `psql` reads them.
        cwd: The folder it runs in; on this machine the plan's by default.
        become: Whether it runs as root.
        timeout_s: Seconds after which it is killed.
        repeatable: Whether doing it twice is as doing it once; else one that a crash cut off waits for a person.
        tries: How often it is tried where it ends badly.
        every_s: Seconds between two tries.
    """

    kind: Literal["command"]
    host: HostName = LOCAL
    argv: tuple[str, ...] = Field(min_length=1)
    env: dict[Variable, str] = Field(default_factory=dict[str, str])
    secrets: dict[Variable, SecretReference] = Field(default_factory=dict[str, str])
    database: DatabaseName | None = None
    cwd: str | None = None
    become: bool = False
    timeout_s: float = Field(default=600, gt=0, le=86_400)
    repeatable: bool = False
    tries: int = Field(default=1, ge=1, le=100)
    every_s: float = Field(default=5, ge=0, le=3600)

    @model_validator(mode="after")
    def _may_be_tried_again(self) -> Self:
        if self.tries > 1 and not self.repeatable:
            raise ValueError("what is tried more than once must be repeatable: say so, or take tries out")
        return self


class Sql(Frozen):
    """Statements that run in one transaction, together with the note in the database that they did.

    Attributes:
        kind: `sql`.
        database: Of the plan's `databases`, or of DATABASES_FILE.
        script: The statements.
        file: A file that has them, relative to the plan; read together with it.
        transaction: Whether they run in one; without, each must bear being run twice.
        lock_timeout_s: Seconds that it waits for a lock; whoever comes after it waits as long.
        timeout_s: Seconds of a statement.
        tries: How often it is tried where a lock, a deadlock or the connection is in the way.
        every_s: Seconds between two tries.
    """

    kind: Literal["sql"]
    database: DatabaseName
    script: Text = ""
    file: Path | None = None
    transaction: bool = True
    lock_timeout_s: float = Field(default=1, gt=0, le=3600)
    timeout_s: float = Field(default=600, gt=0, le=86_400)
    tries: int = Field(default=10, ge=1, le=1000)
    every_s: float = Field(default=2, ge=0, le=3600)

    @property
    def statements(self) -> tuple[str, ...]:
        """One by one."""
        return split_statements(self.script)

    @model_validator(mode="after")
    def _is_one_transaction(self) -> Self:
        if bool(self.script) == (self.file is not None):
            raise ValueError("give either script or file")
        if self.script:
            check_script(self.script)
        return self


class Backfill(Frozen):
    """A statement that is repeated for one part of a table after the other; where it is stands in the database.

    Attributes:
        kind: `backfill`.
        database: As of `Sql`.
        batch: Takes the last key of the part before as `$1` and how many rows as `$2`; gives one row: the last key of
            this part, NULL where there was nothing left, and how many rows it looked at: fewer than `$2` end it.
        key: What `$1` is.
        start: The key before the first.
        rows: Of a part.
        pause_s: Seconds between two parts, for everybody else.
        lock_timeout_s, timeout_s, tries, every_s: Of each part, as of `Sql`.
    """

    kind: Literal["backfill"]
    database: DatabaseName
    batch: Text
    key: Literal["bigint", "text"] = "bigint"
    start: str | int = 0
    rows: int = Field(default=1000, ge=1, le=1_000_000)
    pause_s: float = Field(default=0.05, ge=0, le=3600)
    lock_timeout_s: float = Field(default=1, gt=0, le=3600)
    timeout_s: float = Field(default=60, gt=0, le=86_400)
    tries: int = Field(default=10, ge=1, le=1000)
    every_s: float = Field(default=2, ge=0, le=3600)

    @model_validator(mode="after")
    def _is_one_statement(self) -> Self:
        check_script(self.batch)
        if len(split_statements(self.batch)) != 1:
            raise ValueError("batch must be one statement")
        if self.key == "bigint" and not isinstance(self.start, int):
            raise ValueError("start must be a whole number, or key must be text")
        return self


class AgentWork(Frozen):
    """An agent that works on a goal; what it says counts for nothing, the checks decide.

    Attributes:
        kind: `agent`.
        agent: Which.
        goal: What it is to reach.
        profile: Its autonomy profile; None for AGENT_PROFILE.
        workspace: Folder that it may work in, relative to the plan; None for one of its own.
        budget_usd: Most dollars; None for the agent's own limit.
        tries: How often it is tried; each time as a new run.
        every_s: Seconds between two tries.
    """

    kind: Literal["agent"]
    agent: str = Field(default="operator", pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")
    goal: str = Field(min_length=1, max_length=10_000)
    profile: str | None = None
    workspace: str | None = None
    budget_usd: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    tries: int = Field(default=1, ge=1, le=10)
    every_s: float = Field(default=30, ge=0, le=3600)


Action = Annotated[Command | Sql | Backfill | AgentWork, Field(discriminator="kind")]


class _Asked(Frozen):
    """What all checks have.

    Attributes:
        name: Of the check.
        tries: How often it is looked before it counts as failed.
        every_s: Seconds between two looks.
        steady_s: Seconds during which each look must succeed; 0: one is enough.
        timeout_s: Seconds of one look.
    """

    name: Name
    tries: int = Field(default=1, ge=1, le=10_000)
    every_s: float = Field(default=5, gt=0, le=3600)
    steady_s: float = Field(default=0, ge=0, le=86_400)
    timeout_s: float = Field(default=60, gt=0, le=3600)


class SqlCheck(_Asked):
    """A query that must give one row whose first column is true; the others say what was found.

    Attributes:
        kind: `sql`.
        database: As of `Sql`.
        query: One statement, run in a transaction that only reads.
    """

    kind: Literal["sql"]
    database: DatabaseName
    query: Text


class CommandCheck(_Asked):
    """A program that changes nothing and must end with 0.

    Attributes:
        kind: `command`.
        host, argv, env, secrets, database, cwd, become: As of `Command`.
    """

    kind: Literal["command"]
    host: HostName = LOCAL
    argv: tuple[str, ...] = Field(min_length=1)
    env: dict[Variable, str] = Field(default_factory=dict[str, str])
    secrets: dict[Variable, SecretReference] = Field(default_factory=dict[str, str])
    database: DatabaseName | None = None
    cwd: str | None = None
    become: bool = False


Check = Annotated[SqlCheck | CommandCheck, Field(discriminator="kind")]


class Compensation(Frozen):
    """How a phase is undone, wherever it stopped.

    Attributes:
        action: What is done; it must bear that the phase did all, a part, or nothing.
        checks: What must hold afterwards.
        risk: How much harm it may do.
    """

    action: Action
    checks: tuple[Check, ...] = ()
    risk: Risk = "medium"


class Phase(Frozen):
    """A step of a migration that is verified.

    Attributes:
        name: Of the phase.
        says: What it does, in a line for people.
        depends_on: Phases that must be done, that is verified; None for the one before it.
        locks: Shared resources that it needs; once taken they are kept until the migration has ended.
        windows: When it may begin; none for always.
        consent: Who must agree before it is done, beside whom the rules want.
        risk: How much harm it may do.
        action: What is done.
        checks: What must hold afterwards.
        compensation: How it is undone; `nothing` where there is nothing to undo, `impossible` for a point of no return.
        on_failure: What happens when it fails; None as the plan says.
    """

    name: Name
    says: str = Field(default="", max_length=500)
    depends_on: tuple[Name, ...] | None = None
    locks: tuple[Resource, ...] = ()
    windows: tuple[Window, ...] = ()
    consent: Consent = "rules"
    risk: Risk = "medium"
    action: Action
    checks: tuple[Check, ...] = Field(min_length=1)
    compensation: Compensation | Literal["nothing", "impossible"]
    on_failure: Literal["roll_back", "pause"] | None = None


class MigrationPlan(Frozen):
    """A migration.

    Attributes:
        name: Of the migration; its id unless another is given.
        about: What it is for.
        databases: Where the addresses of databases are, `postgresql://…` with user and password, by their names in
            this plan; others are looked up in DATABASES_FILE.
        lock_term_s: Seconds after which the locks of a run that died are free.
        lock_wait_s: Seconds that it waits for a resource of another.
        lock_hold_s: Seconds that a migration that pauses keeps its resources.
        on_failure: What happens when a phase fails: all is undone in reverse order, or it waits for a person.
        phases: In the order in which they are done.
        folder: Of the file.
    """

    name: Name
    about: str = Field(default="", max_length=2000)
    databases: dict[DatabaseName, SecretReference] = Field(default_factory=dict[str, str])
    lock_term_s: float = Field(default=60, ge=3, le=3600)
    lock_wait_s: float = Field(default=60, ge=0, le=86_400)
    lock_hold_s: float = Field(default=86_400, ge=0, le=30 * 86_400)
    on_failure: Literal["roll_back", "pause"] = "roll_back"
    phases: tuple[Phase, ...] = Field(min_length=1, max_length=100)
    folder: str = ""

    def phase(self, name: str) -> Phase:
        """A phase by its name."""
        return next(one for one in self.phases if one.name == name)

    def needs(self, name: str) -> tuple[str, ...]:
        """The phases that one depends on directly."""
        names = [one.name for one in self.phases]
        told = self.phase(name).depends_on
        before = names[: names.index(name)]
        return tuple(before[-1:]) if told is None else told


def variable_of(resource: str) -> str:
    """The variable in which commands get the token of a resource."""
    return "C500_TOKEN_" + "".join(char if char.isalnum() else "_" for char in resource).upper()


def check_script(script: str) -> None:
    """Raises `ValueError` where a script has no statement, or one that would end its transaction."""
    words = first_words(script)
    if not words:
        raise ValueError("there is no statement")
    if ends := [word for word in words if word in ENDS_TRANSACTION]:
        raise ValueError(f"{ends[0].upper()} does not belong here: all of it runs in one transaction")


def read_plan(path: Path) -> MigrationPlan:
    """A plan, with the files that it names.

    Raises:
        NotFound: there is no such file.
        BadInput: it is wrong; `details["problems"]` has every fault with its line.
    """
    read = read_yaml(path.expanduser(), fix=FIX, field="plan")
    plan = read.read_as(TypeAdapter(MigrationPlan))
    if faults := [*_faults(plan)]:
        raise read.wrong(faults)
    folder = path.expanduser().absolute().parent
    phases = tuple(_with_files(phase, number, folder, read) for number, phase in enumerate(plan.phases))
    return plan.model_copy(update={"phases": phases, "folder": str(folder)})


def _faults(plan: MigrationPlan) -> list[Fault]:
    faults: list[Fault] = []
    before: list[str] = []
    variables: dict[str, str] = {}
    for number, phase in enumerate(plan.phases):
        place = ("phases", number)
        if phase.name in before:
            faults.append(Fault((*place, "name"), f"the phase {phase.name} stands twice"))
        faults += [
            Fault((*place, "depends_on"), f"it depends on {name}, which does not stand before it")
            for name in phase.depends_on or ()
            if name not in before
        ]
        for resource in phase.locks:
            if (other := variables.setdefault(variable_of(resource), resource)) != resource:
                faults.append(Fault((*place, "locks"), f"{resource} and {other} are too much alike"))
        before.append(phase.name)
        checks = [one.name for one in phase.checks]
        if len(checks) != len({*checks}):
            faults.append(Fault((*place, "checks"), "two checks have the same name"))
    return faults


def _with_files(phase: Phase, number: int, folder: Path, read: YamlText) -> Phase:
    """The phase with the scripts of the files that it names."""
    place = ("phases", number)
    update: dict[str, object] = {"action": _with_file(phase.action, folder, read, (*place, "action"))}
    if isinstance(phase.compensation, Compensation):
        undo = _with_file(phase.compensation.action, folder, read, (*place, "compensation", "action"))
        update["compensation"] = phase.compensation.model_copy(update={"action": undo})
    return phase.model_copy(update=update)


def _with_file(action: Action, folder: Path, read: YamlText, place: tuple[int | str, ...]) -> Action:
    if not isinstance(action, Sql) or action.file is None:
        return action
    path = folder / action.file.expanduser()
    try:
        script = path.read_text(encoding="utf-8")
        check_script(script)
    except FileNotFoundError as error:
        raise NotFound(
            f"{read.name}:{read.line((*place, 'file'))}: there is no file {path}", fix=FIX, field="file"
        ) from error
    except (OSError, ValueError) as error:
        raise read.wrong([Fault((*place, "file"), f"{path.name}: {error}")]) from error
    return action.model_copy(update={"script": script, "file": None})
