"""What needs a person now, whenever it began."""

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from tasks.quality.report.compare import count_of
from tasks.quality.report.facts import Wanted
from tasks.quality.report.report import Gap, Part, Unit, table_of

COLUMNS: dict[str, Unit] = {
    "what": "text",
    "how many": "count",
    "since": "text",
    "which": "text",
    "what to do": "text",
}
NAMED = 3


def people_part(told: Sequence[Wanted], gaps: Sequence[Gap], zone: str) -> Part:
    """What waits, the urgent things first, then what waits longest."""
    ranked = sorted(told, key=lambda one: (not one.is_urgent, one.since is None, one.since or datetime.min))
    rows = [
        (
            one.what,
            one.count,
            f"{one.since.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M}" if one.since else "",
            "; ".join(one.which[:NAMED]) + (f" and {one.count - NAMED} more" if one.count > NAMED else ""),
            one.do,
        )
        for one in ranked
    ]
    return Part(
        name="people",
        title="What needs a person now",
        figures=(
            count_of("waiting", "things that wait for a person", sum(one.count for one in told)),
            count_of("urgent", "of these, urgent", sum(one.count for one in told if one.is_urgent)),
        )
        if told
        else (),
        tables=table_of("What waits", COLUMNS, rows, most=40),
        notes=() if told or gaps else ("Nothing waits for a person.",),
        gaps=tuple(gaps),
    )
