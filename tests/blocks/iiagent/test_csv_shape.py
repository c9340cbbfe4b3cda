"""Tables have their shape, or an agent is told which rows, keys and columns are missing."""

import tracemalloc
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.iiagent.csv_shape import CsvShape
from tests.blocks.iiagent.files import served
from tests.blocks.iiagent.proving import held, table

ROWS = {"kind": "csv_shape", "path": "output.csv", "columns": ["row_id", "topic"]}


async def test_a_table_with_all_its_rows_holds() -> None:
    rows = [(f"r{row}", f"t{topic}", "xin chào, bạn\nơi") for row in range(5) for topic in range(10)]
    keys = [f"r{row}" for row in range(5)]
    per_key = {"column": "row_id", "rows": 10, "keys": keys}
    async with served() as at:
        at.put("output.csv", table(rows, start="\ufeff"))
        check = ROWS | {"rows": 50, "rows_per_key": per_key, "unique": ["row_id", "topic"], "no_blanks": ["text"]}
        found = await held(at, check)
    assert found.holds
    assert found.missing == ""


async def test_150_of_600_rows_are_told_with_their_keys() -> None:
    keys = [f"r{row}" for row in range(12)]
    rows = [(row, f"t{topic}", "x") for row in keys[:3] for topic in range(50)]
    async with served() as at:
        at.put("output.csv", table(rows))
        check = ROWS | {"rows": 600, "rows_per_key": {"column": "row_id", "rows": 50, "keys": keys}}
        found = await held(at, check)
    assert found.missing == (
        "- output.csv has 150 of 600 rows: add those that are missing, and keep the others. "
        "In output.csv, rows for these keys in column row_id are missing: r3, r4, r5, r6, r7, r8, r9, r10, r11."
    )


@pytest.mark.parametrize(
    ("content", "check", "told"),
    [
        (table([("1", "a", "x")] * 3), {"rows": 2}, "has 3 rows, and must have 2"),
        (table([("1", "a", "x")] * 2), {"unique": ["row_id", "topic"]}, "more than once: 1 / a"),
        (table([("1", "a", " "), ("2", "b", "x")]), {"no_blanks": ["text"]}, "column text is empty in 1 rows (row 1)"),
        (table([("1", "a", "x")]), {"columns": ["score"]}, "has no column score: write it"),
        ("row_id;topic\n1;a\n", {}, "has no column row_id, topic when it is cut at commas"),
        (table([("1", "a", "x")]), {"rows_per_key": {"column": "row_id", "keys": ["2"]}}, "nobody asked for: 1"),
        (table([("1", "a", "x")] * 2), {"rows_per_key": {"column": "row_id"}}, "too many rows for these keys"),
        (table([("1", "a")]), {}, "line 2 has 2 cells, and the first line 3"),
        ('row_id,topic\n"1,a\n', {}, "cannot be read: line"),
        (b"row_id,topic\n\xff,a\n", {}, "line 2 is no UTF-8 text"),
        ("", {}, "it is empty"),
        (table([]), {}, "output.csv has no rows"),
        ("row_id,topic,topic\n", {}, "column topic is there twice"),
        ("row_id,topic\n" + "x" * 20_000_000, {}, "cannot be read"),
    ],
    ids=[
        "more",
        "twice",
        "blank",
        "column",
        "cut",
        "foreign",
        "many",
        "cells",
        "quote",
        "utf8",
        "empty",
        "none",
        "same",
        "long",
    ],
)
async def test_what_a_table_lacks_is_told_in_a_sentence(content: str | bytes, check: dict[str, Any], told: str) -> None:
    async with served() as at:
        at.put("output.csv", content)
        found = await held(at, ROWS | check)
    assert not found.holds
    assert told in found.missing


def test_names_and_keys_are_compared_as_people_read_them() -> None:
    decomposed = unicodedata.normalize("NFD", "chủ đề")
    content = table([(unicodedata.normalize("NFD", " khoá "), "x")], header=f" {decomposed} ,text").encode()
    check = CsvShape.model_validate(
        {
            "kind": "csv_shape",
            "path": "a.csv",
            "columns": ["chủ đề"],
            "rows_per_key": {"column": "chủ đề", "keys": ["khoá"]},
        }
    )
    assert check.missing_in(content) == []


@given(st.sets(st.text("abcé", min_size=1, max_size=4), min_size=1, max_size=8), st.data())
def test_exactly_the_missing_keys_are_named(keys: set[str], data: st.DataObject) -> None:
    counts = {key: data.draw(st.integers(0, 3)) for key in sorted(keys)}
    rows = [(key, number) for key, count in counts.items() for number in range(count)]
    per_key = {"column": "key", "rows": 2, "keys": sorted(keys)}
    check = CsvShape.model_validate({"kind": "csv_shape", "path": "a.csv", "rows_per_key": per_key})
    told = check.missing_in(table(rows, header="key,number").encode())
    few = [f"{key} (1 of 2)" if count else key for key, count in counts.items() if count < 2]
    many = [f"{key} (3 instead of 2)" for key, count in counts.items() if count > 2]
    assert [line.rsplit(": ", 1)[1] for line in told] == [", ".join(each) + "." for each in (few, many) if each]


def test_long_lists_of_what_is_missing_are_cut() -> None:
    keys = [f"key-{number}" for number in range(10_000)]
    per_key = {"column": "row_id", "keys": keys}
    check = CsvShape.model_validate({"kind": "csv_shape", "path": "a.csv", "rows_per_key": per_key})
    (told,) = check.missing_in(b"row_id\n")
    assert told.endswith("key-19 and 9980 more.")


def test_a_table_is_counted_row_by_row_and_not_held_in_memory() -> None:
    content = table([(str(number), f"t{number}", "xin chào") for number in range(50_000)]).encode()
    check = CsvShape.model_validate(ROWS | {"rows": 50_000, "no_blanks": True})
    tracemalloc.start()
    try:
        assert check.missing_in(content) == []
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < len(content)


def test_what_is_there_twice_is_named_once_each_in_the_order_of_its_second_row() -> None:
    rows = [("1", "a,b", "x"), ("1,a", "b", "x"), *[("2", "c", "x")] * 3, ("1", "a,b", "x")]
    check = CsvShape.model_validate(ROWS | {"unique": ["row_id", "topic"]})
    (told,) = check.missing_in(table(rows).encode())
    assert told.endswith("there more than once: 2 / c, 1 / a,b.")
