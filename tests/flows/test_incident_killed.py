"""A run that is killed at any moment between an alert and its briefing goes on: one incident, one briefing."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from blocks.settings import settings
from blocks.store import open_store
from tasks.ops.incident.intake import incidents, latest
from tests.fakes.forked import Forks, forks_of
from tests.flows.incidents import World, add_case, broken_world

SMALL = [("write-after", 1), ("gather-after", 1), ("send-before", 1), ("send-after", 1)]
"""In the small form: a name in the index without an incident; facts that are not kept; a message that was not, and one
that was sent, of which nobody knows."""


@pytest.fixture(scope="module")
def runner(running_prefect_server: str) -> Iterator[Forks]:
    """Responds to alerts in forks of one process."""
    with forks_of("tests.flows.run_incident", PREFECT_API_URL=running_prefect_server) as forks:
        yield forks


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with broken_world(tmp_path, monkeypatch.setenv) as made:
        yield made


def fresh(world: World, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another store and ledger in the same world."""
    monkeypatch.setenv("AUDIO_DIR", str(world.folder / f"store-{number}"))
    monkeypatch.setenv("AGENTS_HOME", str(world.folder / f"agents-{number}"))
    settings.cache_clear()
    world.operators.messages.clear()
    add_case()


def check(world: World, kill: tuple[str, int], ended: dict[str, Any]) -> None:
    """One incident, one briefing; where nobody knows whether it was sent, a pointer to it."""
    assert ended.get("status") == "briefed", (kill, ended)
    [known] = latest(open_store(), 10, only_open=False)
    kinds = [one.kind for one in known.timeline]
    assert kinds == ["opened", "alert", "gathered", "briefed"], (kill, kinds)
    again = [subject for subject, _ in world.operators.messages if subject.startswith("again: ")]
    first = [subject for subject, _ in world.operators.messages if not subject.startswith("again: ")]
    in_doubt = kill[0].startswith("send")
    assert len(again) == in_doubt, (kill, world.operators.messages)
    assert len(first) == (kill[0] != "send-before"), (kill, world.operators.messages)
    assert incidents(open_store()).read(known.incident_id).briefed_at is not None


@pytest.mark.parametrize("kill", SMALL)
def test_a_run_that_is_killed_goes_on(
    kill: tuple[str, int], runner: Forks, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    alert = str(world.alert())
    assert runner.run(alert=alert, kill=kill) == {"signal": 9}
    check(world, kill, runner.run(alert=alert))
    # and told again, it says nothing again
    before = list(world.operators.messages)
    assert runner.run(alert=alert)["status"] == "briefed"
    assert world.operators.messages == before


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_a_run_that_is_killed_at_each_moment_goes_on(
    runner: Forks, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    alert = str(world.alert())
    seen = runner.run(alert=alert, run_id="inc-1")["moments"]
    assert set(seen) == {f"{what}-{when}" for what in ("write", "gather", "send") for when in ("before", "after")}
    number = 0
    for moment, times in seen.items():
        for time in range(1, times + 1):
            number += 1
            fresh(world, number, monkeypatch)
            assert runner.run(alert=alert, run_id="inc-1", kill=(moment, time)) == {"signal": 9}, (moment, time)
            check(world, (moment, time), runner.run(alert=alert, run_id="inc-1"))
