"""What a plan can have done, and how it can be checked: the kinds of work and of checks, with their fields."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from blocks.databases_file import DatabaseName
from blocks.hosts.command import VARIABLE
from blocks.hosts.inventory import LOCAL, HostName
from blocks.model import Frozen
from blocks.secret_reference import SecretReference
from tasks.ops.migration.statements import ENDS_TRANSACTION, first_words, split_statements

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,39}$")]
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


def check_script(script: str) -> None:
    """Raises `ValueError` where a script has no statement, or one that would end its transaction."""
    words = first_words(script)
    if not words:
        raise ValueError("there is no statement")
    if ends := [word for word in words if word in ENDS_TRANSACTION]:
        raise ValueError(f"{ends[0].upper()} does not belong here: all of it runs in one transaction")
