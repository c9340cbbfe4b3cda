"""Whether what must hold of a measurement holds."""

from collections.abc import Sequence
from math import inf

from blocks.model import Frozen
from blocks.percentiles import percentile
from tasks.fast_response.call import Call
from tasks.fast_response.goals import Goal
from tasks.fast_response.latencies import finite


class Judged(Frozen):
    """A goal and whether it is met.

    Attributes:
        goal: In words.
        found: In words.
        ok: Whether it is met.
    """

    goal: str
    found: str
    ok: bool


def judged(calls: Sequence[Call], goals: Sequence[Goal]) -> list[Judged]:
    """Whether goals are met by all requests of a loop: one that failed counts as one that took for ever.

    Else a server that drops what it cannot do in time would be the fastest.
    """
    return [_judged(calls, goal) for goal in goals]


def at_most(what: str, share: float, most: float) -> Judged:
    """Whether a share is small enough."""
    return Judged(goal=f"{what} at most {most:.1%}", found=f"{share:.1%}", ok=share <= most)


def at_least(what: str, share: float, least: float) -> Judged:
    """Whether a share is large enough."""
    return Judged(goal=f"{what} at least {least:.1%}", found=f"{share:.1%}", ok=share >= least)


def _judged(calls: Sequence[Call], goal: Goal) -> Judged:
    times = [call.ttft_ms if goal.measure == "ttft" else call.total_ms for call in calls]
    found = finite(percentile(sorted(inf if time is None else time for time in times), goal.percent))
    told = "a request without an answer" if found is None else f"{found:.1f} ms"
    return Judged(goal=str(goal), found=told, ok=found is not None and found < goal.below_ms)
