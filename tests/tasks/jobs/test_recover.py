"""When a lost run is run again, when it is given up, and which uploads can go."""

from datetime import UTC, datetime, timedelta

import pytest
from prefect.client.schemas.objects import State
from prefect.states import AwaitingRetry, Crashed, Failed, Pending, Running

from tasks.jobs.recover import NOT_STARTED, crashes, delay_s, false_starts
from tasks.jobs.uploads import folder_of, is_removable

NOW = datetime(2026, 11, 21, tzinfo=UTC)


@pytest.mark.parametrize(
    ("states", "count"),
    [
        ([Pending(), Running()], 0),
        ([Pending(), Running(), Crashed()], 1),
        ([Pending(), Crashed(), AwaitingRetry(), Pending(), Running(), Crashed()], 2),
        ([Crashed(), Crashed(), Failed(), AwaitingRetry(), Running(), Crashed()], 1),
        ([Pending(), AwaitingRetry(), Pending(), AwaitingRetry()], 0),
        ([Running(), Crashed(message="Execution was aborted by a termination signal."), Running(), Crashed()], 1),
    ],
)
def test_crashes_are_counted_since_the_run_was_given_up(states: list[State], count: int) -> None:
    assert crashes(states) == count


def test_false_starts_are_counted_since_the_run_last_ran() -> None:
    again = AwaitingRetry(message=NOT_STARTED)
    assert false_starts([Pending(), again, Pending(), again, Pending()]) == 2
    assert false_starts([Pending(), again, Pending(), Running(), Crashed(), AwaitingRetry(), Pending()]) == 0


def test_the_first_retry_comes_at_once_and_each_further_one_waits_twice_as_long() -> None:
    assert [delay_s(crashed, first_s=5) for crashed in range(5)] == [0, 0, 5, 10, 20]


@pytest.mark.parametrize(
    ("key", "age", "removable"),
    [
        ("uploads/needed/x.wav", timedelta(days=3), False),
        ("uploads/unknown/x.wav", timedelta(minutes=59), False),
        ("uploads/unknown/x.wav", timedelta(minutes=61), True),
    ],
)
def test_an_upload_goes_when_nobody_needs_it(key: str, age: timedelta, removable: bool) -> None:
    assert is_removable(key, NOW - age, {"uploads/needed"}, NOW) == removable


def test_an_upload_is_a_folder() -> None:
    assert folder_of("uploads/0af1/a/b.wav") == "uploads/0af1"


def test_an_upload_that_came_again_is_kept_though_a_run_with_it_is_done() -> None:
    assert not is_removable("uploads/done/x.wav", NOW - timedelta(seconds=1), set(), NOW)
