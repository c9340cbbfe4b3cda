"""The same change is made once, by one team or by several, and a dead owner holds nobody up."""

import asyncio
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from blocks.errors import StoreFailed, TimedOut
from blocks.store import LocalFiles
from tasks.agents.team.claim import Claimant
from tasks.agents.team.intent import Intent
from tasks.agents.team.intents import Intents
from tasks.agents.team.result import TaskOutcome, TaskState
from tests.tasks.agents.team.making import RESTART, STARTED

INTENT = Intent.model_validate(RESTART)
SAME = Intent(verb="Restart", object="the services web on host-3", shared=True)


class Clock:
    """A time that a test moves."""

    def __init__(self) -> None:
        self.now = STARTED

    def __call__(self) -> Any:
        return self.now

    def passes(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def by(owner: str, user: str = "ann") -> Claimant:
    return Claimant(owner=owner, run_id=f"run-{owner}", user=user)


def outcome(output: str = "Restarted.", state: TaskState = "done", **more: Any) -> TaskOutcome:
    return TaskOutcome(task_id="t", agent="worker", state=state, output=output, **more)


class Restarts:
    """Makes the change, and counts how often."""

    def __init__(self, *made: TaskOutcome) -> None:
        self.times = 0
        self.begun, self.go_on = asyncio.Event(), asyncio.Event()
        self._made = made or (outcome(),)

    async def __call__(self) -> TaskOutcome:
        self.times += 1
        self.begun.set()
        await self.go_on.wait()
        return self._made[min(self.times, len(self._made)) - 1]


async def test_four_agents_with_one_intent_make_the_change_once(tmp_path: Path) -> None:
    files, restarts = LocalFiles(tmp_path), Restarts()
    teams = [Intents(files, f"/work/{n}", poll_s=0.005) for n in range(4)]
    restarts.go_on.set()
    wanted = [INTENT, SAME, INTENT, SAME]
    shared = await asyncio.gather(
        *(
            team.once(intent, by(f"team{n}/t"), restarts, wait_s=10)
            for n, (team, intent) in enumerate(zip(teams, wanted, strict=True))
        )
    )
    assert restarts.times == 1
    assert {one.outcome.output for one in shared} == {"Restarted."}
    assert len({one.claim.by.owner for one in shared}) == 1


async def test_the_second_waits_for_the_first_and_has_its_result(tmp_path: Path) -> None:
    files, first, second = LocalFiles(tmp_path), Restarts(outcome("By the first.")), Restarts()
    going = asyncio.create_task(Intents(files, "/a").once(INTENT, by("a/t"), first, wait_s=10))
    await first.begun.wait()
    waiting = asyncio.create_task(Intents(files, "/b", poll_s=0.005).once(SAME, by("b/t"), second, wait_s=10))
    first.go_on.set()
    assert (await going).claim.by.owner == "a/t"
    assert (await waiting).outcome.output == "By the first."
    assert second.times == 0


@pytest.mark.parametrize(
    "failed", [outcome("", "failed"), outcome("", "limited"), outcome("I may not.", refused=("restart: no",))]
)
async def test_a_change_that_was_not_made_is_made_by_the_next(tmp_path: Path, failed: TaskOutcome) -> None:
    files, restarts = LocalFiles(tmp_path), Restarts(failed, outcome("Now it is."))
    restarts.go_on.set()
    assert (await Intents(files, "/a").once(INTENT, by("a/t"), restarts, wait_s=10)).outcome == failed
    assert (await Intents(files, "/b").once(INTENT, by("b/t"), restarts, wait_s=10)).outcome.output == "Now it is."


async def test_who_waits_too_long_is_told_and_does_not_make_it_beside_the_first(tmp_path: Path) -> None:
    files, first, second = LocalFiles(tmp_path), Restarts(), Restarts()
    going = asyncio.create_task(Intents(files, "/a").once(INTENT, by("a/t"), first, wait_s=10))
    await first.begun.wait()
    with pytest.raises(TimedOut, match="run-a/t has been making the same change"):
        await Intents(files, "/b", poll_s=0.005).once(INTENT, by("b/t"), second, wait_s=0.02)
    assert second.times == 0
    first.go_on.set()
    await going


async def test_a_change_of_its_own_workspace_is_another_one_elsewhere(tmp_path: Path) -> None:
    files, restarts = LocalFiles(tmp_path), Restarts()
    restarts.go_on.set()
    own = Intent(verb="write", object="report.md")
    for team in ("/a", "/b", "/a"):
        await Intents(files, team).once(own, by(f"{team}/t"), restarts, wait_s=1)
    assert restarts.times == 2


async def test_what_fails_by_an_error_is_free_at_once(tmp_path: Path) -> None:
    intents = Intents(LocalFiles(tmp_path), "/a")

    async def fails() -> TaskOutcome:
        raise StoreFailed("no disk", fix="free some")

    with pytest.raises(StoreFailed):
        await intents.once(INTENT, by("a/t"), fails, wait_s=1)
    assert intents.take(INTENT, by("b/t")).by.owner == "b/t"


async def test_what_is_cancelled_is_free_at_once(tmp_path: Path) -> None:
    intents, restarts = Intents(LocalFiles(tmp_path), "/a"), Restarts()
    going = asyncio.create_task(intents.once(INTENT, by("a/t"), restarts, wait_s=1))
    await restarts.begun.wait()
    going.cancel()
    with pytest.raises(asyncio.CancelledError):
        await going
    assert intents.take(INTENT, by("b/t")).by.owner == "b/t"


def test_a_claim_that_nobody_renews_is_free_after_its_term(tmp_path: Path) -> None:
    clock = Clock()
    intents = Intents(LocalFiles(tmp_path), "/a", term_s=60, now=clock)
    first = intents.take(INTENT, by("a/t"))
    clock.passes(59)
    assert intents.take(INTENT, by("b/t")) == first
    assert intents.renew(first)
    clock.passes(59)
    assert intents.take(INTENT, by("b/t")).by.owner == "a/t"
    clock.passes(2)
    second = intents.take(INTENT, by("b/t"))
    assert second.by.owner == "b/t"
    assert not intents.renew(first)
    assert not intents.settle(first, outcome())
    assert intents.take(INTENT, by("a/t")) == second


def test_an_owner_that_comes_back_finds_its_own_claim(tmp_path: Path) -> None:
    files = LocalFiles(tmp_path)
    first = Intents(files, "/a").take(INTENT, by("a/t"))
    assert Intents(files, "/a").take(INTENT, by("a/t")).claim_id == first.claim_id


async def test_an_owner_that_died_after_the_change_has_its_result(tmp_path: Path) -> None:
    files, restarts = LocalFiles(tmp_path), Restarts()
    intents = Intents(files, "/a")
    intents.settle(intents.take(INTENT, by("a/t")), outcome("Before it died."))
    shared = await Intents(files, "/a").once(INTENT, by("a/t"), restarts, wait_s=1)
    assert shared.outcome.output == "Before it died."
    assert restarts.times == 0


def test_a_result_stands_for_others_for_a_while_only_and_is_then_swept(tmp_path: Path) -> None:
    clock = Clock()
    intents = Intents(LocalFiles(tmp_path), "/a", reuse_s=600, now=clock)
    first = intents.take(INTENT, by("a/t"))
    intents.settle(first, outcome())
    clock.passes(599)
    assert intents.take(INTENT, by("b/t")).claim_id == first.claim_id
    clock.passes(2)
    assert intents.take(INTENT, by("b/t")).by.owner == "b/t"
    assert intents.outcome(first) is None


def test_what_is_planned_to_be_done_again_is(tmp_path: Path) -> None:
    intents = Intents(LocalFiles(tmp_path), "/a")
    intents.settle(intents.take(INTENT, by("a/first")), outcome())
    assert intents.take(INTENT, by("a/again"), frozenset({"a/first"})).by.owner == "a/again"


async def test_who_lost_its_claim_while_it_worked_is_told(tmp_path: Path) -> None:
    clock, files = Clock(), LocalFiles(tmp_path)
    intents, restarts = Intents(files, "/a", now=clock), Restarts()
    going = asyncio.create_task(intents.once(INTENT, by("a/t"), restarts, wait_s=1))
    await restarts.begun.wait()
    clock.passes(61)
    intents.take(INTENT, by("b/t"))
    restarts.go_on.set()
    assert (await going).lost


async def test_a_claim_is_renewed_while_its_owner_works(tmp_path: Path) -> None:
    files, restarts = LocalFiles(tmp_path), Restarts()
    intents = Intents(files, "/a", term_s=0.3)
    going = asyncio.create_task(intents.once(INTENT, by("a/t"), restarts, wait_s=1))
    await restarts.begun.wait()
    first = intents.take(INTENT, by("b/t")).expires_at
    async with asyncio.timeout(20):
        while intents.take(INTENT, by("b/t")).expires_at < first + timedelta(seconds=0.6):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    restarts.go_on.set()
    assert not (await going).lost


def test_damaged_claims_stop_everybody(tmp_path: Path) -> None:
    files = LocalFiles(tmp_path)
    intents = Intents(files, "/a")
    intents.take(INTENT, by("a/t"))
    [key] = files.list("agents/intents/")
    files.put_bytes(key, b"[]")
    with pytest.raises(StoreFailed, match="is damaged"):
        intents.take(INTENT, by("b/t"))


RACE = """
import sys
from pathlib import Path
from blocks.store import LocalFiles
from tasks.agents.team.claim import Claimant
from tasks.agents.team.intent import Intent
from tasks.agents.team.intents import Intents

sys.stdin.readline()
intents = Intents(LocalFiles(Path(sys.argv[1])), "/a")
me = Claimant(owner=sys.argv[2], run_id=sys.argv[2], user="ann")
same = intents.take(Intent(verb="restart", object=sys.argv[3], shared=True), me)
print(same.by.owner)
"""


def test_of_processes_that_want_similar_changes_in_the_same_moment_one_gets_it(tmp_path: Path) -> None:
    objects = ["service web", "services web", "the service web"]
    started = [
        subprocess.Popen(
            [sys.executable, "-c", RACE, str(tmp_path), f"p{n}", what],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for n, what in enumerate(objects)
    ]
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    owners = {process.communicate(timeout=60)[0] for process in started}
    assert len(owners) == 1
    assert "" not in owners
