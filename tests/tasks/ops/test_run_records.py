"""Runs are noted, found again, and not mixed up."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from blocks.errors import Conflict, NotFound
from blocks.store.local import LocalFiles
from tasks.ops.run_records import RunRecord, RunRecords


@pytest.fixture
def records(tmp_path: Path) -> RunRecords:
    return RunRecords(LocalFiles(tmp_path / "files"))


def record(**facts: str) -> RunRecord:
    told = {"run_id": "run-1", "flow": "maintain", "subject": "/plans/a.yaml", "user": "ann"} | facts
    return RunRecord(**told, begun_at=datetime.now(UTC))  # type: ignore[arg-type]


def test_a_run_that_goes_on_is_the_same_run(records: RunRecords) -> None:
    records.begin(record(), same_subject=True)
    records.end("run-1", "maintain", "failed")
    before = records.read("run-1", "maintain")
    assert before.ended == "failed"
    records.begin(record(), same_subject=True)
    assert (records.read("run-1", "maintain").begun_at, records.read("run-1", "maintain").ended) == (
        before.begun_at,
        None,
    )
    assert [one.run_id for one in records.every()] == ["run-1"]


def test_another_plan_is_another_run_and_a_flow_within_has_its_own_record(records: RunRecords) -> None:
    records.begin(record(), same_subject=True)
    with pytest.raises(Conflict, match="maintain"):
        records.begin(record(subject="/plans/b.yaml"), same_subject=True)
    records.begin(record(flow="watch-rollout"), same_subject=False)
    records.end("run-1", "watch-rollout", "completed")
    assert records.read("run-1", "maintain").ended is None
    assert {one.flow for one in records.every()} == {"maintain", "watch-rollout"}


@pytest.mark.parametrize("run_id", ["run-2", "../run-1", "", "a/b"])
def test_there_is_no_run_that_was_not_begun(records: RunRecords, run_id: str) -> None:
    records.begin(record(), same_subject=True)
    with pytest.raises(NotFound, match="there is no run"):
        records.read(run_id, "maintain")
    records.end(run_id, "maintain", "completed")
