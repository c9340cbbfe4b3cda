"""What Alertmanager sends: its webhook, version 4. All of it is data from outside.

Source: https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from blocks.errors import BadInput
from blocks.faults import Fault, faults_of
from blocks.model import Frozen
from blocks.plain_text import plain, visible
from blocks.yaml_file import read_yaml

MOST_BYTES = 1_000_000
MOST_ALERTS = 200
"""Of a notification; more are counted only. Refused they would be lost: after a 4xx Alertmanager sends no more."""
MOST_LABELS = 64
KEPT_FIRST = ("alertname", "severity", "service", "job", "instance", "summary", "description")
NAME_CHARS, VALUE_CHARS = 200, 2000
FIX = "send what Alertmanager's webhook sends; docs/operations/incidents.md shows it"


def _cut(text: str) -> str:
    # Halves of characters, which JSON may hold and no store takes, become question marks.
    return visible(text.encode(errors="replace").decode())[:VALUE_CHARS]


def _few(labels: Any) -> Any:
    """Labels that are too many, without some of them."""
    if not isinstance(labels, dict) or len(cast(dict[Any, Any], labels)) <= MOST_LABELS:
        return labels  # pyright: ignore[reportUnknownVariableType]
    given = cast(dict[Any, Any], labels)
    names = dict.fromkeys([*(name for name in KEPT_FIRST if name in given), *given])
    return {name: given[name] for name in list(names)[:MOST_LABELS]}


def _utc(moment: datetime) -> datetime:
    try:
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except OverflowError:
        raise ValueError("it lies before the year 1 or after the year 9999") from None


def _no_zero(value: Any) -> Any:
    """Go's zero time, which Alertmanager sends for an end that is not known; YAML makes a moment of it."""
    is_zero = value.year == 1 if isinstance(value, datetime) else str(value).startswith("0001-01-01")
    return None if is_zero else value


Value = Annotated[str, AfterValidator(_cut)]
LabelName = Annotated[str, AfterValidator(lambda name: _cut(name)[:NAME_CHARS])]
Labels = Annotated[dict[LabelName, Value], BeforeValidator(_few)]
Moment = Annotated[datetime, AfterValidator(_utc)]
End = Annotated[Moment | None, BeforeValidator(_no_zero)]


class _Lenient(Frozen):
    """Newer versions of Alertmanager may send more than we know."""

    model_config = ConfigDict(extra="ignore", populate_by_name=True)


class Alarm(_Lenient):
    """An alert of a notification.

    Attributes:
        status: Whether it is still so.
        labels: What it is; `alertname` is its name.
        annotations: What is said about it.
        starts_at, ends_at: Since and until when; an end may be missing.
        generator: Where it comes from.
        told_fingerprint: As Alertmanager calls it.
    """

    status: Literal["firing", "resolved"] = "firing"
    labels: Labels
    annotations: Labels = Field(default_factory=dict[str, str])
    starts_at: End = Field(default=None, alias="startsAt")
    ends_at: End = Field(default=None, alias="endsAt")
    generator: Value = Field(default="", alias="generatorURL")
    told_fingerprint: Value = Field(default="", alias="fingerprint")

    @property
    def name(self) -> str:
        """Of the alert."""
        return " ".join(self.labels.get("alertname", "").split()) or "alert"

    @property
    def fingerprint(self) -> str:
        """The same for the same alert: as Alertmanager says, else by its labels."""
        told = self.told_fingerprint or json.dumps(sorted(self.labels.items()))
        return sha256(told.encode()).hexdigest()[:16]


class Notification(_Lenient):
    """Alerts that belong together.

    Attributes:
        alerts: The alerts.
        group_key: What they have in common; empty where nobody said.
        truncated: How many more there were.
        external_url: Alertmanager's own page.
    """

    alerts: Annotated[tuple[Alarm, ...], Field(min_length=1, max_length=MOST_ALERTS)]
    group_key: str = Field(default="", alias="groupKey")
    truncated: Annotated[int, Field(ge=0, le=10**9)] = Field(default=0, alias="truncatedAlerts")
    external_url: Value = Field(default="", alias="externalURL")

    @property
    def firing(self) -> tuple[Alarm, ...]:
        """Those that are still so."""
        return tuple(one for one in self.alerts if one.status == "firing")


FORM: TypeAdapter[Notification] = TypeAdapter(Notification)


def notification_of(content: Any) -> Notification:
    """What a webhook sent; a list of alerts, or one alert, is a notification, too.

    Raises:
        BadInput: it is none; `details["field"]` says what is wrong first.
    """
    if isinstance(content, list):
        content = {"alerts": content}
    elif isinstance(content, Mapping) and "alerts" not in content and "labels" in content:
        content = {"alerts": [content]}
    if isinstance(content, Mapping):
        content = _few_alerts(cast(Mapping[str, Any], content))
    try:
        told = FORM.validate_python(content)
    except ValidationError as error:
        [fault, *_] = faults_of(error, FORM)
    else:
        if any(one.labels for one in told.alerts):
            return told
        fault = Fault(("alerts", 0, "labels"), "an alert has labels, at least its alertname")
    # Outside of the handler: pydantic's error holds the values.
    where = plain(fault.where)[:200]  # names of labels stand in it
    raise BadInput(f"{where}: {fault.what}", fix=FIX, field=where)


def read_notification(path: Path) -> Notification:
    """The notification of a JSON or YAML file. Raises `NotFound`, `BadInput`."""
    if path.is_file() and path.stat().st_size > MOST_BYTES:
        raise BadInput(f"{path} has more than {MOST_BYTES} bytes", fix="give the alerts of one group", field="alert")
    return notification_of(read_yaml(path, fix=FIX, field="alert").content)


def _few_alerts(content: Mapping[str, Any]) -> dict[str, Any]:
    """A notification of too many alerts, in which the rest is only counted: those that are over first."""
    alerts = content.get("alerts")
    if not isinstance(alerts, list) or len(cast(list[Any], alerts)) <= MOST_ALERTS:
        return dict(content)
    every, told = cast(list[Any], alerts), content.get("truncatedAlerts", 0)
    before = told if isinstance(told, int) and 0 <= told <= 10**6 else 0
    kept = sorted(every, key=_is_over)[:MOST_ALERTS]
    return {**content, "alerts": kept, "truncatedAlerts": before + len(every) - MOST_ALERTS}


def _is_over(alert: Any) -> bool:
    return isinstance(alert, Mapping) and cast(Mapping[str, Any], alert).get("status") == "resolved"
