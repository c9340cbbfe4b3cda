"""The answers as a table: all of them, each column of the type that its values have."""

from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from tasks.swarm import parquet
from tasks.swarm.index import items
from tasks.swarm.job import SwarmJob
from tasks.swarm.ledger import open_ledger
from tasks.swarm.parquet import write_table

SCHEMA = {"type": "object", "properties": {"n": {}, "mixed": {}, "deep": {}, "never": {}}}


def job(folder: Path, rows: int, **fields: Any) -> SwarmJob:
    source = [f"row {at}" for at in range(rows)]
    return SwarmJob(source=source, prompt="{{ text }}", output=str(folder / "out.parquet"), **fields)


def record(item: Any, **said: Any) -> dict[str, Any]:
    tokens = {"prompt": 3, "completion": 2, "cached": 0}
    taken = {"account": "a", "model": "m", "tokens": tokens, "cost_usd": 0.25, "attempts": 1, "latency_s": 0.5}
    return {"key": item.key, "row": item.number, "source": "model", **said, **taken, "finish_reason": "stop"}


@pytest.mark.parametrize("group", [3, 5_000])
def test_values_become_columns_of_their_types(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group: int) -> None:
    monkeypatch.setattr(parquet, "GROUP", group)
    wanted = job(tmp_path, 10, answer_schema=SCHEMA)
    with open_ledger(wanted) as ledger:
        for item in items(wanted):
            at = item.number
            value = {"n": at if at < 9 else 1.5, "mixed": at if at % 2 else "x", "deep": {"at": [at]}}
            ledger.answer(record(item, value=value, input={"big": 2**70, "flag": at > 3}))
    write_table(wanted)
    table = pyarrow.parquet.read_table(wanted.output)
    kinds = {field.name: str(field.type) for field in table.schema}
    assert (
        kinds
        | {
            "row": "int64",
            "prompt_tokens": "int64",
            "cost_usd": "double",
            "value.n": "double",
            "value.mixed": "string",
            "value.deep": "string",
            "value.never": "string",
            "input.big": "string",
            "input.flag": "bool",
        }
        == kinds
    )
    rows = table.to_pylist()
    assert [row["row"] for row in rows] == list(range(1, 11))
    assert (
        rows[1] | {"value.n": 2.0, "value.mixed": "x", "value.deep": '{"at": [2]}', "input.big": str(2**70)} == rows[1]
    )
    assert not list(tmp_path.glob(".*"))


def test_texts_have_a_column_and_a_table_may_be_empty(tmp_path: Path) -> None:
    wanted = job(tmp_path, 1)
    with open_ledger(wanted) as ledger:
        write_table(wanted)
        assert pyarrow.parquet.read_table(wanted.output).num_rows == 0
        ledger.answer(record(next(items(wanted)), text="tốt"))
    write_table(wanted)
    assert pyarrow.parquet.read_table(wanted.output).column("text").to_pylist() == ["tốt"]
