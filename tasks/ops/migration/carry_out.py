"""Carrying a migration out: what comes next is read off the manifest, done, and written into it, step by step."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from blocks.errors import Conflict, NotAllowed
from blocks.manifests import Held
from blocks.progress import in_thread
from tasks.ops.deed import Outcome
from tasks.ops.migration.actions import Doing, act, doing_of, failure, said_of
from tasks.ops.migration.checks import all_hold
from tasks.ops.migration.kinds import Action, Check
from tasks.ops.migration.locks import Keeper
from tasks.ops.migration.places import Places
from tasks.ops.migration.plan import Compensation, MigrationPlan, Phase
from tasks.ops.migration.states import (
    UNTOUCHED,
    CheckOutcome,
    MigrationState,
    Moment,
    PhaseRecord,
    PhaseState,
    StepKind,
    changed,
    moved,
    next_step,
    no_way_back,
    replanned,
    undo_of,
)
from tasks.ops.performer import Performer


@dataclass(frozen=True, kw_only=True)
class Work:
    """A migration in our hands.

    Attributes:
        held: Its manifest.
        performer: Does its deeds.
        keeper: Holds its resources.
        places: Where it works.
    """

    held: Held[MigrationState]
    performer: Performer
    keeper: Keeper
    places: Places

    @property
    def state(self) -> MigrationState:
        """What the manifest says."""
        return self.held.state

    async def put(self, state: MigrationState) -> None:
        """Write the manifest. Raises `Fenced`, `StoreFailed`."""
        await in_thread(self.held.put, state)

    async def move(self, phase: str, to: PhaseState, said: str = "", **facts: object) -> None:
        """Write a phase's move."""
        said = self.performer.redactor.text(said)
        await self.put(moved(self.state, phase, to, said, token=self.held.token, **facts))

    def check(self) -> None:
        """Make sure that manifest and resources are ours still. Raises `Fenced`."""
        self.held.check()
        self.keeper.check()

    @property
    def tokens(self) -> dict[str, int]:
        """The fencing tokens: of the resources, and of the migration itself."""
        return {f"migration/{self.state.run_id}": self.held.token} | self.keeper.tokens


async def carry_out(work: Work) -> MigrationState:
    """Go on with a migration until it has ended, or waits.

    Raises:
        Fenced: it is in other hands.
        Stopped: a switch stops it.
        StoreFailed: the manifest cannot be written.
    """
    try:
        await _took(work, work.state.locked())
        while (step := next_step(work.state)) is not None:
            await work.performer.check_stopped()
            await STEPS[step.kind](work, work.state.plan.phase(step.phase))
    finally:
        await work.keeper.let_go(ended=work.state.ended)
    return work.state


async def go_on(work: Work, plan: MigrationPlan, *, roll_back: bool) -> None:
    """Write down that somebody wants it to go on, or to be undone.

    Args:
        work: The migration.
        plan: As it is by now.
        roll_back: Whether it is to be undone.

    Raises:
        Conflict: a phase that has begun is another in the plan by now.
        NotAllowed: a phase has begun that cannot be undone.
    """
    state = work.state if work.state.back else replanned(work.state, plan)
    said = "a person wants it undone" if roll_back and not state.back else "a run goes on with it"
    if roll_back:
        check_way_back(state)
    moment = Moment(at=datetime.now(UTC), token=work.held.token, said=said)
    update = {"waits": "", "back": state.back or roll_back, "history": (*state.history, moment)}
    await work.put(state.model_copy(update=update))


def check_way_back(state: MigrationState) -> None:
    """Make sure that all that ran can be undone. Raises `NotAllowed`."""
    if not (name := no_way_back(state)):
        return
    is_done = state.status == "done"
    raise NotAllowed(
        f"{name} cannot be undone, and {'is done' if is_done else 'has begun'}",
        fix="the migration is done: write another one that leads on from here"
        if is_done
        else "mend what is wrong, and go on with `c500 migrate run`",
        phase=name,
    )


async def _took(work: Work, resources: tuple[str, ...]) -> bool:
    """Take resources, also those of phases that began in a former run: with new tokens, so that what that run left
    behind is refused. Whether they are had; else it is written down for whom it waits."""
    try:
        await work.keeper.take(resources)
    except Conflict as error:
        await _wait(work, error.message)
        return False
    return True


async def _begin(work: Work, phase: Phase) -> None:
    if phase.windows and not any(window.holds(datetime.now(UTC)) for window in phase.windows):
        await _wait(work, f"{phase.name} may not begin now: it is outside of its windows")
        return
    if await _took(work, phase.locks):
        await work.move(phase.name, "running", attempt=1, tokens=work.tokens, untouched=True)


async def _act(work: Work, phase: Phase) -> None:
    record = work.state.record(phase.name)
    outcome = await _done(work, phase.action, _doing(work, phase, record))
    if outcome.ok:
        await work.move(phase.name, "verifying", said_of(outcome), approvers=outcome.approvers, tokens=work.tokens)
    elif outcome.status == "in_doubt":
        await _wait(work, f"{phase.name}: {_doubt(outcome)}")
    else:
        await _fail(work, phase, failure(outcome), pause=outcome.status == "refused")


async def _verify(work: Work, phase: Phase) -> None:
    found = await _checked(work, phase.checks, _doing(work, phase, work.state.record(phase.name)))
    if all(one.passed for one in found):
        said = work.state.record(phase.name).said
        await work.move(phase.name, "done", said, checks=found)
    else:
        await _fail(work, phase, f"check {found[-1].name}: {found[-1].said or 'it does not hold'}", checks=found)


async def _retry(work: Work, phase: Phase) -> None:
    attempt = work.state.record(phase.name).attempt + 1
    if await _took(work, phase.locks):
        await work.move(phase.name, "running", "once more", attempt=attempt, tokens=work.tokens)


async def _give_up(work: Work, phase: Phase) -> None:
    await work.move(phase.name, "failed", "given up, so that it can be undone")


async def _turn_back(work: Work, phase: Phase) -> None:
    await work.move(phase.name, "rolling_back", attempt=1, tokens=work.tokens, checks=())


async def _undo(work: Work, phase: Phase) -> None:
    undo, record = undo_of(phase), work.state.record(phase.name)
    if record.untouched:
        await work.move(phase.name, "rolled_back", "nothing of it ran")
        return
    if undo is None:
        await work.move(phase.name, "rolled_back", "there is nothing to undo")
        return
    doing = _undoing(work, phase, record, undo)
    outcome = await _done(work, undo.action, doing)
    if outcome.status == "in_doubt":
        await _wait(work, f"undoing {phase.name}: {_doubt(outcome)}")
    elif not outcome.ok:
        await _wait(work, f"undoing {phase.name} failed: {failure(outcome)}", attempt=record.attempt + 1)
    else:
        found = await _checked(work, undo.checks, doing)
        if all(one.passed for one in found):
            await work.move(phase.name, "rolled_back", said_of(outcome), checks=found)
        else:
            told = f"undoing {phase.name}: check {found[-1].name}: {found[-1].said or 'it does not hold'}"
            await _wait(work, told, attempt=record.attempt + 1)


STEPS: Mapping[StepKind, Callable[[Work, Phase], Awaitable[None]]] = {
    "begin": _begin,
    "act": _act,
    "verify": _verify,
    "retry": _retry,
    "give_up": _give_up,
    "turn_back": _turn_back,
    "undo": _undo,
}


async def _done(work: Work, action: Action, doing: Doing) -> Outcome:
    await in_thread(work.check)
    return await work.keeper.while_held(act(work.performer, work.places, action, doing))


async def _checked(work: Work, checks: tuple[Check, ...], doing: Doing) -> tuple[CheckOutcome, ...]:
    return await work.keeper.while_held(all_hold(work.performer, work.places, checks, doing))


async def _fail(work: Work, phase: Phase, said: str, *, pause: bool = False, **facts: object) -> None:
    """Write in one go that a phase failed and what follows, so that no crash comes between."""
    said = work.performer.redactor.text(said)
    state = moved(work.state, phase.name, "failed", said, token=work.held.token, **facts)
    stuck = no_way_back(state)
    if (phase.on_failure or state.plan.on_failure) == "roll_back" and not pause and not stuck:
        await work.put(state.model_copy(update={"back": True}))
        return
    more = f"; {stuck} cannot be undone" if stuck else ""
    await work.put(state.model_copy(update={"waits": f"{phase.name} failed: {said}{more}"}))


async def _wait(work: Work, said: str, *, attempt: int | None = None) -> None:
    """Write down what it waits for, and the number of the attempt with which the phase at work goes on."""
    said, state = work.performer.redactor.text(said), work.state
    if attempt is not None and state.at_work is not None:
        state = changed(state, state.at_work.model_copy(update={"attempt": attempt, "said": said}))
    moment = Moment(at=datetime.now(UTC), token=work.held.token, said=f"waits: {said}")
    await work.put(state.model_copy(update={"waits": said, "history": (*state.history, moment)}))


def _doubt(outcome: Outcome) -> str:
    return f"{outcome.why}; look what happened, then `c500 effects settle` or `release`"


def _doing(work: Work, phase: Phase, record: PhaseRecord) -> Doing:
    async def begins() -> None:
        now = work.state.record(phase.name)
        if now.untouched:
            await work.put(changed(work.state, now.model_copy(update={"untouched": False})))

    doing = doing_of(work.state, phase, record.attempt)
    return replace(doing, tokens=work.tokens, check=work.check, begins=begins)


def _undoing(work: Work, phase: Phase, record: PhaseRecord, undo: Compensation) -> Doing:
    return _of_undoing(_doing(work, phase, record), phase, undo)


def _of_undoing(doing: Doing, phase: Phase, undo: Compensation) -> Doing:
    return replace(
        doing,
        what="undo",
        says=f"undo {phase.name}",
        risk=undo.risk,
        consent="rules",
        reversible=True,
    )


async def rehearse(performer: Performer, places: Places, state: MigrationState, *, roll_back: bool = False) -> None:
    """What a dry run would do, phase by phase, into the performer's outcomes; nothing is taken, written or run.

    Raises:
        NotAllowed: it is to be undone, and cannot be.
    """
    if roll_back or state.back:
        await _rehearse_undoing(performer, places, state)
        return
    for phase in state.plan.phases:
        if (record := state.record(phase.name)).state not in ("done", "verifying"):
            await act(performer, places, phase.action, doing_of(state, phase, record.attempt + 1))


async def _rehearse_undoing(performer: Performer, places: Places, state: MigrationState) -> None:
    check_way_back(state)
    for phase in reversed(state.plan.phases):
        record, undo = state.record(phase.name), undo_of(phase)
        if record.state not in UNTOUCHED and not record.untouched and undo is not None:
            doing = _of_undoing(doing_of(state, phase, record.attempt + 1), phase, undo)
            await act(performer, places, undo.action, doing)
