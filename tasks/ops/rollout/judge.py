"""What a look at the metrics says, and what follows from many of them. The table in docs/operations/rollouts.md."""

import math
from typing import Literal

from pydantic import Field

from blocks.model import Frozen
from tasks.ops.rollout.plan import Limit, Metric, RolloutPlan

Status = Literal["good", "warn", "critical", "missing", "warming"]
"""Of a look. `warming`: a counter was seen for the first time, and has no increase yet."""

Verdict = Literal["go_on", "roll_back", "passed", "no_data", "undecided"]

KEPT = 200


class Counted(Frozen):
    """A counter, as it was seen last."""

    value: float
    at: float


class Judged(Frozen):
    """What a look says of a metric.

    Attributes:
        name: Of the metric.
        status: What it says.
        canary, baseline: The values, where there are any that can be shown.
        why: In words.
    """

    name: str
    status: Status
    canary: float | None = None
    baseline: float | None = None
    why: str = ""


class Look(Frozen):
    """A look at all metrics.

    Attributes:
        number: From 0 on.
        at: Seconds since 1970.
        status: Of all together.
        metrics: Of each.
    """

    number: int
    at: float
    status: Status
    metrics: tuple[Judged, ...]


class WatchState(Frozen):
    """How far a watch is.

    Attributes:
        looks: How many looks there were.
        good_looks: Those with data.
        missing: Looks without data, in a row.
        recent: Of the last looks with data, whether each was critical.
        good_run: Good looks in a row.
        episode: Whether something is wrong that has not gone by.
        counters: Counters as they were seen last, by query.
        last: The last look.
        history: What changed, in words.
    """

    looks: int = 0
    good_looks: int = 0
    missing: int = 0
    recent: tuple[bool, ...] = ()
    good_run: int = 0
    episode: bool = False
    counters: dict[str, Counted] = Field(default_factory=dict[str, Counted])
    last: Look | None = None
    history: tuple[str, ...] = ()


def increase(before: Counted | None, now: float) -> float | None:
    """How much a counter grew; None where it was not seen before. One that fell began anew at 0, as in Prometheus."""
    if before is None:
        return None
    return now - before.value if now >= before.value else now


def judge(metric: Metric, canary: float | None, baseline: float | None) -> Judged:
    """What values say of a metric.

    A value that is no number is as one that is missing. An infinite one is the worst there is, where that way is worse;
    else it is missing. Where the baseline is missing or 0, only absolute limits hold.
    """
    worst = math.inf if metric.worse == "higher" else -math.inf
    if canary is None or math.isnan(canary) or (math.isinf(canary) and canary != worst):
        why = "no value" if canary is None else f"the value is {canary}"
        return Judged(name=metric.name, status="missing", why=why)
    if canary == worst:
        return Judged(name=metric.name, status="critical", why="the value is infinite")
    base = baseline if baseline is not None and math.isfinite(baseline) else None

    def told(status: Status, why: str = "") -> Judged:
        return Judged(name=metric.name, status=status, canary=canary, baseline=base, why=why)

    if (why := _passed(metric, metric.critical, canary, base)) is not None:
        return told("critical", why)
    if metric.warn is not None and (why := _passed(metric, metric.warn, canary, base)) is not None:
        return told("warn", why)
    if base is None and metric.critical.at is None:
        return told("missing", "the baseline has no value to compare with")
    return told("good")


def overall(judged: tuple[Judged, ...]) -> Status:
    """What a look says: critical where one metric is; else without data where one is; else the worst."""
    found = {one.status for one in judged}
    order: tuple[Status, ...] = ("critical", "missing", "warming", "warn")
    for status in order:
        if status in found:
            return status
    return "good"


def after(state: WatchState, look: Look, plan: RolloutPlan) -> WatchState:
    """How far a watch is after a look."""
    facts: dict[str, object] = {"looks": state.looks + 1, "last": look}
    if look.status in ("missing", "warming"):
        facts["missing"] = state.missing + (look.status == "missing")
        return _noted(state.model_copy(update=facts), state, look)
    good = look.status == "good"
    good_run = state.good_run + 1 if good else 0
    episode = not good or (state.episode and good_run < plan.recover)
    facts |= {
        "missing": 0,
        "good_looks": state.good_looks + 1,
        "recent": (*state.recent, look.status == "critical")[-plan.out_of :],
        "good_run": good_run,
        "episode": episode,
    }
    return _noted(state.model_copy(update=facts), state, look)


def verdict(state: WatchState, plan: RolloutPlan) -> Verdict:
    """What follows from the looks so far."""
    if sum(state.recent) >= plan.failures:
        return "roll_back"
    if state.missing >= plan.most_missing:
        return "roll_back" if plan.on_missing == "rollback" else "no_data"
    if state.good_looks * plan.interval_s >= plan.bake_s and not state.episode and not any(state.recent[-1:]):
        return "passed"
    return "undecided" if state.looks * plan.interval_s >= plan.longest_s else "go_on"


def _passed(metric: Metric, limit: Limit, canary: float, baseline: float | None) -> str | None:
    """Why a limit is passed; None where it is not."""
    sign = 1 if metric.worse == "higher" else -1
    if limit.at is not None and sign * canary > sign * limit.at:
        return f"{canary:g} passes {limit.at:g}"
    if limit.of_baseline is None or baseline is None or baseline == 0:
        return None
    bound = limit.of_baseline * baseline
    if limit.from_value is not None and sign * canary < sign * limit.from_value:
        return None
    return (
        f"{canary:g} passes {limit.of_baseline:g} × the baseline's {baseline:g}"
        if sign * canary > sign * bound
        else None
    )


def _noted(state: WatchState, before: WatchState, look: Look) -> WatchState:
    """The state with a line of history, where the look was another than the one before it."""
    if before.last is not None and before.last.status == look.status:
        return state
    why = "; ".join(f"{one.name}: {one.why}" for one in look.metrics if one.why)
    line = f"look {look.number}: {look.status}{f' ({why})' if why else ''}"
    return state.model_copy(update={"history": (*state.history, line)[-KEPT:]})
