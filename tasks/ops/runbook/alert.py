"""Alerts, and which runbooks are for them."""

import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from pydantic import Field

from blocks.model import Frozen
from blocks.patterns import compiled
from tasks.ops.runbook.form import Runbook
from tasks.ops.runbook.triggers import AlertTrigger, LogTrigger, MetricTrigger, Trigger

MOST_LINES, LINE_CHARS = 10_000, 4000


class Alert(Frozen):
    """What somebody or something is alarmed about; all of it is data from outside.

    Attributes:
        name: Of the alert, as Prometheus' `alertname`.
        labels: Where it is.
        annotations: What is said about it.
        metric: Name or query of the metric that it is about.
        value: What the metric is.
        log_lines: Lines of logs that belong to it.
    """

    name: str = ""
    labels: dict[str, str] = Field(default_factory=dict[str, str])
    annotations: dict[str, str] = Field(default_factory=dict[str, str])
    metric: str = ""
    value: float | None = None
    log_lines: tuple[str, ...] = ()


def matching(runbooks: Iterable[Runbook], alert: Alert) -> list[Runbook]:
    """The runbooks that are for an alert: one of their triggers matches it, in the order given.

    Args:
        runbooks: All there are.
        alert: The alert.
    """
    return [book for book in runbooks if any(is_triggered(one, alert) for one in book.trigger)]


def is_triggered(trigger: Trigger, alert: Alert) -> bool:
    """Whether a trigger is for an alert. A metric that is not a number triggers nothing."""
    match trigger:
        case AlertTrigger():
            return fnmatchcase(alert.name, trigger.alert) and _has(alert.labels, trigger.labels)
        case MetricTrigger():
            return (
                alert.metric == trigger.metric and _passed(trigger, alert.value) and _has(alert.labels, trigger.labels)
            )
        case LogTrigger():
            pattern = compiled(trigger.log)
            lines = (line[:LINE_CHARS] for line in alert.log_lines[:MOST_LINES])
            found = sum(1 for line in lines if pattern.search(_encodable(line)))
            return found >= trigger.count


def told_by(alert: Alert, where: str) -> Any:
    """What an alert says at a place, as `labels.instance`; None: nothing."""
    head, _, rest = where.partition(".")
    match head:
        case "labels":
            return alert.labels.get(rest)
        case "annotations":
            return alert.annotations.get(rest)
        case _:
            return getattr(alert, head) if getattr(alert, head) != "" else None


def alert_of(content: Any) -> Alert:
    """An alert from a file: our own form, one of Alertmanager, or the first of those that its webhook sends.

    Raises:
        pydantic.ValidationError: it is none of these.
    """
    if isinstance(content.get("alerts"), list) and content["alerts"]:
        content = content["alerts"][0]
    if not isinstance(content, Mapping) or "name" in content or "labels" not in content:
        return Alert.model_validate(content)
    told = Alert.model_validate({"labels": content["labels"], "annotations": content.get("annotations") or {}})
    value = re.fullmatch(r"-?\d+(\.\d+)?", told.annotations.get("value", ""))
    return told.model_copy(
        update={"name": told.labels.get("alertname", ""), "value": float(value[0]) if value else None}
    )


def _passed(trigger: MetricTrigger, value: float | None) -> bool:
    if value is None or value != value:
        return False
    return (trigger.above is not None and value > trigger.above) or (
        trigger.below is not None and value < trigger.below
    )


def _has(labels: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return all(
        name in labels and compiled(pattern).fullmatch(_encodable(labels[name])) is not None
        for name, pattern in wanted.items()
    )


def _encodable(text: str) -> str:
    return text.encode(errors="replace").decode()
