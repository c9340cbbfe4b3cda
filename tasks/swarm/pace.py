"""Rates and times in words."""

from tasks.swarm.tally import Tally


def pace(tally: Tally) -> str:
    """Rate of late, time left, rows in flight."""
    rate = tally.rate_per_s()
    left = duration((tally.due - tally.ended) / rate) if rate else "?"
    return f"{rate:.1f}/s, {left} left, {tally.in_flight} in flight"


def duration(seconds: float) -> str:
    """A time in two units at most: `2 d 3 h`, `5 min 10 s`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    parts = [(whole // 86_400, "d"), (whole // 3600 % 24, "h"), (whole // 60 % 60, "min"), (whole % 60, "s")]
    return " ".join([f"{amount} {unit}" for amount, unit in parts if amount][:2])
