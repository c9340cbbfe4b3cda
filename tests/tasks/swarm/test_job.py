"""What is wrong with a swarm is told with the field, before anything is spent."""

from pathlib import Path
from typing import Any

import pytest

from blocks.errors import BadInput, C500Error, NotFound, Unsupported
from tasks.swarm.job import swarm_job
from tasks.swarm.shards import FEWEST_ROWS, MOST_SHARDS, shard_rows, spans_of

SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}


def made(folder: Path, **fields: Any) -> Any:
    whole = {"source": ["a"], "prompt": "{{ text }}", "output": str(folder / "out.jsonl"), **fields}
    return swarm_job(**whole)


def test_a_job_with_paths_of_this_folder_has_absolute_ones(tmp_path: Path) -> None:
    Path("rows.csv").write_text("text\na\n")
    job = made(tmp_path, source="rows.csv", output="out.jsonl")
    assert job.source == str(Path("rows.csv").absolute())
    assert job.output == str(Path("out.jsonl").absolute())


@pytest.mark.parametrize(
    ("fields", "kind", "field"),
    [
        ({"source": "missing.csv"}, NotFound, "source"),
        ({"source": "rows.doc"}, Unsupported, "source"),
        ({"source": ["x" * 1_100_000]}, BadInput, "source"),
        ({"output": "/nowhere/out.jsonl"}, NotFound, "output"),
        ({"output": "out.txt"}, Unsupported, "output"),
        ({"prompt": "{{ "}, BadInput, "prompt"),
        ({"concurrency": 0}, BadInput, "concurrency"),
        ({"tier": "hard"}, BadInput, "tier"),
        ({"temperature": 3}, BadInput, "temperature"),
        ({"answer_schema": {"type": "string"}}, BadInput, "schema"),
        ({"answer_schema": {"type": "object", "properties": {"a": {"type": "text"}}}}, BadInput, "schema"),
        ({"answer_schema": {"type": "object", "$ref": "http://127.0.0.1:1/x"}}, BadInput, "schema"),
        ({"answer_schema": {"type": "object", "allOf": [{"$ref": "#/nowhere"}]}}, BadInput, "schema"),
        ({"fallback": {"value": {"a": "x"}}}, BadInput, "fallback"),
        ({"fallback": {"value": {"a": 1}}, "answer_schema": SCHEMA}, BadInput, "fallback"),
        ({"nonsense": 1}, BadInput, "nonsense"),
    ],
)
def test_what_is_wrong_is_told_with_its_field(
    tmp_path: Path, fields: dict[str, Any], kind: type[C500Error], field: str
) -> None:
    with pytest.raises(kind) as told:
        made(tmp_path, **fields)
    assert told.value.details["field"] == field
    assert told.value.fix


def test_the_output_is_not_the_source(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("{}\n")
    with pytest.raises(BadInput, match="the output is the source"):
        made(tmp_path, source=str(path), output=str(path))


@pytest.mark.parametrize(
    ("due", "rate", "concurrency", "wanted", "rows"),
    [
        (50, 1, 10, None, FEWEST_ROWS),  # few rows: one shard
        (100_000, 300, 100, None, 3_000),  # ten seconds of work
        (5_000_000, 300, 100, None, 25_000),  # never more than so many shards
        (1_000, 1, 100, 10, 10),  # as asked for
        (100_000, 1, 100, 10, 500),  # unless that were too many
        (0, 0, 1, None, FEWEST_ROWS),
    ],
)
def test_a_shard_is_ten_seconds_of_work_and_there_are_never_too_many(
    due: int, rate: float, concurrency: int, wanted: int | None, rows: int
) -> None:
    assert shard_rows(due, rate, concurrency, wanted) == rows
    assert due / rows <= MOST_SHARDS


@pytest.mark.parametrize(("rows", "parts"), [(0, 3), (1, 3), (3, 3), (10, 3), (100_001, 7)])
def test_spans_cover_every_row_once(rows: int, parts: int) -> None:
    covered = [row for first, last in spans_of(rows, parts) for row in range(first, last + 1)]
    assert covered == list(range(1, rows + 1))
