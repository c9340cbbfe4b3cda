"""Flaky or real: what was seen decides, then what is known of the cause."""

from collections.abc import Sequence

from tasks.ops.ci.causes import ROWS, Judged
from tasks.ops.ci.history import Record, came
from tasks.ops.ci.junit import Attempt
from tasks.ops.ci.result import Verdict

OFTEN, ENOUGH_COMMITS, LASTING_BUILDS = 0.1, 5, 3

Verdicts = tuple[Verdict, float, str]


def verdict_of(attempts: Sequence[Attempt], record: Record, judged: Judged) -> Verdicts:
    """The verdict, how sure it is (0 to 0.95), and why. The first of these that holds decides.

    Args:
        attempts: At the test, in this build.
        record: Of the test in all builds, this one included.
        judged: The likeliest cause.
    """
    if came(attempts) == "flaky":
        return "flaky", 0.95, f"of {len(attempts)} attempts in this build some passed and some failed"
    if record.is_split:
        return "flaky", 0.9, "on this commit it passed in one build and failed in another"
    if record.failing_builds >= LASTING_BUILDS:
        since = f", since {record.failing_since}" if record.failing_since else ""
        return "real", 0.9, f"it failed in {record.failing_builds} builds in a row{since}"
    if record.flake_rate >= OFTEN and record.commits >= ENOUGH_COMMITS:
        share = f"{record.flake_rate:.0%} of {record.commits} commits"
        return "flaky", round(min(0.85, 0.5 + record.flake_rate / 2), 3), f"it passed and failed on {share}"
    if len(attempts) > 1:
        return "real", 0.8, f"all {len(attempts)} attempts failed"
    return _by_cause(judged)


def _by_cause(judged: Judged) -> Verdicts:
    row = ROWS.get(judged.cause)
    if row is None:
        return "unsure", 0.3, "it failed once, and no sign of a cause was found"
    if row.lasting >= 0.7:
        sure = round(row.lasting * max(0.5, judged.confidence), 3)
        return "real", sure, f"it failed once; {judged.cause} fails again on the same commit"
    if row.lasting <= 0.3:
        return "flaky", 0.6, f"it failed once; {judged.cause} comes from around the test, not from the change"
    return "unsure", 0.4, f"it failed once; {judged.cause} may be either: run it again"
