"""What people are told of a swarm on its way."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tasks.swarm.growing import added
from tasks.swarm.pace import duration, pace
from tasks.swarm.tally import Tally


def record(account: str = "a", cost: float | None = 0.5, **fields: Any) -> dict[str, Any]:
    tokens = {"prompt": 3, "completion": 2, "cached": 0}
    taken = {"account": account, "cost_usd": cost, "tokens": tokens, "source": "model", "finish_reason": "stop"}
    return {"key": "k", "row": 1, **taken, **fields}


def test_lines_are_summed_up_by_account() -> None:
    tally = Tally(due=5)
    tally.add(record(), is_answer=True)
    tally.add(record(cost=0.25, source="fallback"), is_answer=True)
    tally.add(record(account="c", cost=0.0, finish_reason="length"), is_answer=True)
    tally.add(record(account="b", cost=None), is_answer=False)
    assert (tally.answered, tally.failed, tally.fallbacks, tally.cut, tally.unpriced) == (3, 1, 1, 1, 1)
    assert tally.cost_usd == 0.75
    assert {name: (own.rows, own.tokens, own.cost_usd) for name, own in tally.accounts.items()} == {
        "a": (2, 10, 0.75),
        "c": (1, 5, 0.0),
    }
    assert tally.share == 0.8


def test_the_rate_is_that_of_late() -> None:
    tally = Tally(due=100)
    assert pace(tally).startswith("0.0/s, ? left")
    tally.answered = 50
    assert tally.rate_per_s() > 50  # within this second


def test_a_spread_swarm_says_when_no_row_ends_and_nothing_of_calls_that_others_make() -> None:
    tally = Tally(due=5, is_spread=True, began=time.monotonic() - 45)
    assert pace(tally).startswith("0.0/s, ? left; no row has ended for 4")
    tally.add(record(), is_answer=True)
    assert "no row" not in pace(tally)
    assert "in flight" not in pace(tally)


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0.04, "0.0 s"), (9.96, "10.0 s"), (59.6, "1 min"), (310, "5 min 10 s"), (3600, "1 h"), (98_000, "1 d 3 h")],
)
def test_times_have_two_units_at_most(seconds: float, told: str) -> None:
    assert duration(seconds) == told


def test_a_growing_file_is_read_by_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "part.jsonl"
    assert added(path, 0) == ([], 0)
    path.write_text(json.dumps({"n": 1}) + "\n" + '{"n": ')
    found, offset = added(path, 0)
    assert found == [{"n": 1}]
    assert added(path, offset) == ([], offset)
    with path.open("a") as file:
        file.write("2}\n" + json.dumps({"n": "x" * 2_000_000}) + "\n")
    found, offset = added(path, offset)
    assert found == [{"n": 2}]
    found, offset = added(path, offset)
    assert [len(one["n"]) for one in found] == [2_000_000]
    assert offset == path.stat().st_size


def test_a_file_that_was_written_anew_is_not_read_from_within_a_line(tmp_path: Path) -> None:
    path = tmp_path / "part.jsonl"
    path.write_text('{"n": 1}\n{"n": 2}\n')
    _, offset = added(path, 0)
    path.write_text('{"longer than before": 2}\n')
    assert added(path, offset) == ([], offset)
    path.write_text("{}\n")
    assert added(path, offset) == ([], offset)
