"""Times at which a rule holds: hours, days of the week and dates in a named time zone."""

from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from blocks.model import Frozen

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

Clock = Annotated[str, StringConstraints(pattern=r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$")]
"""In quotes: YAML reads 22:00 without them as the number 1320."""


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def _is_zone(name: str) -> str:
    try:
        _zone(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"there is no time zone {name[:60]!r}; write one as Asia/Ho_Chi_Minh or UTC") from None
    return name


class Window(Frozen):
    """Hours on days; it begins on one of the days, and where it ends before it begins it ends on the next.

    Attributes:
        zone: Time zone in which all of it is read.
        days: On which days it begins.
        start: When it begins.
        end: Before when it ends.
        first: The first date on which it begins.
        last: The last one.
    """

    zone: Annotated[str, AfterValidator(_is_zone)]
    days: tuple[Day, ...] = Field(default=DAYS, min_length=1)
    start: Clock = "00:00"
    end: Clock = "24:00"
    first: date | None = None
    last: date | None = None

    @model_validator(mode="after")
    def _has_length(self) -> "Window":
        if self.start == self.end or self.start == "24:00":
            raise ValueError("it begins when it ends; leave start and end out for whole days")
        if self.first and self.last and self.last < self.first:
            raise ValueError("its last date is before its first")
        return self

    def holds(self, now: datetime) -> bool:
        """Whether a time lies within."""
        local = now.astimezone(_zone(self.zone))
        clock, today = local.strftime("%H:%M"), local.date()
        if self.start < self.end:
            return self._begins(today) and self.start <= clock < self.end
        evening = self._begins(today) and clock >= self.start
        return evening or (self._begins(today - timedelta(days=1)) and clock < self.end)

    def _begins(self, day: date) -> bool:
        in_time = (self.first is None or self.first <= day) and (self.last is None or day <= self.last)
        return in_time and DAYS[day.weekday()] in self.days
