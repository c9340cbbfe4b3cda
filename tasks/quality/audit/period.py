"""Periods that are audited; days are those of UTC, as in the books.

Not those of `tasks.quality.report.period`: the history of audits lies by days of UTC, so that a period has the same
jobs whoever audits it again, from wherever. A report is made for people of one time zone, of days that may have 23
hours and may not be over yet.
"""

import re
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, model_validator

from blocks.errors import BadInput
from blocks.model import Frozen

Span = Literal["day", "week", "month"]

DAY = timedelta(days=1)
LONGEST = timedelta(days=366)
"""History and Data Docs tell of periods, not of the whole life of a store."""

FORMS = {"day": "2026-11-21", "week": "2026-W47", "month": "2026-11"}
STAMPS = {"day": "%Y-%m-%d", "week": "%G-W%V", "month": "%Y-%m"}
PATTERNS = {"day": r"\d{4}-\d{2}-\d{2}", "week": r"\d{4}-W\d{2}", "month": r"\d{4}-\d{2}"}


def _in_utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)


Moment = Annotated[AwareDatetime, AfterValidator(_in_utc)]


class Period(Frozen):
    """A stretch of time.

    Attributes:
        since: Its begin.
        until: Its end, which is no part of it.
    """

    since: Moment
    until: Moment

    @model_validator(mode="after")
    def _has_a_length(self) -> "Period":
        if not timedelta(0) < self.until - self.since <= LONGEST:
            raise ValueError(f"a period ends after it begins, and {LONGEST.days} days later at most")
        return self

    @property
    def name(self) -> str:
        """Names it in addresses and lists: `2026-11-21`, `2026-W47`, `2026-11`, or both ends."""
        days = self.until - self.since
        if _is_midnight(self.since) and _is_midnight(self.until):
            first = self.since.date()
            if days == DAY:
                return first.isoformat()
            if days == 7 * DAY and first.weekday() == 0:
                return f"{first:%G-W%V}"
            if first.day == 1 and self.until.date() == _next_month(first):
                return f"{first:%Y-%m}"
        return f"{self.since:%Y%m%dT%H%M%SZ}-{self.until:%Y%m%dT%H%M%SZ}"

    @property
    def previous(self) -> "Period":
        """The one before it: the month before a month, else as long as this one."""
        if re.fullmatch(PATTERNS["month"], self.name):
            return named("month", f"{(self.since - DAY):%Y-%m}")
        return Period(since=self.since - (self.until - self.since), until=self.since)

    @property
    def days(self) -> list[date]:
        """The days it has a part in."""
        last = (self.until - timedelta(microseconds=1)).date()
        return [self.since.date() + number * DAY for number in range((last - self.since.date()).days + 1)]

    def has(self, moment: datetime) -> bool:
        """Whether a moment lies in it."""
        return self.since <= moment < self.until


def latest(span: Span, now: datetime | None = None) -> Period:
    """The latest day, week or month that is over."""
    today = (now or datetime.now(UTC)).astimezone(UTC).date()
    if span == "day":
        return _of_days(today - DAY, today)
    if span == "week":
        monday = today - today.weekday() * DAY
        return _of_days(monday - 7 * DAY, monday)
    first = today.replace(day=1)
    return _of_days((first - DAY).replace(day=1), first)


def named(span: Span, name: str, field: str | None = None, now: datetime | None = None) -> Period:
    """A day, a week or a month by its name, or by one of the words that `c500 report` takes, too.

    Args:
        span: Which of them.
        name: Such as `2026-11-21`, `2026-W47`, `2026-11`; `last` is the latest that is over, `this` the present one;
            for days also `yesterday` and `today`.
        field: The option that gave it.
        now: The time; None for now.

    Raises:
        BadInput: it names none.
    """
    now = now or datetime.now(UTC)
    if name == "last" or (span, name) == ("day", "yesterday"):
        return latest(span, now)
    if name == "this" or (span, name) == ("day", "today"):
        name = f"{now.astimezone(UTC):{STAMPS[span]}}"
    try:
        if not re.fullmatch(PATTERNS[span], name):
            raise ValueError(name)
        if span == "month":
            first = date.fromisoformat(f"{name}-01")
            return _of_days(first, _next_month(first))
        first = date.fromisoformat(name)  # of a week, its Monday
        return _of_days(first, first + (7 if span == "week" else 1) * DAY)
    except ValueError:
        raise BadInput(
            f"{name!r:.60} is no {span}", fix=f"give it as {FORMS[span]}, or as last or this", field=field or span
        ) from None


def _of_days(first: date, end: date) -> Period:
    return Period(since=_midnight(first), until=_midnight(end))


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _is_midnight(moment: datetime) -> bool:
    return moment == _midnight(moment.date())


def _next_month(first: date) -> date:
    return (first + 31 * DAY).replace(day=1)
