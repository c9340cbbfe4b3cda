"""Which resources may run out, where their history is, and what to do how long before."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, TypeAdapter, model_validator

from blocks.faults import Fault, faulty
from blocks.model import Frozen
from blocks.yaml_file import read_yaml

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=4000)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Level = Literal["ok", "notice", "warn", "critical", "unknown"]
FIX = "correct the plan; docs/operations/capacity.md shows its form"


class FromPrometheus(Frozen):
    """A history in the Prometheus of PROMETHEUS_URL.

    Attributes:
        query: PromQL; each series that it gives is a resource of its own.
        days: How far back.
        step_s: Seconds between two samples; None: an hour, or less where there are few days.
        limit_query: PromQL for the limit, one for each series by its labels, or one for all.
    """

    kind: Literal["prometheus"]
    query: Text
    days: float = Field(default=90, gt=0, le=1100)
    step_s: int | None = Field(default=None, ge=1, le=86_400)
    limit_query: Text | None = None


class FromCsv(Frozen):
    """A history in a file.

    Attributes:
        file: CSV with a header; relative to the plan.
        time: Column with moments: ISO 8601 (UTC where it names no zone), or Unix time in seconds.
        value: Column with values; what is no number is a gap.
    """

    kind: Literal["csv"]
    file: Path
    time: Text = "time"
    value: Text = "value"


class Rule(Frozen):
    """What to do.

    Attributes:
        within_days: It holds where the resource may run out within so many days, by the early end of the interval.
        level: How urgent it is.
        say: What should be done.
    """

    within_days: float = Field(gt=0)
    level: Level
    say: Text


USUAL_RULES = (
    Rule(within_days=14, level="critical", say="Make room or add capacity now."),
    Rule(within_days=45, level="warn", say="Add capacity within the next two weeks."),
    Rule(within_days=120, level="notice", say="Plan more capacity for this quarter."),
)


class Resource(Frozen):
    """Something that may run out.

    Attributes:
        name: Names it.
        source: Where its history is.
        limit: At which value it has run out; None: as `limit_query` says.
        unit: Of its values, for people.
        counter: Whether the history is that of a counter, which begins at 0 again when its program does; what counts is
            the sum.
        aggregate: What of several samples of a period counts.
        period: The periods; `auto`: days where there are four weeks of history, else hours.
        horizon_days: How far is looked ahead, but never further than four times the history.
        confidence: Share of what may come that the interval holds.
        runway_days: For so long the recommended capacity lasts.
        rules: The first that holds, by days, is the recommendation.
    """

    name: Name
    source: Annotated[FromPrometheus | FromCsv, Field(discriminator="kind")]
    limit: Finite | None = None
    unit: str = Field(default="", max_length=40)
    counter: bool = False
    aggregate: Literal["max", "mean", "last"] = "max"
    period: Literal["auto", "hour", "day"] = "auto"
    horizon_days: int = Field(default=365, ge=1, le=1100)
    confidence: float = Field(default=0.9, ge=0.5, le=0.99)
    runway_days: int = Field(default=180, ge=1, le=1100)
    rules: tuple[Rule, ...] = USUAL_RULES

    @model_validator(mode="after")
    def _has_a_limit(self) -> Self:
        asked = self.source.limit_query if isinstance(self.source, FromPrometheus) else None
        if (self.limit is None) == (asked is None):
            raise faulty([Fault(("limit",), "give limit, or limit_query of a Prometheus, and not both")])
        return self


class CapacityPlan(Frozen):
    """The file.

    Attributes:
        resources: All of them.
        folder: Of the file.
    """

    resources: tuple[Resource, ...] = Field(min_length=1)
    folder: Path = Field(default=Path(), exclude=True)

    @model_validator(mode="after")
    def _has_own_names(self) -> Self:
        if faults := list(self._faults()):
            raise faulty(faults)
        return self

    def _faults(self) -> Iterator[Fault]:
        seen: dict[str, int] = {}
        for number, one in enumerate(self.resources):
            if one.name in seen:
                place = ("resources", seen[one.name], "name")
                yield Fault(("resources", number, "name"), f"{one.name} is the name of another", place)
            seen.setdefault(one.name, number)


FORM = TypeAdapter(CapacityPlan)


def read_plan(path: Path) -> CapacityPlan:
    """A plan.

    Raises:
        NotFound: there is no such file.
        BadInput: it is wrong; `details["problems"]` has every fault with its line.
    """
    path = path.expanduser().absolute()
    return read_yaml(path, fix=FIX, field="plan").read_as(FORM).model_copy(update={"folder": path.parent})
