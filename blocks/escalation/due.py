"""Which channels are to be told now: a function of the chain, of what was done so far, and of the time."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from pydantic import SecretStr

from blocks.escalation.chain import Chain, Level, channel_id
from blocks.escalation.state import Escalation, Notice

MOST_TRIES = 2
"""A message is sent once. One of which it is not known that it arrived is sent a second time, and says so."""
CLAIM_S = 120.0
"""A claim that is older and has no end is that of a process that died; sending itself is given up much earlier."""


def due(chain: Chain, escalation: Escalation, now: datetime) -> list[tuple[Level, SecretStr]]:
    """The channels to tell, of all levels that are reached; none once somebody has acknowledged."""
    if escalation.acknowledged_by is not None:
        return []
    return [
        (level, channel)
        for level in reached(chain, escalation, now)
        for channel in level.channels
        if is_due(escalation.notice(level.name, channel_id(channel)), now)
    ]


def reached(chain: Chain, escalation: Escalation, now: datetime) -> Iterator[Level]:
    """The first level, and each after one whose time is over or whom no message reaches."""
    for level in chain.levels:
        yield level
        told = [escalation.notice(level.name, channel_id(channel)) for channel in level.channels]
        if not _is_over(level, told, now):
            return


def is_due(notice: Notice | None, now: datetime) -> bool:
    """Whether a channel is to be told, for the first time or once more."""
    if notice is None:
        return True
    if notice.tries >= MOST_TRIES or notice.state == "sent":
        return False
    return notice.state == "failed" or now - notice.at > timedelta(seconds=CLAIM_S)


def _is_over(level: Level, told: list[Notice | None], now: datetime) -> bool:
    first = min((one.first_at for one in told if one), default=None)
    if first is not None and now - first >= timedelta(seconds=level.acknowledge_within_s):
        return True
    return all(one is not None and one.state == "failed" and one.tries >= MOST_TRIES for one in told)
