"""What an erasure would take away: shown first, and erased only as it was shown."""

import os
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Literal

from pydantic import AwareDatetime, ValidationError

from blocks.content import content_hash
from blocks.errors import NotFound, StoreFailed
from blocks.model import Frozen
from blocks.store.files import Files
from blocks.store.scratch import locked
from blocks.subjects.subject import Subject, Traces
from blocks.subjects.trace import held, trace
from tasks.personal_data.holder import Item, World
from tasks.personal_data.inventory import holders
from tasks.personal_data.recorded import valid_keys

PREFIX = "personal-data"
PLANS = f"{PREFIX}/plans"
CHANGE = f"{PREFIX}/change"
"""Lock of who erases or holds: nothing is held in the midst of its erasure."""

PLAN_ID = re.compile(r"[0-9a-f]{16}")

SHOWN = 20


class Plan(Frozen):
    """What is kept about a subject, and would be erased.

    Attributes:
        plan_id: Names exactly this; more or less data has another id.
        traces: By which names it was found.
        items: What it is.
        refused: Why it is not erased now; empty where it may be.
        made_at: When.
        state: `begun`: an erasure is at it, or died at it.
    """

    plan_id: str
    traces: Traces
    items: tuple[Item, ...]
    refused: tuple[str, ...] = ()
    made_at: AwareDatetime
    state: Literal["planned", "begun"] = "planned"

    @property
    def counts(self) -> dict[str, int]:
        """How many items there are in each place."""
        return dict(Counter(item.holder for item in self.items))


def make_plan(world: World, subject: Subject) -> Plan:
    """Look for all that is kept about a subject.

    Raises:
        StoreFailed: a place cannot be looked at; what is not seen would be left.
    """
    traces = trace(subject, world.known)
    items = tuple(found(world, traces))
    named = sorted((item.holder, item.key) for item in items)
    return Plan(
        plan_id=content_hash([subject, named])[:16],
        traces=traces,
        items=items,
        refused=tuple(refusals(world, traces)),
        made_at=datetime.now(UTC),
    )


def found(world: World, traces: Traces) -> Iterator[Item]:
    """All that is kept about a subject, place by place."""
    for holder in holders():
        if holder.erased is True or holder.exported is True:
            yield from holder.find(world, traces)


def refusals(world: World, traces: Traces) -> Iterator[str]:
    """Why data is not to be erased now."""
    for hold in held(world.known):
        if hold.touches(traces):
            yield "it is on legal hold, wholly or in part: see `c500 data holds`"  # of whom is not told: this is logged
            break
    if traces.open_runs:
        yield f"{len(traces.open_runs)} of its runs are at work or wait, as {traces.open_runs[0]}: cancel them first"
    for run_id in traces.runs:
        with world.known.files.lock(f"agents/run/{run_id}", wait=False) as free:
            if not free:
                yield f"run {run_id} is at work: wait until it has ended, or stop it"
    leases = world.home / "sessions" / "leases"
    for session in traces.sessions:
        lease = leases / f"{session}.lock"
        if "/" not in session and os.path.exists(lease):  # noqa: PTH110 - False, too, for what is too long for a name
            with locked(lease, wait=False) as free:
                if not free:
                    yield "one of its sessions is driven by a process: wait until that has ended"
    for key_id in valid_keys(world, traces):
        yield f"key {key_id} is valid, and would bring new data: `c500 keys revoke {key_id}` first"


def keep_plan(files: Files, plan: Plan) -> Plan:
    """Put a plan into the store."""
    files.put_bytes(_key(plan.plan_id), plan.model_dump_json().encode(), "application/json")
    return plan


def read_plan(files: Files, plan_id: str) -> Plan:
    """A plan. Raises `NotFound`, `StoreFailed`."""
    try:
        content = files.read_bytes(_key(plan_id)) if PLAN_ID.fullmatch(plan_id) else None
    except NotFound:
        content = None
    if content is None:
        raise NotFound(
            f"there is no plan {plan_id[:80]!r}: it never was, or it is carried out: see `c500 audit show`",
            fix="make one: `c500 data erase --job ID` or `--person NAME`",
        )
    try:
        return Plan.model_validate_json(content)
    except ValidationError:
        raise StoreFailed(f"the plan {plan_id} is damaged", fix="make a new one") from None


def drop_plans(files: Files, erased: Traces) -> None:
    """Remove all plans that name what is gone; those of others stay where an erasure has begun with them."""
    for key in list(files.list(f"{PLANS}/")):
        with suppress(NotFound, ValidationError):
            plan = Plan.model_validate_json(files.read_bytes(key))
            is_own = plan.traces.subject == erased.subject
            if is_own or (plan.state == "planned" and plan.traces.touches(erased)):
                files.delete(key)


def plan_markdown(plan: Plan) -> str:
    """A plan for people."""
    lines = [f"# Data of {plan.traces.subject}: {len(plan.items)} items", ""]
    if not plan.items:
        return "\n".join([*lines, "Nothing is kept under this id or name."])
    lines += ["| place | items |", "|---|---|", *(f"| {name} | {count} |" for name, count in plan.counts.items())]
    for holder in sorted({item.holder for item in plan.items}):
        keys = [item.key for item in plan.items if item.holder == holder]
        lines += ["", f"**{holder}**", "", *(f"- `{key.replace('`', '')}`" for key in keys[:SHOWN])]
        lines += [f"- … {len(keys) - SHOWN} more"] if len(keys) > SHOWN else []
    if plan.traces.shared:
        lines += ["", f"Others have asked for these jobs, too; they stay: {', '.join(plan.traces.shared[:SHOWN])}"]
    if plan.refused:
        lines += ["", "**Not erased now:**", "", *(f"- {one}" for one in plan.refused)]
    return "\n".join(lines)


def _key(plan_id: str) -> str:
    return f"{PLANS}/{plan_id}.json"
