"""The plan of a watch: metrics, thresholds, how long, and how to go back."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, TypeAdapter, model_validator

from blocks.errors import BadInput
from blocks.model import Frozen
from blocks.secret_reference import SecretReference
from blocks.yaml_file import read_yaml
from tasks.ops.service.commands import Command, ServiceName, StepName, Version
from tasks.ops.service.rolling_back import RollbackLimits

FIX = "correct the plan; docs/operations/rollouts.md shows its form"


class Limit(Frozen):
    """What a metric must not pass; it is passed where one of the two is.

    Attributes:
        at: This value.
        of_baseline: So many times the baseline.
        from_value: Only where the value is at least (`worse: lower`: at most) this is it compared with the baseline.
    """

    at: float | None = None
    of_baseline: float | None = Field(default=None, gt=0)
    from_value: float | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.at is None and self.of_baseline is None:
            raise ValueError("give `at`, `of_baseline`, or both")
        return self


class Metric(Frozen):
    """A metric of the canary, perhaps against the baseline's.

    Attributes:
        name: Names it.
        kind: `value`: as it comes; `rate`: a counter's increase in a second; `ratio`: the increase of a counter over
            that of another, as errors over requests.
        worse: Which way is worse.
        canary, baseline: Queries; each gives one value.
        canary_total, baseline_total: Those of the counters that a `ratio` divides by.
        least_events: A `ratio` of fewer says nothing.
        warn: What is told.
        critical: What counts towards a rollback.
    """

    name: StepName
    kind: Literal["value", "rate", "ratio"] = "value"
    worse: Literal["higher", "lower"] = "higher"
    canary: str = Field(min_length=1, max_length=4000)
    baseline: str | None = Field(default=None, min_length=1, max_length=4000)
    canary_total: str | None = Field(default=None, min_length=1, max_length=4000)
    baseline_total: str | None = Field(default=None, min_length=1, max_length=4000)
    least_events: float = Field(default=1, gt=0)
    warn: Limit | None = None
    critical: Limit

    @model_validator(mode="after")
    def _fits(self) -> Self:
        compared = any(one is not None and one.of_baseline is not None for one in (self.warn, self.critical))
        if compared and self.baseline is None:
            raise ValueError("of_baseline needs a `baseline` query")
        if self.kind == "ratio":
            if self.canary_total is None or (self.baseline is not None and self.baseline_total is None):
                raise ValueError("a ratio needs canary_total, and baseline_total where it has a baseline")
        elif self.canary_total is not None or self.baseline_total is not None:
            raise ValueError("only a ratio has totals")
        warn, critical = self.warn and self.warn.at, self.critical.at
        if warn is not None and critical is not None:
            milder = warn > critical if self.worse == "higher" else warn < critical
            if milder:
                raise ValueError("warn must come before critical")
        return self


class Source(Frozen):
    """Where the metrics come from: a Prometheus server, or a CSV file with the columns `at`, `series` and `value`.

    Attributes:
        prometheus: Its address.
        token: Where its bearer token is.
        csv: The file; relative to the plan. Its `series` are the queries. It is played back without waiting.
        stale_s: Of a file: how long a value stands.
    """

    prometheus: str | None = Field(default=None, pattern=r"^https?://\S+$")
    token: SecretReference = "none"  # noqa: S105 - a reference: there is none
    csv: Path | None = None
    stale_s: float = Field(default=120, gt=0)

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.prometheus is None) == (self.csv is None):
            raise ValueError("give either `prometheus` or `csv`")
        return self


class RolloutPlan(Frozen):
    """What is watched, and what is done about it.

    Attributes:
        service, version: What was rolled out.
        source: Where the metrics come from.
        metrics: Which.
        interval_s: Seconds between two looks.
        bake_s: Seconds of looks with data and without a standing episode after which it has passed.
        most_s: Seconds of looks after which it ends undecided; None: four times `bake_s`.
        failures, out_of: So many critical looks of the last so many with data lead to a rollback.
        recover: So many good looks in a row end an episode.
        most_missing: So many looks without data in a row end the watch.
        on_missing: What then: people are told (`hold`), or it is rolled back.
        rollback: Commands that take the version back; none: people are told.
        limits: How often the service may be rolled back.
    """

    service: ServiceName
    version: Version
    source: Source
    metrics: tuple[Metric, ...] = Field(min_length=1)
    interval_s: float = Field(default=30, gt=0, le=86_400)
    bake_s: float = Field(default=900, gt=0, le=30 * 86_400)
    most_s: float | None = Field(default=None, gt=0)
    failures: int = Field(default=3, ge=1, le=1000)
    out_of: int = Field(default=5, ge=1, le=1000)
    recover: int = Field(default=2, ge=1, le=1000)
    most_missing: int = Field(default=10, ge=1, le=100_000)
    on_missing: Literal["hold", "rollback"] = "hold"
    rollback: tuple[Command, ...] = ()
    limits: RollbackLimits = RollbackLimits()
    folder: Path = Field(default=Path(), exclude=True)

    def of(self, service: str) -> Self:
        """Itself, if it is about this service. Raises `BadInput`."""
        if self.service != service:
            raise BadInput(f"the rollout is of {self.service}, not of {service}", fix="name another", field="watch")
        return self

    @property
    def longest_s(self) -> float:
        """Seconds of looks after which it ends."""
        return self.most_s if self.most_s is not None else 4 * self.bake_s

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.failures > self.out_of:
            raise ValueError("failures cannot be more than out_of")
        if self.longest_s < self.bake_s:
            raise ValueError("most_s must not be less than bake_s")
        for kind, names in (("metrics", [one.name for one in self.metrics]), ("rollback", self._steps())):
            if len(set(names)) < len(names):
                raise ValueError(f"{kind} have the same name twice")
        return self

    def _steps(self) -> list[str]:
        return [one.name for one in self.rollback]


FORM = TypeAdapter(RolloutPlan)


def read_rollout(path: Path, *, version: str | None = None) -> RolloutPlan:
    """The plan of a file.

    Args:
        path: Where it lies.
        version: In place of that of the file.

    Raises:
        NotFound, BadInput: it is not there, or is wrong; `details["problems"]` has every fault with its line.
    """
    read = read_yaml(path.expanduser(), fix=FIX, field="plan")
    content = read.content
    if version is not None and isinstance(content, dict):
        content = {**content, "version": version}
    plan = read.part_as(FORM, content, ())
    return plan.model_copy(update={"folder": path.expanduser().absolute().parent})
