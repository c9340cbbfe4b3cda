"""What came of putting tests right."""

from typing import Literal

from blocks.model import Frozen

Status = Literal["fixed", "planned", "no_fix", "refused", "did_not_pass", "does_not_fail", "failed"]
"""`does_not_fail`: it passes here as it is, so it is flaky, or the runner's fault; `refused`: what was proposed is not
allowed; `did_not_pass`: it did not pass thrice."""


class Fix(Frozen):
    """What came of a test.

    Attributes:
        test: Which.
        file: Its source.
        status: How it ended.
        rule: Which rule proposed the fix; `model NAME` for a model's.
        why: What it rests on, or why there is none.
        branch: Where the fix is, of a `fixed` one.
        commit: It.
        diff: What is changed.
        runs: Of each of the runs with the fix, how many tests passed.
        still_failing: Tests of the file that failed before and still do.
        with_tests: Other tests that the same fix puts right.
    """

    test: str
    file: str
    status: Status
    rule: str = ""
    why: str = ""
    branch: str = ""
    commit: str = ""
    diff: str = ""
    runs: tuple[int, ...] = ()
    still_failing: tuple[str, ...] = ()
    with_tests: tuple[str, ...] = ()


class FixReport(Frozen):
    """What came of all of them.

    Attributes:
        repository: Whose tests.
        base: The commit on which they fail.
        run_id: Of the run.
        fixes: By test.
        left_out: How many were not tried.
        sandbox: In which tests ran.
        dry_run: Whether no branch was made.
    """

    repository: str
    base: str
    run_id: str = ""
    fixes: tuple[Fix, ...] = ()
    left_out: int = 0
    sandbox: str = ""
    dry_run: bool = False

    @property
    def all_fixed(self) -> bool:
        """Whether no test is left that fails."""
        return not self.left_out and all(one.status in ("fixed", "planned", "does_not_fail") for one in self.fixes)
