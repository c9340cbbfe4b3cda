"""A swarm that is killed loses nothing and repeats nothing, and its memory does not grow with its rows."""

import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from blocks.accounts.account import Quota
from deployments.simulator.behaviour import parse_faults
from tests.fakes.forked import Forks
from tests.fakes.llm.simulated import Simulated, simulated
from tests.flows.swarming import (
    PROMPT,
    SCHEMA,
    account,
    assert_each_row_once,
    failures,
    lines,
    runner,
    write_rows,
)
from tests.processes import until

LINE_BYTES = 330
"""Of an answer, about."""

MOST_MORE_KB = 50 * 1024


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulated]:
    """Four accounts with no limit that matters."""
    accounts = [account(f"a{at}", quota=Quota(tpm=10**9)) for at in range(4)]
    with simulated(accounts, tmp_path_factory.mktemp("simulator")) as one:
        yield one


@pytest.fixture
def sim(simulator: Simulated) -> Simulated:
    """The same as new: answers after 20 ms."""
    simulator.change(latency=fixed(20), faults={})
    simulator.reset()
    return simulator


@pytest.fixture(scope="module")
def run(running_prefect_server: str, simulator: Simulated, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    """Runs swarms at these accounts, with a limiter and books in files."""
    folder = tmp_path_factory.mktemp("runner")
    with runner(
        PREFECT_API_URL=running_prefect_server,
        ACCOUNTS_FILE=str(simulator.accounts),
        LIMITER_URL=f"sqlite:///{folder}/limits.db",
        BOOKS_URL=f"sqlite:///{folder}/books.db",
        AUDIO_DIR=f"{folder}/store",
        LOG_DIR=f"{folder}/logs",
    ) as one:
        yield one


def fixed(ms: float) -> dict[str, Any]:
    return {"kind": "fixed", "mean_ms": ms}


def asked(rows: Path, **more: Any) -> dict[str, Any]:
    output = str(rows.with_name("out.jsonl"))
    return {"source": str(rows), "prompt": PROMPT, "output": output, "schema": SCHEMA, "model": "m", **more}


def size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def kill_and_finish(run: Forks, rows: Path, count: int, kills: int, concurrency: int) -> None:
    """Kill swarms at random points of their way; a last one ends it."""
    chance, wanted, output = random.Random(20261121), asked(rows, concurrency=concurrency), rows.with_name("out.jsonl")
    for turn in range(kills):
        # The first dies as early as it can be caught, the others after some rows.
        more = chance.randrange(count // (kills + 1)) if turn else 0
        enough = size(output) + more * LINE_BYTES
        pid = run.start(**wanted)
        until(lambda: size(output) >= enough, 300)  # noqa: B023 - called at once
        os.kill(pid, signal.SIGKILL)
        assert run.wait() == {"signal": signal.SIGKILL}
    ended = run.run(**wanted)
    assert "report" in ended, ended
    assert ended["report"]["found"] + ended["report"]["answered"] == count
    answers = lines(output)
    assert_each_row_once(answers, count)
    assert failures(output) == []


def test_a_swarm_killed_at_five_random_points_repeats_only_what_was_in_flight(
    run: Forks, sim: Simulated, tmp_path: Path
) -> None:
    kill_and_finish(run, write_rows(tmp_path / "rows.jsonl", 300), 300, kills=5, concurrency=20)
    assert sim.books()["total"]["requests"] - 300 <= 5 * 20


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_a_swarm_of_10000_killed_at_ten_random_points_repeats_only_what_was_in_flight(
    run: Forks, sim: Simulated, tmp_path: Path
) -> None:
    kill_and_finish(run, write_rows(tmp_path / "rows.jsonl", 10_000), 10_000, kills=10, concurrency=100)
    extra = sim.books()["total"]["requests"] - 10_000
    print(f"{extra} calls more than rows, {10 * 100} were in flight at most when it was killed")
    assert extra <= 10 * 100


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_100_agents_answer_10000_rows_although_30_percent_of_calls_fail(
    run: Forks, sim: Simulated, tmp_path: Path
) -> None:
    sim.change(faults=parse_faults("0.3"))
    run.start(**asked(write_rows(tmp_path / "rows.jsonl", 10_000)))
    report = run.wait()["report"]
    answers, failed = lines(report["output"]), failures(report["output"])
    print(f"{report['answered']} answered, {report['failed']} failed in {report['seconds']} s")
    assert len(answers) >= 9_990
    assert_each_row_once([*answers, *failed], 10_000)
    arrived, lost = (sim.books()["total"][kind]["cost_units"] for kind in ("answered", "undelivered"))
    print(f"cost ${arrived / 1e9} in answers that arrived, ${lost / 1e9} in those that did not")
    assert report["cost_usd"] == pytest.approx(arrived / 1e9)


# Memory


def peak_kb(run: Forks, rows: Path, **more: Any) -> int:
    run.start(**asked(rows, **more))
    ended = run.wait()
    assert "report" in ended, ended
    return ended["peak_kb"]


def test_looking_at_40_megabytes_of_rows_takes_no_more_memory_than_at_a_few(
    run: Forks, sim: Simulated, tmp_path: Path
) -> None:
    few = peak_kb(run, write_rows(tmp_path / "few.jsonl", 100, 4_000), dry_run=True)
    many = peak_kb(run, write_rows(tmp_path / "many.jsonl", 10_000, 4_000), dry_run=True)
    assert many - few < MOST_MORE_KB // 4


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_100000_rows_of_2_kb_take_no_more_memory_than_1000(run: Forks, sim: Simulated, tmp_path: Path) -> None:
    sim.change(latency=fixed(5))
    few = peak_kb(run, write_rows(tmp_path / "few.jsonl", 1_000, 2_000))
    (tmp_path / "out.jsonl").unlink()
    many = peak_kb(run, write_rows(tmp_path / "many.jsonl", 100_000, 2_000))
    print(f"peak RSS {few / 1024:.0f} MB for 1,000 rows, {many / 1024:.0f} MB for 100,000")
    assert_each_row_once(lines(tmp_path / "out.jsonl"), 100_000)
    assert many - few < MOST_MORE_KB
