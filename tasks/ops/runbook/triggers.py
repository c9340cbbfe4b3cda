"""What runbooks are for: alerts, metrics, lines of logs."""

from pydantic import Field, model_validator

from blocks.faults import Fault, faulty
from blocks.model import Frozen
from blocks.patterns import Pattern


class AlertTrigger(Frozen):
    """Alerts of a name, with labels.

    Attributes:
        alert: The alert's name; `*` stands for anything.
        labels: RE2 that the whole of each label has to match.
    """

    alert: str = Field(min_length=1, max_length=200)
    labels: dict[str, Pattern] = Field(default_factory=dict[str, str])


class MetricTrigger(Frozen):
    """A metric that passes a threshold.

    Attributes:
        metric: Its name, or the query that gives it.
        above, below: The threshold.
        labels: RE2 that the whole of each label has to match.
    """

    metric: str = Field(min_length=1, max_length=1000)
    above: float | None = None
    below: float | None = None
    labels: dict[str, Pattern] = Field(default_factory=dict[str, str])

    @model_validator(mode="after")
    def _has_threshold(self) -> "MetricTrigger":
        if self.above is None and self.below is None:
            raise faulty([Fault(("above",), "a metric triggers above or below something")])
        return self


class LogTrigger(Frozen):
    """A pattern in the logs.

    Attributes:
        log: RE2 that is looked for in each line.
        count: So many lines must have it.
    """

    log: Pattern
    count: int = Field(default=1, ge=1, le=100_000)


Trigger = AlertTrigger | MetricTrigger | LogTrigger
TRIGGERS: dict[str, type[Trigger]] = {"alert": AlertTrigger, "metric": MetricTrigger, "log": LogTrigger}
