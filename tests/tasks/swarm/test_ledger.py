"""The output is the ledger: what is in it is done, whatever happened to the process that wrote it."""

import json
import resource
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as given_settings
from hypothesis import strategies as st

from blocks.errors import BadInput, Conflict, StoreFailed
from tasks.swarm.index import items
from tasks.swarm.job import SwarmJob
from tasks.swarm.journal import Journal, line_of, read_lines, records
from tasks.swarm.ledger import collect_parts, merge, open_ledger, parts_of, places_of, read_ledger


def job_of(folder: Path, **fields: Any) -> SwarmJob:
    rows = ["a", "b", "a", "c"]
    return SwarmJob(**{"source": rows, "prompt": "{{ text }}", "output": str(folder / "out.jsonl"), **fields})


def line(key: str, cost: float = 0.5) -> dict[str, Any]:
    return {"key": key, "row": 1, "cost_usd": cost}


def states(job: SwarmJob) -> list[str]:
    ledger = read_ledger(job)
    return [ledger.state_of(item) for item in items(job)]


# Keys


def test_equal_rows_have_keys_of_their_own_and_the_order_of_others_does_not_matter(tmp_path: Path) -> None:
    keys = [item.key for item in items(job_of(tmp_path))]
    assert len(set(keys)) == 4
    assert keys[2] == f"{keys[0]}-1"
    turned = [item.key for item in items(job_of(tmp_path, source=["c", "a", "b", "a"]))]
    assert set(turned) == set(keys)


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": "{{ text }}!"},
        {"answer_schema": {"type": "object"}},
        {"model": "m"},
        {"temperature": 0.1},
        {"max_output_tokens": 5},
    ],
)
def test_another_question_has_other_keys(tmp_path: Path, change: dict[str, Any]) -> None:
    before, after = job_of(tmp_path), job_of(tmp_path, **change)
    assert not {item.key for item in items(before)} & {item.key for item in items(after)}


def test_who_asks_and_how_fast_is_no_other_question(tmp_path: Path) -> None:
    before, after = job_of(tmp_path), job_of(tmp_path, concurrency=3, user="x", accounts=("y",), keep=("text",))
    assert [item.key for item in items(before)] == [item.key for item in items(after)]


# The journal


@given_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    values=st.lists(st.text() | st.integers() | st.floats(allow_nan=False) | st.just("a\ud83d"), min_size=1),
    data=st.data(),
)
def test_a_file_cut_anywhere_keeps_its_whole_lines_and_is_gone_on_with(
    tmp_path: Path, values: list[Any], data: st.DataObject
) -> None:
    path = tmp_path / "out.jsonl"
    path.unlink(missing_ok=True)
    whole = [line_of({"key": f"k{at}", "value": value}) for at, value in enumerate(values)]
    content = b"".join(whole)
    kept = data.draw(st.integers(0, len(content)))
    path.write_bytes(content[:kept])
    found = [record["key"] for _, record in records(path, repair=True)]
    journal = Journal(path)
    offset = journal.append({"key": "next"})
    journal.close()
    lengths = [sum(map(len, whole[: at + 1])) for at in range(len(whole))]
    complete = sum(length <= kept for length in lengths)
    assert found == [f"k{at}" for at in range(complete)]
    assert offset == ([0, *lengths])[complete]
    assert [record and record["key"] for _, record in read_lines(path)] == [*found, "next"]


def test_zeros_that_a_power_cut_left_are_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_bytes(line_of({"key": "a"}) + b"\0" * 5000)
    assert [record["key"] for _, record in records(path, repair=True)] == ["a"]
    assert path.read_bytes() == line_of({"key": "a"})


@pytest.mark.parametrize("content", [b"id,text\n1,a\n", b"{}\n", b"no line", b'"key"\n'])
def test_a_file_of_somebody_else_is_left_alone(tmp_path: Path, content: bytes) -> None:
    job = job_of(tmp_path)
    Path(job.output).write_bytes(content)
    with pytest.raises(BadInput, match="was not written by a swarm"), open_ledger(job):
        pass
    assert Path(job.output).read_bytes() == content


def test_a_line_that_is_none_among_others_is_not_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_bytes(line_of({"key": "a"}) + b"x\n" + line_of({"key": "b"}))
    with pytest.raises(BadInput, match="was not written by a swarm"):
        list(records(path, repair=True))


def test_a_file_that_cannot_grow_is_a_typed_error_and_keeps_whole_lines(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "out.jsonl")
    journal.append({"key": "a"})
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40, most))
    try:
        with pytest.raises(StoreFailed, match="File too large"):
            journal.append({"key": "x" * 100})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    journal.append({"key": "b"})
    journal.close()
    assert [record and record["key"] for _, record in read_lines(tmp_path / "out.jsonl")] == ["a", "b"]


# The ledger


def test_a_row_is_new_then_failed_then_answered(tmp_path: Path) -> None:
    job = job_of(tmp_path)
    first, second, third, _ = [item.key for item in items(job)]
    with open_ledger(job) as ledger:
        ledger.answer(line(first))
        ledger.fail(line(second))
        ledger.fail(line(third))
    assert states(job) == ["answered", "failed", "failed", "new"]
    with open_ledger(job) as ledger:
        assert ledger.failed == 2
        ledger.fail(line(second) | {"reason": "again"})
        ledger.answer(line(third))
    assert states(job) == ["answered", "failed", "answered", "new"]
    failures = places_of(job).failures.read_text().splitlines()
    assert [json.loads(one).get("reason") for one in failures] == ["again"]


def test_what_the_failures_of_a_row_cost_stays_in_the_sum(tmp_path: Path) -> None:
    job = job_of(tmp_path)
    first, second, *_ = [item.key for item in items(job)]
    with open_ledger(job) as ledger:
        ledger.fail(line(first, 0.25))
        ledger.fail(line(second, 1.0))
    with open_ledger(job) as ledger:
        ledger.fail(line(first, 0.5))
        assert ledger.cost_usd == 1.75
    before = places_of(job).failures.read_bytes()
    with open_ledger(job) as ledger:
        assert ledger.cost_usd == 1.75
        ledger.answer(line(first, 2.0))
        assert ledger.cost_usd == 3.75
    assert read_ledger(job).cost_usd == 3.75
    [answer] = [record for _, record in records(places_of(job).answers, repair=False)]
    assert answer["cost_before_usd"] == 0.75
    places_of(job).failures.write_bytes(before)  # as after a kill before the failures were written anew
    assert read_ledger(job).cost_usd == 3.75


def test_the_file_of_failures_goes_with_the_last_of_them(tmp_path: Path) -> None:
    job = job_of(tmp_path)
    key = next(items(job)).key
    with open_ledger(job) as ledger:
        ledger.fail(line(key))
    with open_ledger(job) as ledger:
        ledger.answer(line(key))
    assert not places_of(job).failures.exists()
    assert not places_of(job).lock.exists()


def test_two_runs_on_one_output_exclude_each_other(tmp_path: Path) -> None:
    job = job_of(tmp_path)
    with open_ledger(job), pytest.raises(Conflict, match="another run writes"), open_ledger(job):
        pass
    with open_ledger(job):
        pass


def test_answers_to_another_question_are_not_mixed_in(tmp_path: Path) -> None:
    job = job_of(tmp_path)
    with open_ledger(job) as ledger:
        ledger.answer(line(next(items(job)).key))
    with pytest.raises(Conflict, match="another prompt, schema or model"):
        read_ledger(job_of(tmp_path, prompt="other {{ text }}"))


def test_a_parquet_file_that_no_swarm_wrote_is_not_replaced(tmp_path: Path) -> None:
    job = job_of(tmp_path, output=str(tmp_path / "out.parquet"))
    Path(job.output).write_bytes(b"something")
    with pytest.raises(Conflict, match="exists"), open_ledger(job):
        pass


# Parts


def test_parts_are_taken_over_once_however_often_it_is_tried(tmp_path: Path) -> None:
    job = job_of(tmp_path, workers=2)
    first, second, third, fourth = [item.key for item in items(job)]
    with open_ledger(job) as ledger:
        ledger.answer(line(first))
    for part, keys in enumerate(((second,), (third, fourth))):
        with open_ledger(job.model_copy(update={"part": part}), beside=places_of(job)) as own:
            assert own.index[first] is not None
            for key in keys:
                own.answer(line(key))
    answered = parts_of(job)[1].answers.read_bytes()
    with open_ledger(job) as ledger:
        for part in parts_of(job):
            merge(ledger, part)
    # As after a kill before the part was removed:
    parts_of(job.model_copy(update={"part": None}))
    places_of(job.model_copy(update={"part": 1})).answers.write_bytes(answered)
    with open_ledger(job) as ledger:
        for part in parts_of(job):
            merge(ledger, part)
    assert parts_of(job) == []
    keys = [json.loads(one)["key"] for one in Path(job.output).read_text().splitlines()]
    assert sorted(keys) == sorted([first, second, third, fourth])


def test_failures_done_again_in_a_part_keep_what_they_cost_before(tmp_path: Path) -> None:
    job = job_of(tmp_path, retry_failed=True)
    first, second, *_ = [item.key for item in items(job)]
    with open_ledger(job) as ledger:
        ledger.fail(line(first, 0.25))
        ledger.fail(line(second, 1.0))
    part = job.model_copy(update={"part": 0})
    with open_ledger(part, beside=places_of(job)) as own:
        own.fail(line(first, 0.5))
        own.answer(line(second, 2.0))
    failures = places_of(part).failures.read_bytes()
    for _ in range(2):
        with open_ledger(job) as ledger:
            collect_parts(job, ledger)
            assert ledger.cost_usd == 3.75
        assert read_ledger(job).cost_usd == 3.75
        places_of(part).failures.write_bytes(failures)  # as after a kill before the part was removed


def test_a_part_that_is_still_written_is_not_taken(tmp_path: Path) -> None:
    job = job_of(tmp_path)
    part = job.model_copy(update={"part": 0})
    with open_ledger(part), open_ledger(job) as ledger, pytest.raises(Conflict, match="a shard still writes"):
        merge(ledger, places_of(part))
