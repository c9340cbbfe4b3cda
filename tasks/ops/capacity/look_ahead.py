"""The outlook of resources: history, forecast, recommendation, picture."""

import math
from collections.abc import Sequence
from datetime import datetime

from blocks.errors import C500Error
from blocks.progress import in_thread
from blocks.store.files import Files
from tasks.ops.capacity.chart import draw
from tasks.ops.capacity.forecast import Asked, Forecast, forecast
from tasks.ops.capacity.history import DAY_S, History, Samples, TooLittle, history_of
from tasks.ops.capacity.plan import CapacityPlan, Level, Resource, Rule
from tasks.ops.capacity.report import Outlook, moment
from tasks.ops.capacity.sources import samples_of

FOLDER = "operations/capacity"


async def look_ahead(plan: CapacityPlan, files: Files, run_id: str, now: datetime) -> tuple[Outlook, ...]:
    """The outlook of all resources of a plan, their pictures in the store; one that fails stops no other.

    Raises:
        StoreFailed: a picture cannot be kept.
    """
    found: list[Outlook] = []
    for resource in plan.resources:
        try:
            all_samples = await samples_of(resource, plan.folder, now)
        except C500Error as error:
            says = f"{error.message}; {error.fix}"
            found.append(Outlook(name=resource.name, status="failed", level="unknown", says=says))
            continue
        for number, samples in enumerate(all_samples):
            outlook, picture = await in_thread(outlook_of, resource, samples, now)
            if picture is not None:
                key = f"{FOLDER}/{run_id}/{resource.name}-{number}.png"
                await in_thread(files.put_bytes, key, picture, "image/png")
                outlook = outlook.model_copy(update={"chart": key})
            found.append(outlook)
    return tuple(found)


def outlook_of(resource: Resource, samples: Samples, now: datetime) -> tuple[Outlook, bytes | None]:
    """What is said of a resource, and its picture, where it has a history; its days begin now."""
    try:
        history = history_of(samples, counter=resource.counter, aggregate=resource.aggregate, period=resource.period)
    except TooLittle as why:
        says = f"Too little history: {why}. Nothing can be said."
        return Outlook(name=samples.name, status="too_little", level="unknown", says=says), None
    outlook = _of_history(resource, samples, history)
    if not math.isfinite(samples.limit):
        outlook = outlook.model_copy(update={"limit": None, "says": "There is no limit for this series."})
        return outlook, draw(history, outlook, None)
    if max(history.last, history.newest) >= samples.limit:
        rule = recommend(resource.rules, 0.0)
        says = "It has run out." if rule is None else f"It has run out. {rule.say}"
        update = {"status": "exhausted", "level": "critical", "says": says, "now": max(history.last, history.newest)}
        outlook = outlook.model_copy(update={**update, "likely_days": 0.0, "earliest_days": 0.0, "latest_days": 0.0})
        return outlook, draw(history, outlook, None)
    age_days = max(0.0, (now.timestamp() - history.end_s) / DAY_S)
    horizon_days, runway_days = resource.horizon_days + age_days, resource.runway_days + age_days
    asked = Asked(samples.limit, horizon_days, resource.confidence, runway_days, seed=samples.name)
    try:
        found = forecast(history, asked)
    except ValueError as error:
        return outlook.model_copy(update={"says": f"Nothing can be said: {error}."}), draw(history, outlook, None)
    if found.looked_days <= age_days:
        says = f"Nothing can be said: the history ended {age_days:.0f} days ago, too long for its length."
        return outlook.model_copy(update={"says": says}), draw(history, outlook, None)
    outlook = _of_forecast(resource, outlook, found, age_days)
    return outlook, draw(history, outlook, found)


def recommend(rules: Sequence[Rule], earliest_days: float | None) -> Rule | None:
    """The rule of the fewest days that holds by the early end of the interval: the middle is late half of the time."""
    if earliest_days is None:
        return None
    return next(
        (one for one in sorted(rules, key=lambda one: one.within_days) if earliest_days <= one.within_days), None
    )


def _of_history(resource: Resource, samples: Samples, history: History) -> Outlook:
    return Outlook(
        name=samples.name,
        status="failed",
        level="unknown",
        says="",
        unit=resource.unit,
        limit=samples.limit,
        now=history.last,
        confidence=resource.confidence,
        period=history.period,
        history_days=history.days,
        gaps=history.gaps,
        dropped=history.dropped,
        resets=tuple(moment(one) for one in history.resets),
        as_of=moment(history.end_s),
    )


def _of_forecast(resource: Resource, outlook: Outlook, found: Forecast, age_days: float) -> Outlook:
    told = {name: getattr(found, name) for name in ("per_day", "needed", "model", "scores", "held", "season")}
    for name in ("likely_days", "earliest_days", "latest_days", "looked_days"):
        days = getattr(found, name)
        told[name] = None if days is None else max(0.0, days - age_days)
    level, says = _advice(resource, told["earliest_days"])
    return outlook.model_copy(
        update={"status": "forecast", "level": level, "says": says, "runway_days": resource.runway_days, **told}
    )


def _advice(resource: Resource, earliest_days: float | None) -> tuple[Level, str]:
    rule = recommend(resource.rules, earliest_days)
    return ("ok", "Nothing needs to be done.") if rule is None else (rule.level, rule.say)
