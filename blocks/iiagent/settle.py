"""When has a run ended whose socket is gone? Only the stored events tell: until then no other agent may begin."""

from collections.abc import Sequence
from typing import NamedTuple

from blocks.errors import EngineUnavailable, LimitReached
from blocks.iiagent.events import ENDS_STORED, Event, UserMessage
from blocks.iiagent.link import Overdue
from blocks.iiagent.pace import Nap, Pace
from blocks.iiagent.rest import AgentRest
from blocks.iiagent.server import Limits
from blocks.iiagent.state import RunningTurn
from blocks.iiagent.stored import StoredEvent

LONGEST_POLL = 10
"""Looks get rarer while nothing happens, up to so many times `poll_s`."""


class Settled(NamedTuple):
    """A run that is over.

    Attributes:
        end: The event with which it ended; None: it fell silent, as after an error, which is never stored.
        began: Whether its query was taken at all.
        events: All stored events of the session.
    """

    end: Event | None
    began: bool
    events: Sequence[StoredEvent]


async def settled(
    rest: AgentRest, session_id: str, running: RunningTurn, limits: Limits, pace: Pace, nap: Nap, until: float
) -> Settled:
    """Wait until the run of a query is over: its end is stored, or nothing new was for the idle window.

    Args:
        rest: The server.
        session_id: The session.
        running: What was asked.
        limits: The windows.
        pace: Time.
        nap: How to wait.
        until: When to give up, by the clock of `pace`.

    Raises:
        Overdue: it goes on, or the server is away for too long.
        Halted: the turn was called off.
        C500Error: the server refuses to tell.
    """
    seen, changed_at, answered_at, pause_s = -1, pace.now(), pace.now(), limits.poll_s
    while True:
        try:
            events = await nap.during(rest.events(session_id))
        except (EngineUnavailable, LimitReached) as error:
            if pace.now() - answered_at > limits.away_s:
                raise Overdue("time", f"the server is away: {error.message}") from error
            changed_at = pace.now()  # what is not seen is not silent
        else:
            answered_at = pace.now()
            if len(events) != seen:
                seen, changed_at, pause_s = len(events), pace.now(), limits.poll_s
            found = last_run(events, running)
            if found.end is not None:
                await nap(limits.settle_s)  # the history is written right after the event
                return found
            if pace.now() - changed_at >= (limits.idle_window_s if found.began else limits.start_window_s):
                return found
        if pace.now() >= until:
            raise Overdue("time", "the session's earlier run does not end")
        await nap(pause_s)
        pause_s = min(pause_s * 1.5, LONGEST_POLL * limits.poll_s)  # each look reads all of the history


def last_run(events: Sequence[StoredEvent], running: RunningTurn) -> Settled:
    """What the stored events tell of the run of a query."""
    began = -1
    for place, stored in enumerate(events):
        if isinstance(stored.event, UserMessage) and _is_query(place, stored.event, running):
            began = place
    if began < 0:
        return Settled(None, False, events)
    ends = [stored.event for stored in events[began:] if isinstance(stored.event, ENDS_STORED)]
    return Settled(ends[-1] if ends else None, True, events)


def _is_query(place: int, message: UserMessage, running: RunningTurn) -> bool:
    if running.baseline is not None:
        return place >= running.baseline
    return not running.query or message.text == running.query
