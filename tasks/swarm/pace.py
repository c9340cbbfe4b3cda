"""Rates, times and outages in words."""

from blocks.accounts.traffic import Traffic
from blocks.errors import EngineUnavailable
from tasks.swarm.tally import Tally

SILENT_S = 30.0
"""A spread swarm whose rows end at longer intervals says so: what its shards wait for, other processes know."""

WHY = "no worker is free, or the board of a shard says what it waits for"


def pace(tally: Tally) -> str:
    """Rate of late, time left, calls in flight, rows that wait for an account; and whether none answers."""
    rate, flying = tally.rate_per_s(), tally.traffic.in_flight
    left = duration((tally.due - tally.ended) / rate) if rate else "?"
    if tally.is_spread:
        silent = (
            f"; no row has ended for {duration(silent_s)}: {WHY}" if (silent_s := tally.silent_s) > SILENT_S else ""
        )
        return f"{rate:.1f}/s, {left} left{silent}"
    waiting = f", {waits:,} waiting" if (waits := tally.begun - flying) > 0 else ""
    told = f"; {_silence(tally.traffic)}" if tally.traffic.outage_s else ""
    return f"{rate:.1f}/s, {left} left, {flying:,} in flight{waiting}{told}"


def unanswered(traffic: Traffic) -> EngineUnavailable:
    """The error of a swarm that no account has answered for too long."""
    return EngineUnavailable(_silence(traffic), fix="see c500 accounts check", accounts=traffic.accounts)


def duration(seconds: float) -> str:
    """A time in two units at most: `2 d 3 h`, `5 min 10 s`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    parts = [(whole // 86_400, "d"), (whole // 3600 % 24, "h"), (whole // 60 % 60, "min"), (whole % 60, "s")]
    return " ".join([f"{amount} {unit}" for amount, unit in parts if amount][:2])


def _silence(traffic: Traffic) -> str:
    return f"no account answers for {duration(traffic.outage_s)}: {traffic.told}"
