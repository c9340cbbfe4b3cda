"""Whether a task goes on, and with what: decided by what its turns came to, and by nothing else."""

from typing import NamedTuple

from tasks.sessions.record import Step, StepKind, StoppedBy, TaskRecord, all_calls
from tasks.sessions.task import Allowance

UNCHANGED = 2
"""Prompts, one after another, after which nothing had changed: another one changes nothing either."""


class Move(NamedTuple):
    """What is next.

    Attributes:
        kind: The prompt to give; None: the task has ended.
        stopped_by: What it is given up for.
    """

    kind: StepKind | None
    stopped_by: StoppedBy = ""


def next_move(record: TaskRecord, allowance: Allowance, *, can_answer: bool) -> Move:
    """What a task does next.

    Args:
        record: As far as it has come.
        allowance: How much it may take.
        can_answer: Whether somebody answers questions of the agent.
    """
    last, counted = record.last, record.counted
    if last is None:
        return Move("goal")
    if last.outcome.kind == "done":
        return Move(None)
    if not counted:  # begun again after it had ended
        return Move("continue")
    if spent := _spent(record, allowance):
        return Move(None, spent)
    if last.outcome.kind in ("error", "interrupted"):
        return Move(None)
    if last.outcome.kind == "needs_input":
        return Move("answer" if can_answer else None)
    return Move("continue")


def _spent(record: TaskRecord, allowance: Allowance) -> StoppedBy:
    """What is used up."""
    counted = record.counted
    if wall_left_s(record, allowance) <= 0:
        return "wall_clock"
    if calls_left(record, allowance) <= 0:
        return "tool_calls"
    if counted[-1].outcome.kind in ("error", "interrupted"):
        return ""
    if _silent(counted) >= allowance.max_silent:
        return "max_silent"
    if _unchanged(counted) and not _may_be_silent(counted, allowance):
        return "no_progress"
    # The first prompt is no continue; after a new beginning all are.
    if len(counted) - (record.since == 0) >= allowance.max_continues:
        return "max_continues"
    return ""


def wall_left_s(record: TaskRecord, allowance: Allowance) -> float:
    """Seconds that its turns may still take."""
    return allowance.wall_s - sum(step.turn.seconds for step in record.counted)


def calls_left(record: TaskRecord, allowance: Allowance) -> int:
    """Calls of tools that its turns may still make."""
    return allowance.tool_calls - sum(all_calls(step.turn) for step in record.counted)


def _unchanged(steps: tuple[Step, ...]) -> bool:
    """Whether the latest prompts changed nothing."""
    return len(steps) > UNCHANGED and len({step.fingerprint for step in steps[-UNCHANGED - 1 :]}) == 1


def _may_be_silent(steps: tuple[Step, ...], allowance: Allowance) -> bool:
    """Whether more silent stops are allowed than there are, which change nothing by their nature."""
    return allowance.max_silent > UNCHANGED and 0 < _silent(steps) < allowance.max_silent


def _silent(steps: tuple[Step, ...]) -> int:
    """Silent stops at the end, one after another."""
    count = 0
    for step in reversed(steps):
        if step.outcome.kind != "silent_stop":
            break
        count += 1
    return count
