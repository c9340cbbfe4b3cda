"""The money and the time of a team, shared out over its tasks as they begin."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from blocks.errors import TimedOut
from tasks.agents.team.plan import TeamTask, levels
from tasks.agents.team.result import TaskOutcome
from tasks.agents.team.team_store import TeamBegun

COORDINATOR_SHARE = 0.2
"""Of the budget and of the time: kept for planning and for putting the results together."""


class Shares:
    """What each task may take.

    A task that begins gets its even part of what is left by those that ended and not given to those at work: what one
    did not use is for the others. Of the time it gets what leaves as much to each of those that wait for it.

    Args:
        begun: The team's run.
        tasks: Of the plan.
        now: The time.
    """

    def __init__(
        self,
        begun: TeamBegun,
        tasks: Sequence[TeamTask],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._tasks, self._now = tasks, now
        self._levels = levels(tasks)
        self._budget_usd = None if begun.budget_usd is None else begun.budget_usd * (1 - COORDINATOR_SHARE)
        limit_s, self._limit_s = begun.options.deadline_s, begun.options.deadline_s
        self._ends = None if limit_s is None else begun.started_at + timedelta(seconds=limit_s)
        self._tasks_end = (
            None if limit_s is None else begun.started_at + timedelta(seconds=limit_s * (1 - COORDINATOR_SHARE))
        )
        self._at_once = begun.options.at_once
        self._given: dict[str, float] = {}

    def give_usd(self, task_id: str, outcomes: Mapping[str, TaskOutcome]) -> float | None:
        """The budget of a task that begins, in dollars; None for no limit. It is its own until it has ended.

        Args:
            task_id: Which.
            outcomes: What came of those that ended.
        """
        if self._budget_usd is None:
            return None
        spent = sum(one.usage.cost_usd for one in outcomes.values())
        at_work = sum(usd for name, usd in self._given.items() if name not in outcomes)
        waiting = sum(task.id not in outcomes and task.id not in self._given for task in self._tasks)
        share = max(0.0, self._budget_usd - spent - at_work) / max(1, waiting)
        return self.given(task_id, share)

    def given(self, task_id: str, usd: float | None) -> float | None:
        """Note what a task was given, in this attempt or in an earlier one."""
        if usd is not None:
            self._given[task_id] = usd
        return usd

    def task_s(self, task_id: str, outcomes: Mapping[str, TaskOutcome]) -> float | None:
        """Seconds that a task may take which begins now; None for no deadline.

        Raises:
            TimedOut: there is no time left.
        """
        if self._tasks_end is None:
            return None
        left_s = (self._tasks_end - self._now()).total_seconds()
        if left_s <= 0:
            raise self.timed_out()
        waiting = sum(task.id not in outcomes for task in self._tasks)
        rounds = max(self._levels[task_id], -(-waiting // self._at_once))
        return left_s / rounds

    def left_s(self) -> float | None:
        """Seconds that are left of all; None for no deadline."""
        return None if self._ends is None else (self._ends - self._now()).total_seconds()

    def timed_out(self) -> TimedOut:
        """The error of a task whose time is up."""
        told = f"the team's deadline of {self._limit_s or 0:g} s leaves this task no more time"
        return TimedOut(told, fix="give the team more time, or fewer tasks at once; what was finished is kept")
