"""The dates of a text, English and Vietnamese: days, months, weekdays."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from tasks.evaluation.numbers import ORDINAL_WORDS, ORDINALS
from tasks.evaluation.spoken import DIGITS_VI, value_vi

MONTHS_EN = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
SHORT_MONTHS = {name[:3]: number for number, name in enumerate(MONTHS_EN, start=1)} | {"sept": 9}
MONTHS = {name: number for number, name in enumerate(MONTHS_EN, start=1)} | SHORT_MONTHS
MONTHS_VI = {
    **{"giêng": 1, "một": 1, "hai": 2, "ba": 3, "tư": 4, "năm": 5, "sáu": 6, "bảy": 7, "tám": 8, "chín": 9},
    **{"mười một": 11, "mười hai": 12, "mười": 10, "chạp": 12},
}
DAYS_VI = {
    spoken: value
    for tens in ("", "mười", "hai mươi", "ba mươi")
    for unit in ("", *DIGITS_VI)
    if (spoken := f"{tens} {unit}".strip()) and 1 <= (value := value_vi(spoken.split()) or 0) <= 31
}
WEEKDAYS = {
    **{"monday": 1, "tuesday": 2, "wednesday": 3, "thursday": 4, "friday": 5, "saturday": 6, "sunday": 7},
    **{"thứ hai": 1, "thứ ba": 2, "thứ tư": 3, "thứ năm": 4, "thứ sáu": 5, "thứ bảy": 6, "chủ nhật": 7},
    **{f"thứ {number}": number - 1 for number in range(2, 8)},
}

_MONTH = "|".join(sorted(MONTHS, key=len, reverse=True))
_MONTH_VI = "|".join(sorted(MONTHS_VI, key=len, reverse=True))
_DAY_VI = "|".join(sorted(DAYS_VI, key=len, reverse=True))
_DAY = rf"(?:the )?(?P<day>\d{{1,2}}|{ORDINAL_WORDS})(?:st|nd|rd|th)?"
_YEAR = r"(?:,? (?P<year>\d{4}))?"
PATTERNS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"(?<!\d)(?P<year>\d{4})-(?P<month>\d{1,2})-(?P<day>\d{1,2})(?!\d)",
        r"(?<![\d/-])(?P<day>\d{1,2})[/.-](?P<month>\d{1,2})[/.-](?P<year>\d{4})(?![\d/])",
        r"(?<![\d/.,])(?P<day>\d{1,2})/(?P<month>\d{1,2})(?![\d/])",
        rf"\b{_DAY}(?: of)? (?P<month>{_MONTH})\b\.?{_YEAR}",
        rf"\b(?P<month>{_MONTH})\b\.? {_DAY}\b{_YEAR}",
        rf"\b(?P<day>\d{{1,2}}|{_DAY_VI}) tháng (?P<month>\d{{1,2}}|{_MONTH_VI})\b(?:(?:,? năm)? (?P<year>\d{{4}}))?",
        rf"\btháng (?P<month>\d{{1,2}}|{_MONTH_VI})\b(?:(?:,? năm|/) ?(?P<year>\d{{4}}))?",
        rf"\b(?P<month>{'|'.join(MONTHS_EN)})\b{_YEAR}",
    )
)
WEEKDAY = re.compile(rf"\b(?:{'|'.join(sorted(WEEKDAYS, key=len, reverse=True))})\b", re.IGNORECASE)
VERBS = {"march", "may"}


class Date(NamedTuple):
    """A date of a text; None for what it does not say.

    Attributes:
        text: As it stands there.
        start, end: Where it stands.
        day, month, year: Of the calendar; `weekday` from 1 (Monday) to 7.
        either_way: Whether day and month may be the other way round, as in 3/4.
    """

    text: str
    start: int
    end: int
    day: int | None = None
    month: int | None = None
    year: int | None = None
    weekday: int | None = None
    either_way: bool = False

    def is_said_by(self, other: "Date") -> bool:
        """Whether another date says all that this one says."""
        if self.weekday is not None or other.weekday is not None:
            return self.weekday == other.weekday
        if self.year is not None and self.year != other.year:
            return False
        wanted = (self.day, self.month)
        return any(
            wanted == read or (self.day is None and self.month == read[1])
            for read in ((other.day, other.month), (other.month, other.day))[
                : 1 + (self.either_way or other.either_way)
            ]
        )


def dates_of(text: str) -> list[Date]:
    """All dates of a text, in order; where two readings overlap, the fuller one."""
    found: list[Date] = []
    for date in _readings(text):
        if not any(date.start < other.end and other.start < date.end for other in found):
            found.append(date)
    return sorted(found, key=lambda one: one.start)


def _readings(text: str) -> Iterator[Date]:
    for pattern in PATTERNS:
        for found in pattern.finditer(text):
            if (date := _date(found)) is not None:
                yield date
    for found in WEEKDAY.finditer(text):
        yield Date(found[0], found.start(), found.end(), weekday=WEEKDAYS[found[0].lower()])


def _date(found: re.Match[str]) -> Date | None:
    """The date of a match; None where there is no such day."""
    parts = found.groupdict()
    month, day, year = _month(parts["month"]), _day(parts.get("day")), parts.get("year")
    if day is None and parts["month"].lower() in VERBS and not parts["month"][0].isupper():
        return None
    numeric = re.match(r"\d{1,2}[/.-]\d", found[0]) is not None
    if month > 12 and numeric and day is not None and day <= 12:
        day, month = month, day
    if not 1 <= month <= 12 or (day is not None and not 1 <= day <= 31):
        return None
    either = numeric and day is not None and day <= 12
    return Date(found[0], *found.span(), day, month, int(year) if year else None, either_way=either)


def _month(text: str) -> int:
    name = text.lower()
    return int(name) if name.isdigit() else MONTHS.get(name) or MONTHS_VI[name]


def _day(text: str | None) -> int | None:
    if text is None:
        return None
    spoken = text.lower().replace("-", " ")
    return int(text) if text.isdigit() else ORDINALS.get(spoken) or DAYS_VI[spoken]
