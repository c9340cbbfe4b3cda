"""What a migration is in: one table of moves for its phases, and the manifest that only moves along it."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Literal, NamedTuple, Self

from pydantic import Field, model_validator

from blocks.errors import Conflict
from blocks.model import Frozen
from tasks.ops.migration.plan import Compensation, MigrationPlan, Phase

PhaseState = Literal["blocked", "running", "verifying", "done", "failed", "rolling_back", "rolled_back"]

MOVES: Mapping[PhaseState, tuple[PhaseState, ...]] = {
    "blocked": ("running",),
    "running": ("verifying", "failed"),
    "verifying": ("done", "failed"),
    "done": ("rolling_back",),
    "failed": ("running", "rolling_back"),
    "rolling_back": ("rolled_back",),
    "rolled_back": (),
}
"""The table: all moves that a phase can make."""

AT_WORK: frozenset[PhaseState] = frozenset({"running", "verifying", "rolling_back"})
"""At most one phase is in one of these at any time."""

UNTOUCHED: frozenset[PhaseState] = frozenset({"blocked", "rolled_back"})

Status = Literal["planned", "running", "waiting", "done", "rolling_back", "rolled_back"]
"""Of a migration. `waiting`: it goes on when it is run again, once what it waits for has come; `planned`: a dry run."""

StepKind = Literal["begin", "act", "verify", "retry", "give_up", "turn_back", "undo"]


class WrongMove(Conflict):
    """A phase cannot go from its state to that one now."""

    code = "WRONG_MOVE"


class CheckOutcome(Frozen):
    """What a check found.

    Attributes:
        name: Of the check.
        passed: Whether it held.
        looks: How often it was looked.
        said: What was found.
        at: When.
    """

    name: str
    passed: bool
    looks: int
    said: str = ""
    at: datetime


class PhaseRecord(Frozen):
    """Where a phase is.

    Attributes:
        name: Of the phase.
        state: Where it is.
        attempt: The number of its present attempt; 0 before the first.
        begun_at: When it first began.
        ended_at: When it was done, failed or rolled back.
        said: What came of it, or why it failed.
        checks: What its checks found, last.
        tokens: The fencing tokens that its last attempt got, by resource.
        approvers: Who agreed.
        untouched: Whether it is known that nothing of it ran: rules or people refused it, or were not yet asked.
    """

    name: str
    state: PhaseState = "blocked"
    attempt: int = 0
    begun_at: datetime | None = None
    ended_at: datetime | None = None
    said: str = ""
    checks: tuple[CheckOutcome, ...] = ()
    tokens: dict[str, int] = Field(default_factory=dict[str, int])
    approvers: tuple[str, ...] = ()
    untouched: bool = False


class Moment(Frozen):
    """Something in the history of a migration.

    Attributes:
        at: When.
        token: Fencing token of the manifest's holder: which run it was.
        phase: Which; empty for the migration itself.
        state: Into which state it went; None where it stayed.
        said: Why, or what was done.
    """

    at: datetime
    token: int
    phase: str = ""
    state: PhaseState | None = None
    said: str = ""


class MigrationState(Frozen):
    """A migration's manifest: the one truth about it.

    Attributes:
        migration: Its id.
        serial: Random; tells it from others that had this id, in other stores too.
        plan: As it was begun; phases that did not begin may have been changed since.
        phases: In the plan's order.
        back: Whether it is to be undone.
        waits: What it waits for; empty while it is at work or at its end.
        history: All that happened, oldest first.
    """

    migration: str
    serial: str
    plan: MigrationPlan
    phases: tuple[PhaseRecord, ...]
    back: bool = False
    waits: str = ""
    history: tuple[Moment, ...] = ()

    @property
    def run_id(self) -> str:
        """Under which its deeds, audit and entries in databases are known."""
        return f"{self.migration}-{self.serial}"

    @property
    def status(self) -> Status:
        """Of all of it."""
        states = {one.state for one in self.phases}
        if states == {"done"} and not self.back:
            return "done"
        if self.back and states <= UNTOUCHED:
            return "rolled_back"
        if self.waits:
            return "waiting"
        return "rolling_back" if self.back else "running"

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.status in ("done", "rolled_back")

    @property
    def at_work(self) -> PhaseRecord | None:
        """The phase that is at work."""
        return next((one for one in self.phases if one.state in AT_WORK), None)

    def record(self, name: str) -> PhaseRecord:
        """Where a phase is."""
        return next(one for one in self.phases if one.name == name)

    def locked(self) -> tuple[str, ...]:
        """The resources of all phases that have begun, sorted: so that no two migrations wait for each other."""
        touched = [one.name for one in self.phases if one.state not in UNTOUCHED]
        return tuple(sorted({resource for name in touched for resource in self.plan.phase(name).locks}))

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        if problem := next(_problems(self), None):
            raise ValueError(problem)
        return self


class Step(NamedTuple):
    """What comes next."""

    kind: StepKind
    phase: str


def first_state(migration: str, serial: str, plan: MigrationPlan) -> MigrationState:
    """A migration that has not begun."""
    phases = tuple(PhaseRecord(name=one.name) for one in plan.phases)
    return MigrationState(migration=migration, serial=serial, plan=plan, phases=phases)


def moved(
    state: MigrationState, name: str, to: PhaseState, said: str, *, token: int, **facts: object
) -> MigrationState:
    """The manifest after a phase's move.

    Args:
        state: Before.
        name: Of the phase.
        to: Where it goes.
        said: Why, or what came of it.
        token: Of the manifest's holder.
        facts: Further fields of its record.

    Raises:
        WrongMove: the table has no such move, another phase is at work, or phases that it needs are not done.
    """
    before = state.record(name)
    if to not in MOVES[before.state]:
        raise _wrong(name, before.state, to, "there is no such move")
    now = datetime.now(UTC)
    times = {"begun_at": before.begun_at or now, "ended_at": None if to in AT_WORK else now}
    after = before.model_copy(update={"state": to, "said": said, **times, **facts})
    moment = Moment(at=now, token=token, phase=name, state=to, said=said)
    made = changed(state, after, moment)
    if problem := next(_problems(made), None):
        raise _wrong(name, before.state, to, problem)
    return made


def changed(state: MigrationState, record: PhaseRecord, *moments: Moment) -> MigrationState:
    """The manifest with another record of a phase, and more history."""
    phases = tuple(record if one.name == record.name else one for one in state.phases)
    return state.model_copy(update={"phases": phases, "history": (*state.history, *moments)})


def next_step(state: MigrationState) -> Step | None:
    """What comes next, by the manifest alone; None: there is nothing more to do, or it waits."""
    if state.waits or state.ended:
        return None
    return _step_back(state) if state.back else _step_forward(state)


def _step_forward(state: MigrationState) -> Step | None:
    by_state: dict[PhaseState, StepKind] = {"running": "act", "verifying": "verify", "failed": "retry"}
    for record in state.phases:
        if record.state in by_state:
            return Step(by_state[record.state], record.name)
    for record in state.phases:
        if record.state == "blocked" and _needs_are_done(state, record.name):
            return Step("begin", record.name)
    return None


def _step_back(state: MigrationState) -> Step | None:
    by_state: dict[PhaseState, StepKind] = {"running": "give_up", "verifying": "give_up", "rolling_back": "undo"}
    if (record := state.at_work) is not None:
        return Step(by_state[record.state], record.name)
    for record in reversed(state.phases):
        if record.state in ("done", "failed"):
            return Step("turn_back", record.name)
    return None


def no_way_back(state: MigrationState) -> str:
    """The name of a phase of which something ran and that cannot be undone; empty: all can."""
    begun = [one.name for one in state.phases if one.state not in UNTOUCHED and not one.untouched]
    return next((name for name in reversed(begun) if state.plan.phase(name).compensation == "impossible"), "")


def undo_of(phase: Phase) -> Compensation | None:
    """How a phase is undone; None: there is nothing to undo."""
    return phase.compensation if isinstance(phase.compensation, Compensation) else None


def replanned(state: MigrationState, plan: MigrationPlan) -> MigrationState:
    """The manifest with a plan that was changed since: phases that did not begin, or failed, may be others.

    Raises:
        Conflict: a phase that is done or at work was changed, or stands elsewhere.
    """
    names = {one.name for one in plan.phases}
    for record in state.phases:
        if record.state == "blocked":
            continue
        may_be_another = record.state == "failed" and record.name in names
        if not may_be_another and (
            record.name not in names or plan.phase(record.name) != state.plan.phase(record.name)
        ):
            raise _changed(record.name)
    records = {one.name: one for one in state.phases}
    phases = tuple(records.get(one.name) or PhaseRecord(name=one.name) for one in plan.phases)
    made = state.model_copy(update={"plan": plan, "phases": phases})
    if next(_problems(made), None):
        raise _changed(plan.name)
    return made


def _changed(name: str) -> Conflict:
    return Conflict(
        f"the plan is another by now, and {name} has begun",
        fix="go on with the plan as it was, or roll back and begin another with --id",
        field="plan",
    )


def _problems(state: MigrationState) -> Iterator[str]:
    """What can never be."""
    at_work = [one.name for one in state.phases if one.state in AT_WORK]
    if len(at_work) > 1:
        yield f"{at_work[0]} and {at_work[1]} would be at work at once"
    states = {one.name: one.state for one in state.phases}
    for record in state.phases:
        for need in state.plan.needs(record.name):
            if record.state not in UNTOUCHED and states[need] != "done":
                yield f"{record.name} needs {need}, which is {states[need]}"


def _needs_are_done(state: MigrationState, name: str) -> bool:
    return all(state.record(need).state == "done" for need in state.plan.needs(name))


def _wrong(name: str, before: PhaseState, to: PhaseState, why: str) -> WrongMove:
    return WrongMove(
        f"{name} cannot go from {before} to {to}: {why}", fix="look at the migration's history", phase=name
    )
