"""Erasing what a plan names, so that nothing of it is left; gone on with after a crash, and looked over at the end."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime

from pydantic import AwareDatetime, Field

from blocks.errors import C500Error, Conflict, NotAllowed
from blocks.model import Frozen
from blocks.subjects.trace import trace
from tasks.personal_data.holder import Item, World
from tasks.personal_data.inventory import holders
from tasks.personal_data.plan import PREFIX, Plan, drop_plans, found, keep_plan, make_plan, read_plan, refusals

ERASURES = f"{PREFIX}/erasures"
TURNS = 3
"""So often what is left is erased: others may write while we do."""


class ErasureIncomplete(C500Error):
    """Something about the subject is left."""

    code = "ERASURE_INCOMPLETE"


class Erasure(Frozen):
    """That data was erased; it names nothing of it.

    Attributes:
        plan_id: Of its plan.
        subject: The pseudonym of whose data it was; see `blocks.subjects.pseudonym`.
        kind: `job` or `person`.
        counts: How many items were erased, by place.
        ended_at: When.
    """

    plan_id: str
    subject: str
    kind: str
    counts: dict[str, int] = Field(default_factory=dict[str, int])
    ended_at: AwareDatetime


def checked_plan(world: World, plan_id: str) -> Plan:
    """A plan that is as things are now, or was begun with.

    Raises:
        NotFound: there is no such plan.
        Conflict: other data is there than the plan names.
        NotAllowed: it is held, or in use.
    """
    plan = read_plan(world.known.files, plan_id)
    if plan.state == "planned":
        fresh = make_plan(world, plan.traces.subject)
        if fresh.plan_id != plan_id:
            keep_plan(world.known.files, fresh)
            raise Conflict(
                f"other data is there than the plan {plan_id} names: the plan is {fresh.plan_id} now",
                fix=f"look at it with `c500 data erase`, then erase with `--plan {fresh.plan_id} --yes`",
                plan_id=fresh.plan_id,
            )
        plan = fresh
    # What was begun is gone on with by the names it had; what is at work now has others.
    now = trace(plan.traces.subject, world.known) if plan.state == "begun" else plan.traces
    if refused := tuple(dict.fromkeys((*refusals(world, plan.traces), *refusals(world, now)))):
        raise NotAllowed(
            f"the data is not erased: {'; '.join(refused)}"[:1000], fix="see what it says, then erase again"
        )
    return plan


def erase(world: World, plan: Plan, pseudonym: str, check: Callable[[], None] = lambda: None) -> Erasure:
    """Erase what a plan names, and what else is found by its names. Killed anywhere, another call goes on.

    Args:
        world: All places.
        plan: As `checked_plan` gave it.
        pseudonym: Stands for the subject from then on.
        check: Called before each item; what it raises ends the work.

    Raises:
        ErasureIncomplete: something is left.
        StoreFailed: a place cannot be written; all before it is erased.
    """
    files = world.known.files
    keep_plan(files, plan.model_copy(update={"state": "begun"}))  # from now on its names are known, whatever goes
    counts: Counter[str] = Counter(item.holder for item in plan.items)
    left: tuple[Item, ...] = ()
    changed = set(counts)
    for _ in range(TURNS):
        changed |= _turn(world, plan, check)
        if not (left := left_of(world, plan)):
            break
    if left:
        told = Counter(item.holder for item in left)
        raise ErasureIncomplete(
            f"something is left: {', '.join(f'{count} in {name}' for name, count in told.items())}",
            fix="see who writes there, end that, and run it again; if new work of theirs was begun, make a new plan",
            left=dict(told),
        )
    for holder in holders():
        if holder.name in changed:
            holder.scrub(world)
    done = Erasure(
        plan_id=plan.plan_id,
        subject=pseudonym,
        kind=plan.traces.subject.kind,
        counts=dict(counts),
        ended_at=datetime.now(UTC),
    )
    files.put_bytes(f"{ERASURES}/{plan.plan_id}.json", done.model_dump_json(indent=1).encode(), "application/json")
    drop_plans(files, plan.traces)
    return done


def left_of(world: World, plan: Plan) -> tuple[Item, ...]:
    """What is there still, by the names of a plan and by those that are found now."""
    places = {holder.name for holder in holders() if holder.erased is True}
    fresh = make_plan(world, plan.traces.subject)
    every = (*found(world, plan.traces), *fresh.items)
    return tuple(item for item in dict.fromkeys(every) if item.holder in places)


def erased_before(world: World, pseudonym: str) -> tuple[Erasure, ...]:
    """Erasures of the same subject."""
    files = world.known.files
    every = (Erasure.model_validate_json(files.read_bytes(key)) for key in files.list(f"{ERASURES}/"))
    return tuple(one for one in every if one.subject == pseudonym)


def _turn(world: World, plan: Plan, check: Callable[[], None]) -> set[str]:
    """Erase what is there by the names of a plan; the places in which there was something."""
    changed = set[str]()
    for holder in holders():
        if holder.erased is not True:
            continue
        for item in tuple(holder.find(world, plan.traces)):
            check()
            changed.add(holder.name)
            holder.erase(world, plan.traces, item, plan.plan_id)
    return changed
