"""Tables held against expectations of great-expectations, without a word to the network."""

import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from blocks.store.local import LocalFiles
from tasks.quality.audit.judge import judge
from tasks.quality.audit.judged import Judged
from tasks.quality.audit.suite_files import read_suites
from tests.fakes.stored_jobs import fill
from tests.tasks.quality.audit.auditing import gathered

OWN = """
suite: own
table: jobs
expectations:
  - {id: rows, expect: table_row_count_to_be_between, min_value: 30}
  - {id: mean, expect: column_mean_to_be_between, column: confidence, min_value: 0.99, severity: warning}
  - {id: pair, expect: column_pair_values_a_to_be_greater_than_b, column_A: audio_s, column_B: words, or_equal: true}
  - {id: vietnamese, expect: column_values_to_be_in_set, column: template, value_set: [other],
     row_condition: 'language == "vi"'}
  - {id: few, expect: column_values_to_be_between, column: cost_usd, max_value: 0, at_least: 1000}
  - {id: broken, expect: column_values_to_match_regex, column: words, regex: '('}
  - {id: told-only, expect: column_values_to_be_between, column: audio_s, max_value: 0, severity: info}
"""


@pytest.fixture
def connections() -> list[Any]:
    """Addresses that this process connects to from now on."""
    seen: list[Any] = []

    def hear(event: str, details: tuple[Any, ...]) -> None:
        if event in ("socket.connect", "socket.getaddrinfo"):
            seen.append(details)

    sys.addaudithook(hear)  # for good: there is no way to take it away
    return seen


def test_what_people_write_is_judged(
    files: LocalFiles, tmp_path: Path, connections: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(files, 5, 20)
    (tmp_path / "own.yaml").write_text(OWN)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    suites = [suite for suite in read_suites(tmp_path) if suite.name == "own"]
    [suite] = judge(suites, {"jobs": gathered(files).found.jobs})
    found: dict[str, Judged] = {one.id: one for one in suite.expectations}
    assert {name: one.outcome for name, one in found.items()} == {
        "rows": "failed",
        "mean": "failed",
        "pair": "failed",
        "vietnamese": "failed",
        "few": "not_judged",
        "broken": "broken",
        "told-only": "failed",
    }
    assert (found["rows"].observed, found["rows"].says) == ("20", "Must have greater than or equal to 30 rows.")
    assert float(found["mean"].observed) == pytest.approx(0.82, abs=0.05)
    assert 0 < found["vietnamese"].rows < 20, "only rows that its condition is about"
    assert found["vietnamese"].rows == found["vietnamese"].unexpected
    assert found["few"].why == "20 rows have a value; it is judged from 1000 on"
    assert "regex" in found["broken"].says or found["broken"].why
    assert (found["broken"].is_bad, found["told-only"].is_bad, found["few"].is_bad) == (True, False, False)
    assert connections == []
    assert list((tmp_path / "temporary").iterdir()) == []


def test_a_period_without_jobs_is_judged(files: LocalFiles) -> None:
    found = gathered(files)
    suites = judge(read_suites(), {"jobs": (), "period": [found.row], "batches": (), "drift": ()})
    outcomes = {one.outcome for suite in suites for one in suite.expectations}
    assert outcomes == {"passed", "not_judged"}
