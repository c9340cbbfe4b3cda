"""Which stretch of time a report is about: a day or an ISO week of a time zone, or any other.

Audits have periods of their own, `tasks.quality.audit.period`, which says why.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AwareDatetime, Field, model_validator

from blocks.errors import BadInput
from blocks.model import Frozen

Kind = Literal["day", "week", "span"]

ZONE_FIX = "name a zone of the IANA database, as Europe/Berlin, in REPORT_TIMEZONE or TZ"
LOCALTIME = Path("/etc/localtime")
LONGEST = timedelta(days=400)
WEEK = re.compile(r"(\d{4})-?W(\d{1,2})", re.IGNORECASE)
DAYS_OF = {"day": 1, "week": 7}


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time, its end not part of it.

    Attributes:
        since: Its begin.
        until: Its end.
    """

    since: datetime
    until: datetime

    def __contains__(self, moment: datetime) -> bool:
        return self.since <= moment < self.until

    @property
    def seconds(self) -> float:
        """How long it is."""
        return (self.until - self.since).total_seconds()

    def slice_of(self, moment: datetime, slices: int) -> int:
        """In which of so many equal parts a moment of it lies."""
        return min(slices - 1, max(0, int((moment - self.since).total_seconds() * slices / self.seconds)))


class Period(Frozen):
    """A stretch of time, its end not part of it, and the one before that it is compared with.

    Attributes:
        kind: What it is.
        name: Names it, as `2026-11-22`, `2026-W47`; part of the report's address.
        zone: Time zone of its days.
        since, until: Its edges, in UTC. One that is not over ends at the moment of the report.
        before_since, before_until: Those of the period before; as much of it as there is of this one.
        is_over: Whether it has ended.
    """

    kind: Kind
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.-]{0,99}$")
    zone: str
    since: AwareDatetime
    until: AwareDatetime
    before_since: AwareDatetime
    before_until: AwareDatetime
    is_over: bool = True

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.before_since < self.before_until <= self.since < self.until:
            raise ValueError("a period ends after it begins, and the one before it is before it")
        return self

    @property
    def before(self) -> Span:
        """The period before."""
        return Span(self.before_since, self.before_until)

    @property
    def now(self) -> Span:
        """The period itself."""
        return Span(self.since, self.until)

    @property
    def title(self) -> str:
        """For people."""
        begin, end = (one.astimezone(ZoneInfo(self.zone)) for one in (self.since, self.until))
        so_far = "" if self.is_over else ", so far"
        if self.kind == "day":
            return f"{begin:%A %Y-%m-%d}{so_far}"
        if self.kind == "week":
            return f"week {self.name}, {begin:%Y-%m-%d} to {end - timedelta(microseconds=1):%Y-%m-%d}{so_far}"
        return f"{begin:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}{so_far}"

    @property
    def slices(self) -> int:
        """In how many equal parts it is looked at: hours of a day or a week."""
        return 24 if self.now.seconds <= 2 * 86_400 else 168

    def days(self) -> Iterator[tuple[date, datetime]]:
        """The days that it has a part of, each with its begin within the period."""
        zone = ZoneInfo(self.zone)
        day, begin = self.since.astimezone(zone).date(), self.since
        while begin < self.until:
            yield day, begin
            day += timedelta(days=1)
            begin = midnight(day, zone)


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """When a day begins there, in UTC. Where clocks skip midnight it is the moment at which they do."""
    return datetime.combine(day, time(), zone).astimezone(UTC)


def zone_of(name: str) -> ZoneInfo:
    """The zone of that name; of TZ or this machine where it is empty. Raises `BadInput`."""
    try:
        return ZoneInfo(name or _machine_zone())
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise BadInput(f"{name!r:.80} is no time zone", fix=ZONE_FIX, field="--zone") from error


def _machine_zone() -> str:
    """TZ, or where /etc/localtime leads; UTC where neither says."""
    if given := os.environ.get("TZ", "").removeprefix(":"):
        return given.partition("/zoneinfo/")[2] or given
    _, found, name = str(LOCALTIME.resolve()).partition("/zoneinfo/")
    return name.removeprefix("posix/") if found else "UTC"


def asked_period(kind: Kind, when: str, *, since: str, until: str, zone: str, now: datetime) -> Period:
    """The period that somebody asks for.

    Args:
        kind: Of what kind.
        when: See `period_of`.
        since, until: See `span_of`.
        zone: Name of a time zone; empty: that of TZ or of this machine.
        now: The time.

    Raises:
        BadInput: it is none.
    """
    days = zone_of(zone)
    return span_of(since, until, days, now) if kind == "span" else period_of(kind, when, days, now)


def period_of(kind: Literal["day", "week"], when: str, zone: ZoneInfo, now: datetime) -> Period:
    """A day or a week.

    Args:
        kind: Which of them.
        when: A date as `2026-11-22`, for a week also `2026-W47`; `this` or `today` for the one that is not over yet;
            empty or `last`: the latest that is.
        zone: Whose days.
        now: The time.

    Raises:
        BadInput: it is no date, or has not begun.
    """
    first = _first_day(kind, when.strip().lower(), now.astimezone(zone).date())
    days = timedelta(days=DAYS_OF[kind])
    try:
        before, since, until = (midnight(one, zone) for one in (first - days, first, first + days))
    except OverflowError:
        raise _no_date(kind, when) from None
    if since >= now:
        raise BadInput(f"{when} has not begun", fix="give a date that has", field=f"--{kind}")
    year, week, _ = first.isocalendar()
    name = f"{first}" if kind == "day" else f"{year}-W{week:02}"
    return _so_far(kind, name, zone, (before, since, until), now)


def span_of(since: str, until: str, zone: ZoneInfo, now: datetime) -> Period:
    """Any stretch of time; it is compared with as long a one before it.

    Args:
        since: Its begin: `2026-11-22`, or with a time, `2026-11-22T13:30`; of the zone unless it names another.
        until: Its end, which is no part of it; empty: now.
        zone: Whose clock.
        now: The time.

    Raises:
        BadInput: a moment is wrong, or it ends before it begins.
    """
    begin = _moment(since, zone, "--since")
    end = min(_moment(until, zone, "--until"), now) if until else now
    if not timedelta() < end - begin <= LONGEST:
        raise BadInput(
            f"from {since} to {until or 'now'} is no period that can be reported",
            fix=f"give a begin in the past, and an end after it, at most {LONGEST.days} days",
            field="--since",
        )
    name = "-to-".join(f"{one.astimezone(UTC):%Y%m%dT%H%M%SZ}" for one in (begin, end))
    return Period(
        kind="span", name=name, zone=zone.key, since=begin, until=end, before_since=begin - (end - begin),
        before_until=begin,
    )  # fmt: skip


def _so_far(kind: Kind, name: str, zone: ZoneInfo, edges: tuple[datetime, datetime, datetime], now: datetime) -> Period:
    """The period up to now: what is left of it is left out of the one before, too."""
    before, since, until = edges
    end = min(until, now.astimezone(UTC))
    return Period(
        kind=kind,
        name=name,
        zone=zone.key,
        since=since,
        until=end,
        before_since=before,
        before_until=since if end == until else min(since, before + (end - since)),
        is_over=end == until,
    )


def _first_day(kind: Literal["day", "week"], when: str, today: date) -> date:
    this = today if kind == "day" else today - timedelta(days=today.weekday())
    if when in ("this", "today"):
        return this
    if when in ("", "last", "yesterday"):
        return this - timedelta(days=DAYS_OF[kind])
    try:
        if kind == "week" and (found := WEEK.fullmatch(when)):
            return date.fromisocalendar(int(found[1]), int(found[2]), 1)
        day = date.fromisoformat(when)
        return day if kind == "day" else day - timedelta(days=day.weekday())
    except (ValueError, OverflowError):
        raise _no_date(kind, when) from None


def _no_date(kind: str, when: str) -> BadInput:
    forms = "a date as 2026-11-22, or `today`" if kind == "day" else "a week as 2026-W47, a date in it, or `this`"
    return BadInput(f"{when!r:.80} is no {kind}", fix=f"give {forms}", field=f"--{kind}")


def _moment(text: str, zone: ZoneInfo, option: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadInput(
            f"{text!r:.80} is no moment", fix="give a date as 2026-11-22, or 2026-11-22T13:30", field=option
        ) from None
