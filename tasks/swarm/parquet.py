"""The answers as a Parquet file: made at the end of a run from the JSON lines, whole or not at all."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from blocks.progress import in_thread
from tasks.swarm.job import SwarmJob
from tasks.swarm.journal import Record, records, writing
from tasks.swarm.ledger import places_of

GROUP = 5_000
"""Rows of a row group, and the most in memory."""

TYPES = ("null", "bool", "int64", "double", "string")

FIXED = {
    "key": "string",
    "row": "int64",
    "source": "string",
    "account": "string",
    "model": "string",
    "prompt_tokens": "int64",
    "completion_tokens": "int64",
    "cached_tokens": "int64",
    "cost_usd": "double",
    "attempts": "int64",
    "latency_s": "double",
    "finish_reason": "string",
}

LARGEST_INT = 2**63


@task(name="write-table", cache_policy=NO_CACHE, persist_result=False)
async def write_table_step(job: SwarmJob) -> None:
    """Write the Parquet file of a job whose output is one."""
    if job.output.lower().endswith(".parquet"):
        await in_thread(write_table, job)


def write_table(job: SwarmJob) -> None:
    """Write all answers so far: `text` or `value` (JSON), the fields of the value as `value.NAME`, kept columns as
    `input.NAME`, and the other fields of a line. What a column holds decides its type; mixed ones are text.
    """
    import pyarrow
    from pyarrow import parquet

    arrow: Any = pyarrow
    tables: Any = parquet
    answers, output = places_of(job).answers, Path(job.output)
    columns = {**FIXED, **_types(job, answers)}
    schema: Any = arrow.schema([(name, getattr(arrow, _arrow(kind))()) for name, kind in columns.items()])
    fresh = output.with_name(f".{output.name}.new")
    with writing(output), fresh.open("wb") as file:
        with tables.ParquetWriter(file, schema, compression="zstd") as writer:
            for group in _groups(job, answers):
                rows = [{name: _fitting(row.get(name), kind) for name, kind in columns.items()} for row in group]
                table: Any = arrow.Table.from_pylist(rows, schema=schema)
                writer.write_table(table)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(output)


def flat(job: SwarmJob, record: Record) -> dict[str, Any]:
    """A line as a row of the table."""
    tokens: dict[str, Any] = record.get("tokens") or {}
    row = {name: record.get(name) for name in FIXED if not name.endswith("_tokens")}
    row |= {f"{name}_tokens": tokens.get(name) for name in ("prompt", "completion", "cached")}
    kept: dict[str, Any] = record.get("input") or {}
    row |= {f"input.{name}": value for name, value in kept.items()}
    if job.answer_schema is None:
        return {**row, "text": record.get("text")}
    value: dict[str, Any] = record.get("value") or {}
    properties: dict[str, Any] = job.answer_schema.get("properties") or {}
    fields = {f"value.{name}": value.get(name) for name in properties}
    return {**row, "value": json.dumps(value, ensure_ascii=False), **fields}


def _groups(job: SwarmJob, answers: Path) -> Iterator[list[dict[str, Any]]]:
    group: list[dict[str, Any]] = []
    for _, record in records(answers, repair=False):
        group.append(flat(job, record))
        if len(group) == GROUP:
            yield group
            group = []
    yield group


def _types(job: SwarmJob, answers: Path) -> dict[str, str]:
    """Types of the columns that are not always the same, in order."""
    found: dict[str, str] = {"text": "string"} if job.answer_schema is None else {"value": "string"}
    for _, record in records(answers, repair=False):
        for name, value in flat(job, record).items():
            if name not in FIXED:
                found[name] = _wider(found.get(name, "null"), _type(value))
    return found


def _type(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int64" if -LARGEST_INT <= value < LARGEST_INT else "string"
    return "double" if isinstance(value, float) else "string"


def _wider(one: str, other: str) -> str:
    """The narrowest type that takes both."""
    if "null" in (one, other) or one == other:
        return max(one, other, key=TYPES.index)
    return "double" if {one, other} == {"int64", "double"} else "string"


def _arrow(kind: str) -> str:
    return {"bool": "bool_", "double": "float64", "null": "string"}.get(kind, kind)


def _fitting(value: Any, kind: str) -> Any:
    if value is None:
        return None
    if kind == "double":
        return float(value)
    if kind in ("string", "null") and not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return value
