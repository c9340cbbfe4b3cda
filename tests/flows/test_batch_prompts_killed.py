"""A batch that is killed goes on with what is missing: each row answered exactly once, and the report exact."""

import os
import random
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from blocks.accounts.account import Quota
from tasks.batch_prompts.ledger import open_ledger
from tasks.batch_prompts.plan import read_plan
from tests.fakes.forked import Forks, forks_of
from tests.fakes.llm.simulated import Simulated, simulated
from tests.flows.batch_prompting import GROUPS, assert_each_row_once, lines, plan_file, table, texts
from tests.flows.swarming import account
from tests.processes import until

CONCURRENCY = 6

MOMENTS = (
    ("tasks.batch_prompts.ledger:Ledger.save", "before", 1),  # an answer is there, and not written down
    ("tasks.batch_prompts.ledger:Ledger._asked", "after", 7),  # in the midst of a transaction
    ("tasks.batch_prompts.ledger:Ledger.save", "after", 4),
    ("tasks.batch_prompts.output:write_csv", "after", 1),  # all is answered; the file is not yet in its place
    ("tasks.batch_prompts.output:write_xlsx", "before", 1),  # the CSV file is in its place, the other is not
)


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulated]:
    """Four accounts with no limit that matters, and a model that answers batches."""
    accounts = [account(f"a{at}", model={"max_output_tokens": 8_000}, quota=Quota(tpm=10**9)) for at in range(4)]
    folder = tmp_path_factory.mktemp("simulator")
    with simulated(accounts, folder, script="tests.flows.batch_prompting.answer", latency=fixed(20)) as one:
        yield one


@pytest.fixture(scope="module")
def run(running_prefect_server: str, simulator: Simulated, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    """Runs batches at these accounts, each in a fork of one process."""
    folder = tmp_path_factory.mktemp("runner")
    more = {
        "PREFECT_API_URL": running_prefect_server,
        "ACCOUNTS_FILE": str(simulator.accounts),
        "LIMITER_URL": f"sqlite:///{folder}/limits.db",
        "BOOKS_URL": f"sqlite:///{folder}/books.db",
        "AUDIO_DIR": f"{folder}/store",
        "LOG_DIR": f"{folder}/logs",
        "AGENTS_HOME": f"{folder}/agents",
    }
    with forks_of("tests.flows.run_batch_prompts", follows=False, **more) as forks:
        yield forks


def fixed(ms: float) -> dict[str, Any]:
    return {"kind": "fixed", "mean_ms": ms}


def killed_at_moments(run: Forks, plan: Path) -> None:
    """Kill a run at each of the moments, one after the other."""
    for what, when, nth in MOMENTS:
        run.start(plan=str(plan), kill={"what": what, "when": when, "nth": nth})
        assert run.wait() == {"signal": signal.SIGKILL}, what


def ended(run: Forks, plan: Path) -> dict[str, Any]:
    run.start(plan=str(plan))
    told = run.wait()
    assert "report" in told, told
    return told["report"]


def answered_rows(ledger: Path) -> int:
    """How many rows the ledger of a run that is at work has answered."""
    if not ledger.exists():
        return 0
    with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as database, suppress(sqlite3.OperationalError):
        return database.execute("SELECT count(*) FROM rows WHERE status = 'answered'").fetchone()[0]
    return 0


def test_a_batch_killed_at_five_moments_answers_each_row_exactly_once(
    run: Forks, simulator: Simulated, tmp_path: Path
) -> None:
    simulator.reset()
    table(tmp_path, texts(60))
    plan = plan_file(tmp_path, concurrency=CONCURRENCY)
    killed_at_moments(run, plan)
    report = ended(run, plan)
    assert_each_row_once(tmp_path / "out.csv", range(1, 61))
    assert {one["group"]: (one["answered"], one["written"]) for one in report["groups"]} == {
        group: (rows, 4 * rows) for group, rows in zip(GROUPS, (9, 9, 9, 9, 8, 8, 8), strict=True)
    }
    assert (report["questions"], report["dead_rows"]) == (0, 0)  # all was answered when it was killed the last time
    # The first three kills came while questions were in flight; each may be asked again, and no other.
    assert 14 <= simulator.books()["total"]["requests"] <= 14 + 3 * CONCURRENCY


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_1000_rows_in_seven_groups_killed_at_ten_points_are_answered_exactly_once(
    run: Forks, simulator: Simulated, tmp_path: Path
) -> None:
    chance = random.Random(20261122)
    simulator.reset()
    simulator.change(faults={"error": 0.02, "malformed": 0.02, "length": 0.02, "prose": 0.02})
    marks = {3: "[short]", 5: "[blank]", 7: "[double]", 11: "[moody]"}
    said = [text + "".join(f" {mark}" for every, mark in marks.items() if at % (5 * every) == 1)
            for at, text in enumerate(texts(1_000))]  # fmt: skip
    hopeless = {at for at in range(1, 1_001) if at % 250 == 0}
    said = [f"{text} [never]" if at in hopeless else text for at, text in enumerate(said, start=1)]
    table(tmp_path, said)
    plan = plan_file(tmp_path, concurrency=20)

    def answered() -> int:
        return answered_rows(tmp_path / "out.ledger.db")

    for _ in range(5):
        enough = answered() + chance.randrange(20, 150)
        pid = run.start(plan=str(plan))
        until(lambda: answered() >= enough, 300)  # noqa: B023 - called at once
        os.kill(pid, signal.SIGKILL)
        assert run.wait() == {"signal": signal.SIGKILL}
    killed_at_moments(run, plan)
    report = ended(run, plan)
    simulator.change(faults={})
    right = sorted(set(range(1, 1_001)) - hopeless)
    assert_each_row_once(tmp_path / "out.csv", right)
    assert sum(one["answered"] for one in report["groups"]) == len(right)
    assert sum(one["review"] for one in report["groups"]) == len(hopeless)
    assert all(one["written"] == 4 * one["answered"] and one["missing"] == 0 for one in report["groups"])
    assert all(one["duplicates"] == one["blanks"] == 0 for one in report["groups"])
    requests = simulator.books()["total"]["requests"]
    print(f"{requests} questions for 1,000 rows in {len(GROUPS)} groups, killed ten times")
    assert len(lines(tmp_path / "out.csv")) == 4 * len(right)
    with open_ledger(read_plan(plan)) as ledger:
        assert {failed.item.number for failed in ledger.failed()} == hopeless
