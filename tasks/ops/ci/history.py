"""What tests came to in earlier builds: how flaky they are, and since which commit they fail."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal

from pydantic import Field, ValidationError

from blocks.errors import Conflict, StoreFailed
from blocks.model import Frozen
from blocks.store import Files, safe_key
from tasks.ops.ci.junit import Attempt

PREFIX = "operations/ci"
MOST_SEEN, MOST_TESTS, TRIES = 100, 5000, 20

Came = Literal["passed", "failed", "flaky"]
"""What a test came to in a build; `flaky`: it passed and failed."""


class Seen(Frozen):
    """A test in a build.

    Attributes:
        build: The build's id.
        commit: What was built.
        at: When.
        came: What it came to.
    """

    build: str
    commit: str
    at: datetime
    came: Came


class History(Frozen):
    """Earlier builds of a project.

    Attributes:
        tests: Of each test that ever failed, the builds since, oldest first.
    """

    tests: dict[str, tuple[Seen, ...]] = Field(default_factory=dict)


class Record(Frozen):
    """What is known of a test.

    Attributes:
        builds: In how many builds it was seen.
        commits: On how many commits.
        flake_rate: Share of the commits on which it both passed and failed, in one build or in several.
        failing_since: The first commit of those it has failed on without a pass between them; empty: it does not fail.
        failing_builds: How many builds those are.
        last_passed: The commit on which it last passed before them; empty: none is known.
        is_split: Whether it both passed and failed on the commit in hand.
    """

    builds: int = 0
    commits: int = 0
    flake_rate: float = 0.0
    failing_since: str = ""
    failing_builds: int = 0
    last_passed: str = ""
    is_split: bool = False


def came(attempts: Sequence[Attempt]) -> Came | None:
    """What a test came to in a build; None: it was skipped."""
    outcomes = {"failed" if one.is_failure else "passed" for one in attempts if one.outcome != "skipped"}
    return None if not outcomes else "flaky" if len(outcomes) > 1 else "failed" if "failed" in outcomes else "passed"


def added(
    history: History, tests: Mapping[str, Sequence[Attempt]], *, build: str, commit: str, at: datetime
) -> History:
    """The history with a build; one that it has already changes nothing. Tests that never failed are not kept."""
    kept = dict(history.tests)
    for test, attempts in tests.items():
        result, before = came(attempts), kept.get(test, ())
        if result is None or (result == "passed" and not before) or any(one.build == build for one in before):
            continue
        kept[test] = (*before, Seen(build=build, commit=commit, at=at, came=result))[-MOST_SEEN:]
    if len(kept) > MOST_TESTS:  # those that failed longest ago go
        latest = sorted(kept, key=lambda test: _last_failed(kept[test]), reverse=True)[:MOST_TESTS]
        kept = {test: kept[test] for test in kept if test in set(latest)}
    return History(tests=kept)


def record_of(history: History, test: str, commit: str) -> Record:
    """What is known of a test, seen from a commit."""
    seen = history.tests.get(test, ())
    if not seen:
        return Record()
    by_commit: dict[str, set[Came]] = {}
    for one in seen:
        by_commit.setdefault(one.commit, set()).add(one.came)
    split = {known for known, outcomes in by_commit.items() if "flaky" in outcomes or len(outcomes) > 1}
    streak = _streak(seen)
    before = seen[: len(seen) - len(streak)]
    return Record(
        builds=len(seen),
        commits=len(by_commit),
        flake_rate=round(len(split) / len(by_commit), 3),
        failing_since=streak[0].commit if streak else "",
        failing_builds=len(streak),
        last_passed=before[-1].commit if streak and before else "",
        is_split=commit in split,
    )


def read_history(files: Files, project: str) -> History:
    """The history of a project; an empty one where there is none. Raises `StoreFailed`."""
    found = files.read_version(_key(project))
    return History() if found is None else _parsed(found[0], project)


def record_build(
    files: Files, project: str, tests: Mapping[str, Sequence[Attempt]], *, build: str, commit: str, at: datetime
) -> History:
    """Add a build to the history of a project, however many do so at once; one that it has already changes nothing.

    Raises:
        Conflict: others kept changing it.
        StoreFailed: it cannot be read or written.
    """
    for _ in range(TRIES):
        found = files.read_version(_key(project))
        before = History() if found is None else _parsed(found[0], project)
        after = added(before, tests, build=build, commit=commit, at=at)
        if after == before:
            return before
        try:
            files.put_if(_key(project), after.model_dump_json().encode(), None if found is None else found[1])
        except Conflict:
            continue
        return after
    raise Conflict(f"others keep changing the history of {project}", fix="run it again")


def _parsed(content: bytes, project: str) -> History:
    try:
        return History.model_validate_json(content)
    except ValidationError as error:
        raise StoreFailed(
            f"the history of {project} cannot be read: {error.error_count()} faults",
            fix=f"restore {_key(project)} from a backup, or remove it to begin anew",
        ) from None


def _key(project: str) -> str:
    return safe_key(f"{PREFIX}/{project}/history.json")


def _streak(seen: Sequence[Seen]) -> tuple[Seen, ...]:
    """The failures at the end."""
    count = 0
    for one in reversed(seen):
        if one.came != "failed":
            break
        count += 1
    return tuple(seen[len(seen) - count :])


def _last_failed(seen: Sequence[Seen]) -> datetime:
    return max((one.at for one in seen if one.came != "passed"), default=seen[0].at)
