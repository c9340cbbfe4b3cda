"""Closed and open loops against a simulated server: what is counted, what is hidden, what is told of errors."""

import asyncio
import time
from itertools import pairwise
from pathlib import Path
from statistics import mean

import pytest
from pydantic import ValidationError

from blocks.accounts.account import Quota
from blocks.errors import EngineUnavailable, Unsupported
from tasks.fast_response.asked import LoadOptions
from tasks.fast_response.call import Call
from tasks.fast_response.goals import Goal
from tasks.fast_response.load import Loop, arrivals, closed_loop, measure, open_loop
from tasks.fast_response.page import load_page
from tasks.fast_response.prompt import Prepared, prepared
from tasks.fast_response.report import LoadReport, report_of
from tests.tasks.fast_response.serving import REPLY, account, served, turn, turns

SLOW = (Goal(measure="total", percent=95, below_ms=60_000),)


def asked(**fields: object) -> LoadOptions:
    return LoadOptions.model_validate({"model": "fast", "warmup": 2, "goals": SLOW, "requests": 20, **fields})


async def reported(folder: Path, load: LoadOptions, count: int = 200, **how: object) -> LoadReport:
    async with served(folder, **how) as (pool, _):  # type: ignore[arg-type]
        given = turns(count)
        return report_of(given, load, *await measure(pool, given, load))


def ready(count: int) -> list[Prepared]:
    return [prepared(one, asked(), [account().models["fast"]]) for one in turns(count)]


async def test_an_open_loop_counts_from_when_a_request_was_due_and_does_not_wait_for_answers() -> None:
    """A client that is held up for a while sends what is due at once, and tells each one's whole wait."""
    gate, dues, sent = asyncio.Event(), list[float](), list[float]()

    async def ask(one: Prepared, due: float) -> Call:
        dues.append(due)
        sent.append(time.monotonic())
        if len(dues) == 1:
            time.sleep(0.05)  # our own event loop is held up  # noqa: ASYNC251
        if len(dues) == 50:
            gate.set()
        await gate.wait()  # nobody is answered before the last was sent
        return Call(turn=one.turn.id)

    loop = Loop()
    await open_loop(ask, list(zip(ready(50), arrivals(50, 1000, None), strict=True)), loop)
    assert [round(later - earlier, 9) for earlier, later in pairwise(dues)] == [0.001] * 49
    assert loop.sent_late_ms is not None and len(loop.sent_late_ms) == 50
    assert max(loop.sent_late_ms) > 25
    assert all(at >= due for at, due in zip(sent, dues, strict=True))


async def test_a_closed_loop_has_never_more_under_way_than_callers() -> None:
    running = most = 0

    async def ask(one: Prepared, due: float) -> Call:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return Call(turn=one.turn.id)

    await closed_loop(ask, iter(ready(40)), 4)
    assert most == 4


def test_random_arrivals_have_the_rate_and_are_the_same_for_a_seed() -> None:
    moments = arrivals(5000, 50, 3)
    gaps = [later - earlier for earlier, later in pairwise(moments)]
    assert mean(gaps) == pytest.approx(1 / 50, rel=0.05)
    assert arrivals(5000, 50, 3) == moments != arrivals(5000, 50, 4)
    assert arrivals(3, 50, None) == [0.0, 0.02, 0.04]


async def test_warm_up_is_not_counted(tmp_path: Path) -> None:
    async with served(tmp_path) as (pool, simulator):
        given = turns(50)
        closed, opened = await measure(pool, given, asked(warmup=7, concurrency=3, rate_per_s=500))
        assert simulator.books()["total"]["requests"] == 7 + 20 + 20
    assert closed is not None and opened is not None
    assert (len(closed.calls), len(opened.calls)) == (20, 20)
    assert closed.most_in_flight == 3


async def test_an_open_loop_sees_the_queue_that_a_closed_one_hides(tmp_path: Path) -> None:
    """One slot of 20 ms: 50 requests a second are all it can do, and 200 come."""
    load = asked(max_num_seqs=1, concurrency=1, rate_per_s=200, requests=40)
    report = await reported(tmp_path, load, latency={"mean_ms": 20}, slots=1)
    closed, opened = report.loops
    # Whoever is last waits for all before: 40 times 20 ms, less the 195 ms in which they came. So the p95, the 38th.
    assert (opened.total.max_ms or 0) >= 40 * 20 - 39 * 5
    assert (opened.total.at(95) or 0) >= 38 * 20 - 37 * 5
    assert closed.most_in_flight == 1 < opened.most_in_flight
    assert opened.left is not None and opened.left > 1
    assert any("the others queued" in note for note in opened.notes)
    hidden, seen = (next(one for one in loop.server if one.what == "queue") for loop in report.loops)
    assert seen.mean_ms > hidden.mean_ms
    assert [one.count for one in closed.server] == [40, 40, 40]


async def test_first_and_last_token_are_told_apart(tmp_path: Path) -> None:
    report = await reported(tmp_path, asked(concurrency=4), latency={"mean_ms": 30}, token_ms=10)
    [loop] = report.loops
    pauses_ms = (-(-len(REPLY) // 4) - 1) * 10
    assert (loop.total.at(50) or 0) > (loop.ttft.at(50) or 0) >= 30
    assert (loop.total.at(50) or 0) >= 30 + pauses_ms
    assert loop.reply_tokens == -(-len(REPLY) // 4)
    assert (loop.requests, loop.answered, loop.failed, report.ok) == (20, 20, (), True)


async def test_errors_are_told_by_class_and_break_the_verdict(tmp_path: Path) -> None:
    load = asked(warmup=0, concurrency=2, requests=20, deadline_s=30)
    report = await reported(tmp_path, load, next_faults={"error": 1, "filtered": 1})
    [loop] = report.loops
    assert loop.answered + sum(one.count for one in loop.failed) == 20
    assert [one.error for one in loop.failed] == ["ENGINE_UNAVAILABLE"]
    [share] = [one for one in loop.verdict if "failed" in one.goal]
    assert (share.ok, report.ok) == (False, False)
    assert "failed requests" in report.missed[0]
    assert "ENGINE_UNAVAILABLE" in load_page(report)


async def test_a_server_that_fails_after_all_is_reported_without_latencies(tmp_path: Path) -> None:
    report = await reported(tmp_path, asked(warmup=0, concurrency=2, deadline_s=5), faults={"overloaded": 1.0})
    [loop] = report.loops
    assert (loop.answered, loop.ttft.count, loop.ttft.at(50), loop.server) == (0, 0, None, ())
    assert sum(one.count for one in loop.failed) == 20
    assert [one.found for one in loop.verdict] == ["a request without an answer", "100.0%"]
    assert "n/a" in load_page(report)


async def test_replies_are_judged_where_it_is_asked_for(tmp_path: Path) -> None:
    rules = [{"pattern": " [0-9] apples", "answer": "Giỏi quá!"}, {"pattern": ".", "answer": REPLY}]
    report = await reported(tmp_path, asked(concurrency=4, min_usable_share=0.9), rules=rules)
    [loop] = report.loops
    assert loop.quality.whole.usable == 10
    assert [one.goal for one in loop.verdict if not one.ok] == ["usable replies at least 90.0%"]


async def test_our_own_limits_and_repeats_are_noted(tmp_path: Path) -> None:
    given = account(quota=Quota(concurrency=1))
    report = await reported(tmp_path, asked(concurrency=4), 5, given=given, latency={"mean_ms": 10})
    notes = " ".join(report.loops[0].notes)
    assert "5 different turns" in notes
    assert "waited for limits" in notes


async def test_a_server_that_tells_nothing_is_measured_all_the_same(tmp_path: Path) -> None:
    report = await reported(tmp_path, asked(concurrency=2), given=account("openai-compatible"))
    assert report.loops[0].server == ()
    assert report.loops[0].answered == 20


async def test_a_server_that_answers_nothing_ends_it_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match=r"none of 2 requests was answered to warm the server up: .*overloaded"):
        await reported(tmp_path, asked(), faults={"overloaded": 1.0}, rules=[])


async def test_a_model_that_nobody_has_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    async with served(tmp_path) as (pool, simulator):
        with pytest.raises(Unsupported):
            await measure(pool, [turn("Hi")], asked(model="other"))
        assert simulator.books()["total"]["requests"] == 0


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"concurrency": 17}, "by a rate"),
        ({"goals": [{"measure": "ttft", "percent": 99, "below_ms": 300}], "requests": 99}, "it needs 100"),
        ({"requests": 1}, "greater than or equal to 2"),
    ],
)
def test_a_measurement_that_would_mislead_is_refused(fields: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        LoadOptions.model_validate(fields)


def test_without_a_rate_there_are_as_many_callers_as_the_server_takes() -> None:
    assert LoadOptions().callers == 16
    assert LoadOptions(rate_per_s=5).callers is None
    assert LoadOptions(rate_per_s=5, concurrency=2).callers == 2
