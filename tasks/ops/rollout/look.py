"""A look at the metrics of a rollout."""

import asyncio

from tasks.ops.rollout.judge import Counted, Judged, Look, WatchState, increase, judge, overall
from tasks.ops.rollout.plan import Metric, RolloutPlan
from tasks.ops.rollout.sources import MetricSource, Value


async def look(source: MetricSource, plan: RolloutPlan, state: WatchState) -> tuple[Look, dict[str, Counted]]:
    """Look at all metrics.

    Args:
        source: Gives their values.
        plan: Says which.
        state: How far the watch is.

    Returns:
        What was seen, and the counters as they were seen.

    Raises:
        BadInput: a query is none.
    """
    queries = sorted({query for metric in plan.metrics for query in _queries(metric)})
    found = await asyncio.gather(*(source.value(query, state.looks) for query in queries))
    values = dict(zip(queries, found, strict=True))
    counters = dict(state.counters)
    judged = tuple(_judged(metric, values, state.counters) for metric in plan.metrics)
    for metric in plan.metrics:
        if metric.kind != "value":
            counters |= {
                query: Counted(value=one.value, at=one.at)
                for query in _queries(metric)
                if (one := values[query]).value is not None and one.value >= 0  # neither missing nor no number
            }
    at = max(one.at for one in values.values())
    return Look(number=state.looks, at=at, status=overall(judged), metrics=judged), counters


def _judged(metric: Metric, values: dict[str, Value], before: dict[str, Counted]) -> Judged:
    canary, why = _measured(metric, metric.canary, metric.canary_total, values, before)
    if why:
        return Judged(name=metric.name, status="warming" if why == WARMING else "missing", why=why)
    baseline = None
    if metric.baseline is not None:
        baseline, _ = _measured(metric, metric.baseline, metric.baseline_total, values, before)
    return judge(metric, canary, baseline)


WARMING = "a counter seen for the first time"


def _measured(
    metric: Metric, query: str, total: str | None, values: dict[str, Value], before: dict[str, Counted]
) -> tuple[float | None, str]:
    """A metric's value, or why it has none."""
    found = values[query]
    if found.value is None:
        return None, found.why
    if metric.kind == "value":
        return found.value, ""
    known = before.get(query)
    grown = increase(known, found.value)
    if grown is None or known is None:
        return None, WARMING
    if metric.kind == "rate" or total is None:
        passed_s = found.at - known.at
        return (grown / passed_s, "") if passed_s > 0 else (None, "no time has passed since the last value")
    whole = values[total]
    if whole.value is None:
        return None, whole.why
    events = increase(before.get(total), whole.value)
    if events is None:
        return None, WARMING
    if not events >= metric.least_events:
        return None, f"{events:g} events are too few"
    return grown / events, ""


def _queries(metric: Metric) -> list[str]:
    every = (metric.canary, metric.baseline, metric.canary_total, metric.baseline_total)
    return [query for query in every if query is not None]
