"""Watching a rollout: look, decide, wait; and back, once."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Literal

from blocks.errors import BadInput
from blocks.hosts import Inventory
from blocks.manifests import Held, Manifests
from blocks.model import Frozen
from blocks.progress import in_thread, notice
from blocks.store.files import Files
from tasks.ops.performer import Performer
from tasks.ops.rollout.judge import Judged, Look, Verdict, WatchState, after, verdict
from tasks.ops.rollout.look import look
from tasks.ops.rollout.plan import RolloutPlan
from tasks.ops.rollout.sources import MetricSource, opened_source
from tasks.ops.service.history import Histories
from tasks.ops.service.rolling_back import RollbackResult, roll_back

PREFIX = "operations/rollouts"
STOP_LOOK_S = 2.0
NOTICE_S = 60.0

WatchStatus = Literal[
    "watching",
    "passed",
    "rolled_back",
    "rollback_failed",
    "in_doubt",
    "not_rolled_back",
    "no_data",
    "undecided",
    "planned",
]


OPEN: tuple[WatchStatus, ...] = ("watching", "in_doubt")
"""A rollback in doubt is no end: a person settles it, and the same run goes on."""


class Watch(Frozen):
    """A watch as it is kept.

    Attributes:
        run_id: Of its run.
        plan: What is watched; the same in all attempts.
        state: How far it is.
        decided: What followed from the looks; `go_on` while it goes on.
        status: How it ended.
        why: Why.
        rollback: What came of the rollback, where there was one.
    """

    run_id: str
    plan: RolloutPlan
    state: WatchState = WatchState()
    decided: Verdict = "go_on"
    status: WatchStatus = "watching"
    why: str = ""
    rollback: RollbackResult | None = None


def watches(files: Files) -> Manifests[Watch]:
    """The watches of a store."""
    return Manifests(files, PREFIX, Watch, kind="rollout")


async def watch(
    performer: Performer,
    files: Files,
    inventory: Inventory,
    plan: RolloutPlan,
    *,
    wait: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Watch:
    """Watch a rollout to its end.

    What is decided is written down before anything follows from it: a run that is killed goes on with what it saw,
    and the rollback is done at most once.

    Args:
        performer: Does the rollback; a dry run looks once and says what it sees.
        files: The store.
        inventory: The hosts of the rollback.
        plan: What is watched.
        wait: Waits between two looks, in seconds.

    Raises:
        BadInput, NotFound: the plan cannot be carried out, or is another than the run began with.
        Conflict: another process does this run.
        Stopped: a switch stops it; the same `run_id` goes on.
    """
    for command in plan.rollback:
        inventory.chosen([command.host])
    async with opened_source(plan) as source:
        first = Watch(run_id=performer.run_id, plan=plan)
        if performer.dry_run:
            return await _rehearsed(first, source)
        with watches(files).held(performer.run_id, first) as held:
            if held.state.plan != plan.model_copy(update={"folder": held.state.plan.folder}):
                raise BadInput(
                    f"run {performer.run_id} was begun with another plan", fix="begin a new run", field="run_id"
                )
            noticed: Look | None = None
            while held.state.decided == "go_on":
                await _look(performer, held, source)
                noticed = _noticed(held.state, noticed, live=source.waits)
                if held.state.decided == "go_on" and source.waits:
                    await _waited(performer, plan.interval_s, wait)
            if held.state.status in OPEN:
                await in_thread(held.put, await _ended(performer, files, inventory, held))
            return held.state


async def _look(performer: Performer, held: "Held[Watch]", source: MetricSource) -> None:
    """Look once more, and write down what follows."""
    await performer.check_stopped()
    one = held.state
    seen, counters = await look(source, one.plan, one.state)
    state = after(one.state, seen, one.plan).model_copy(update={"counters": counters})
    decided = verdict(state, one.plan)
    worse = state.episode and not one.state.episode
    await in_thread(held.put, one.model_copy(update={"state": state, "decided": decided}))
    if worse:
        await performer.tell(f"{one.plan.service} {one.plan.version}: {seen.status}", told(seen.metrics))


def _noticed(one: Watch, before: Look | None, *, live: bool) -> Look | None:
    """Say how the watch goes, where that has changed, and of one that is live every minute; the look told last."""
    seen, plan = one.state.last, one.plan
    if seen is None:
        return before
    is_new = before is None or [(it.name, it.status) for it in seen.metrics] != [
        (it.name, it.status) for it in before.metrics
    ]
    if not is_new and not (live and before is not None and seen.at - before.at >= NOTICE_S):
        return before
    at = datetime.fromtimestamp(seen.at).astimezone()
    good_s = min(plan.bake_s, one.state.good_looks * plan.interval_s)
    metrics = "; ".join(_with_value(it) for it in seen.metrics)
    notice(f"{at:%H:%M:%S} look {one.state.looks}, {good_s:g} of {plan.bake_s:g} s with data: {metrics}")
    return seen


def _with_value(one: Judged) -> str:
    value = "" if one.canary is None else f" {one.canary:.4g}"
    return f"{one.name} {one.status}{value}{f' ({one.why})' if one.why else ''}"


async def _ended(performer: Performer, files: Files, inventory: Inventory, held: "Held[Watch]") -> Watch:
    """Do what follows from the looks; people hear of it."""
    one, plan = held.state, held.state.plan
    why = told(one.state.last.metrics) if one.state.last else ""
    histories = Histories(files)
    if one.decided == "roll_back" and plan.rollback:
        held.check()
        result = await roll_back(
            performer, files, inventory, plan.service, plan.version, plan.rollback, plan.limits, why
        )
        ended = one.model_copy(
            update={"status": result.status, "rollback": result, "why": "; ".join(filter(None, (result.why, why)))}
        )
    elif one.decided == "roll_back":
        ended = one.model_copy(update={"status": "not_rolled_back", "why": f"the plan has no rollback; {why}"})
    else:
        ended = one.model_copy(update={"status": one.decided, "why": why})
        if one.decided == "passed":
            await in_thread(histories.note, plan.service, plan.version, "passed")
    await performer.note("notified", "watch/ended", outcome=f"{ended.status}: {ended.why}"[:1000])
    await performer.tell(f"{plan.service} {plan.version}: {ended.status}", ended.why or "all metrics are good")
    return ended


async def _rehearsed(first: Watch, source: MetricSource) -> Watch:
    """Look once; nothing is kept."""
    seen, _ = await look(source, first.plan, first.state)
    state = after(first.state, seen, first.plan)
    return first.model_copy(update={"state": state, "status": "planned", "why": told(seen.metrics)})


async def _waited(performer: Performer, seconds: float, wait: Callable[[float], Awaitable[None]]) -> None:
    """Wait, looking every now and then whether somebody stops it."""
    while seconds > 0:
        await wait(min(seconds, STOP_LOOK_S))
        seconds -= STOP_LOOK_S
        await performer.check_stopped()


def told(metrics: tuple[Judged, ...]) -> str:
    """What a look says, for people."""
    return "; ".join(f"{one.name} {one.status}{f' ({one.why})' if one.why else ''}" for one in metrics)
