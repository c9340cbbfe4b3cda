"""Jobs on their way through stages: limits that count work and not waiting, failures that stay with their job."""

import asyncio

import pytest

from blocks import timeline
from blocks.errors import BadInput, Conflict, EngineFailed, Stopped, TimedOut, Unsupported
from blocks.job import JobOptions
from blocks.settings import settings
from flows.running import attempt
from flows.work import Work, each, stage


def work(name: str = "a") -> Work:
    return Work(source=name, options=JobOptions(), refresh=False)


@pytest.fixture
def short_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs may take one second."""
    monkeypatch.setenv("JOB_TIMEOUT", "1")
    settings.cache_clear()


async def test_a_job_over_its_limit_is_stopped(short_limit: None) -> None:
    @stage
    async def endless(work: Work) -> None:
        await asyncio.Event().wait()

    with pytest.raises(TimedOut, match="longer than 1 s"):
        await endless(work())


async def test_waiting_for_a_model_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Work, "limit_s", 0.2)
    one = work()

    @stage
    async def patient(work: Work) -> None:
        with timeline.waiting():
            await asyncio.sleep(0.3)  # over the limit: what is tested is that it does not count

    await patient(one)
    await patient(one)
    assert one.timeline.waited_s > 0.6


async def test_later_phases_with_fewer_jobs_at_once_leave_the_limit_as_it_was(short_limit: None) -> None:
    works = [work(str(index)) for index in range(8)]

    @stage
    async def nothing(work: Work) -> None:
        """Pass."""

    await each(works, nothing, name="many", at_once=8)
    await each(works, nothing, name="few", at_once=2)
    assert {one.limit_s for one in works} == {8.0}


async def test_a_failure_ends_the_way_of_its_job_only() -> None:
    works = [work(name) for name in "abc"]
    seen: list[str] = []

    @stage
    async def pick(work: Work) -> None:
        if work.source == "b":
            raise BadInput("b is no recording", fix="give another")

    @stage
    async def note(work: Work) -> None:
        seen.append(work.source)

    await each(works, pick, name="pick", at_once=2)
    await each(works, note, name="note", at_once=1)
    assert seen == ["a", "c"]
    assert (works[1].item.outcome, works[1].item.code, works[1].item.fix) == ("failed", "BAD_INPUT", "give another")


async def test_no_more_jobs_are_in_hand_than_asked_for() -> None:
    running = most = 0

    @stage
    async def count(work: Work) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1

    await each([work(str(index)) for index in range(20)], count, name="count", at_once=3)
    assert most == 3


@pytest.mark.parametrize("error", [EngineFailed, Unsupported, Conflict, BadInput, TimedOut])
async def test_what_fails_in_a_step_the_job_can_do_without_becomes_a_notice(error: type[EngineFailed]) -> None:
    async def broken() -> None:
        raise error("it broke", fix="mend it")

    one = work()
    assert await attempt("summarise", broken(), one) is None
    [notice] = one.notices
    assert (notice.step, notice.code) == ("summarise", error.code)
    assert "mend it" in notice.message


async def test_a_stopped_run_is_not_made_partial() -> None:
    async def stopped() -> None:
        raise Stopped("somebody stopped it", fix="start again")

    with pytest.raises(Stopped):
        await attempt("summarise", stopped(), work())
