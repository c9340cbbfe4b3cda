"""When a line was written, by what stands in it."""

import re
from calendar import timegm
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

MONTHS = {
    name: number
    for number, name in enumerate(
        (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"), 1
    )
}
LOOKED_AT = 256

ISO = re.compile(
    rb"(?<!\d)(\d{4})[-/](\d\d)[-/](\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,]\d+)?(?:(Z)| ?([+-])(\d\d):?(\d\d)(?!\d))?"
)
COMMON = re.compile(rb"(?<!\d)(\d\d)/([A-Z][a-z]{2})/(\d{4}):(\d\d):(\d\d):(\d\d)(?: ([+-])(\d\d)(\d\d))?")
SYSLOG = re.compile(rb"^(?:<\d{1,3}>)?([A-Z][a-z]{2}) {1,2}(\d{1,2}) (\d\d):(\d\d):(\d\d)")
EPOCH = re.compile(rb"""(?:^\[?|["'](?:ts|time|timestamp|t)["']\s?:\s?"?)(1\d{9})(\d{3})?(?![\d])""")

MINUTE = 60

LINES_READ = 16
"""At one place, to find one with a time: those of stack traces have none."""


def moment_of(line: bytes, year: int) -> int | None:
    """Seconds since 1970 of the time that a line bears; None where it bears none that we know.

    Args:
        line: The line.
        year: The year where it names none, as syslog's; a time without a zone is taken for UTC.
    """
    start = line[:LOOKED_AT]
    try:
        if found := ISO.search(start):
            whole = (int(found[1]), int(found[2]), int(found[3]), int(found[4]), int(found[5]), int(found[6]))
            return _seconds(whole) - _ahead(found[8], found[9], found[10])
        if found := COMMON.search(start):
            whole = (int(found[3]), MONTHS[found[2]], int(found[1]), int(found[4]), int(found[5]), int(found[6]))
            return _seconds(whole) - _ahead(found[7], found[8], found[9])
        if found := SYSLOG.match(start):
            return _seconds((year, MONTHS[found[1]], int(found[2]), int(found[3]), int(found[4]), int(found[5])))
        if found := EPOCH.search(start):
            return int(found[1])
    except (KeyError, ValueError):  # the 31st of February, a month of no name
        pass
    return None


def _seconds(whole: tuple[int, int, int, int, int, int]) -> int:
    datetime(*whole[:3], tzinfo=UTC)  # refuses days that there are not
    return timegm((*whole, 0, 0, 0))


def _ahead(sign: bytes | None, hours: bytes, minutes: bytes) -> int:
    if sign is None:
        return 0
    ahead = int(hours) * 3600 + int(minutes) * MINUTE
    return ahead if sign == b"+" else -ahead


def windows_of(lines: list[bytes], before: int | None, year: int, width_s: int, step: int) -> list[tuple[int, int]]:
    """Where each time window begins in lines that are near enough in order.

    Not every line is read: one in so many, and between two of different windows their boundaries are sought by halving.
    Lines that stand out of order between two of the same window are counted to it.

    Args:
        lines: The lines.
        before: The window of the line before them; None if there is none.
        year: See `moment_of`.
        width_s: Seconds of a window.
        step: Lines between two that are read.

    Returns:
        Pairs of a line's index and the window that begins there; empty where no line read bears a time.
    """

    def window(index: int) -> int | None:
        for line in lines[index : index + LINES_READ]:
            if (moment := moment_of(line, year)) is not None:
                return moment // width_s
        return None

    found: list[tuple[int, int]] = []
    last_at, last = 0, before
    for index in [*range(0, len(lines), step), len(lines) - 1]:
        now = window(index)
        if now is not None and last is None:
            found.append((0, now))
        elif now is not None and last is not None:
            found += _boundaries(window, last_at, last, index, now)
        last_at, last = index, last if now is None else now
    if before is not None and (not found or found[0][0] > 0):
        found.insert(0, (0, before))
    return found


def _boundaries(
    window: Callable[[int], int | None], low: int, from_window: int, high: int, to_window: int
) -> Iterator[tuple[int, int]]:
    """Where windows begin after one line until another, and which."""
    if from_window == to_window:
        return
    if high - low <= 1:
        yield high, to_window
        return
    middle = (low + high) // 2
    between = window(middle)
    between = from_window if between is None else between
    yield from _boundaries(window, low, from_window, middle, between)
    yield from _boundaries(window, middle, between, high, to_window)
