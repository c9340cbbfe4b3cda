"""The plan of a migration: phases with what they do, how it is verified and how it is undone."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, TypeAdapter

from blocks.action import Risk
from blocks.databases_file import DatabaseName
from blocks.errors import NotFound
from blocks.faults import Fault
from blocks.model import Frozen
from blocks.policy.windows import Window
from blocks.secret_reference import SecretReference
from blocks.yaml_file import YamlText, read_yaml
from tasks.ops.deed import Consent
from tasks.ops.migration.kinds import Action, Check, Name, Sql, check_script

FIX = "correct the plan; docs/operations/migrations.md shows its form"

Resource = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]*(/[a-z0-9][a-z0-9._-]*)*$", max_length=100)]


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
        made_later: Those of them that a phase makes, and that need not be there before the first begins.
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
    made_later: tuple[DatabaseName, ...] = ()
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
