"""Of an answer only what is right and was asked for counts, and what is wrong is told so that a model understands."""

from pathlib import Path
from typing import Any

import pytest

from tasks.batch_prompts.chunk import Chunk, prompt_of
from tasks.batch_prompts.coverage import Coverage, Covered
from tasks.batch_prompts.llm import answer_schema, whole_objects
from tasks.batch_prompts.plan import Plan, read_plan
from tasks.batch_prompts.source import read_items
from tests.flows.batch_prompting import GROUPS, cells, plan_file, table, texts


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """Two output rows for each of three rows."""
    table(tmp_path, texts(3), GROUPS[:1])
    columns = {
        "finding": {"type": "text", "max_chars": 60},
        "mood": {"type": "choice", "choices": ["tốt", "xấu"]},
        "score": {"type": "integer", "min": -5, "max": 5},
        "sure": {"type": "boolean", "optional": True},
        "price": {"type": "number", "optional": True},
        "day": {"type": "date", "optional": True},
    }
    return read_plan(plan_file(tmp_path, per_row={"topic": 2}, columns=columns))


def chunk_of(plan: Plan) -> Chunk:
    items = tuple(read_items(plan))
    return Chunk(group=GROUPS[0], items=items, wanted={item.number: plan.per_row.units for item in items})


def right(row: Any = 1, topic: Any = 1, **changes: Any) -> dict[str, Any]:
    said = {**cells(1, 1, "need", "ổn"), "sure": None, "price": None, "day": None}
    return {"row": row, "topic": topic, **said, **changes}


def check(plan: Plan, *rows: Any) -> Covered:
    return Coverage(plan).check(chunk_of(plan), rows)


def test_texts_of_numbers_days_and_booleans_count_as_these(plan: Plan) -> None:
    found = check(plan, right("1", "2", score="-3", sure="true", price="2.5", day="2026-11-22", mood=" tốt "))
    told = found.found[1][(2,)]
    assert {name: told[name] for name in ("score", "sure", "price", "day", "mood")} == {
        "score": -3,
        "sure": True,
        "price": 2.5,
        "day": "2026-11-22",
        "mood": "tốt",
    }


def test_texts_come_in_nfc_without_control_characters(plan: Plan) -> None:
    import unicodedata

    found = check(plan, right(finding=unicodedata.normalize("NFD", "Tiếng Việt\r\nmột\x00\x1b dòng ")))
    assert found.found[1][(1,)]["finding"] == "Tiếng Việt\nmột dòng"


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (right(row=9), "row is 9, which was not asked for"),
        (right(row=True), "row is True, which was not asked for"),
        (right(row=None), "row is None"),
        (right(topic=3), "topic is 3, and none of 1 to 2"),
        (right(topic="one"), "topic is 'one', and none of 1 to 2"),
        (right(finding="  "), "finding: it is blank"),
        (right(finding="\u200b \ufeff"), "finding: it is blank"),
        (right(finding=None), "finding: it is blank"),
        (right(finding="x" * 61), "finding: it has 61 characters, and may have 60"),
        (right(mood="good"), "mood: it is none of tốt, xấu"),
        (right(score=6), "score: it must be 5 or less"),
        (right(score=1.5), "score: here belongs a whole number"),
        (right(score=True), "score: it is true or false, and no number"),
        (right(price="NaN"), "price: here belongs a finite number"),
        (right(day="22/11/2026"), "day: "),
        (right(extra=1), "extra: there is no such column"),
        ({name: value for name, value in right().items() if name != "mood"}, "mood: it is missing, and needed"),
        ("row", "it is no row with columns"),
        (None, "it is no row with columns"),
    ],
)
def test_what_is_wrong_with_a_row_is_told_and_the_row_does_not_count(plan: Plan, row: Any, told: str) -> None:
    found = check(plan, row)
    assert found.found == {}
    assert told in found.problems[0]
    assert "row 1: nothing of it is there that is right" in found.problems


def test_the_same_twice_counts_once_and_two_different_ones_not_at_all(plan: Plan) -> None:
    found = check(plan, right(), right(), right(2), right(2, score=5), right(2), right(3), right(3, 2))
    assert {number: list(units) for number, units in found.found.items()} == {1: [(1,)], 3: [(1,), (2,)]}
    assert found.problems == (
        "row 2 topic=1 is there more than once, with different values",
        "row 1: 1 of its 2 rows are missing",
        "row 2: nothing of it is there that is right",
    )


def test_what_is_there_already_does_not_count_again(plan: Plan) -> None:
    rest = chunk_of(plan).less({1: [(1,), (2,)], 2: [(1,)]})
    found = Coverage(plan).check(rest, [right(2, 1, score=5), right(2, 2), right(3, 1)])
    assert {number: list(units) for number, units in found.found.items()} == {2: [(2,)], 3: [(1,)]}


def test_a_repair_asks_for_what_is_missing_alone(plan: Plan) -> None:
    rest = chunk_of(plan).less({1: [(1,), (2,)], 2: [(1,)]})
    said = prompt_of(plan, rest)
    assert "- row 2: topic=2\n- row 3: all 2" in said
    assert "ROW 1:" not in said
    assert "3 rows in all" in said


def test_halves_have_all_rows_once_and_know_nothing_of_each_other(plan: Plan) -> None:
    chunk = chunk_of(plan)
    halves = chunk.halves()
    assert [[item.number for item in half.items] for half in halves] == [[1], [2, 3]]
    assert [list(half.wanted) for half in halves] == [[1], [2, 3]]


def test_the_schema_names_every_column_and_forbids_others(plan: Plan) -> None:
    row = answer_schema(plan)["properties"]["rows"]["items"]
    assert row["required"] == ["row", "topic", "finding", "mood", "score", "sure", "price", "day"]
    assert row["additionalProperties"] is False
    assert row["properties"]["mood"]["enum"] == ["tốt", "xấu"]
    assert row["properties"]["sure"]["type"] == ["boolean", "null"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"rows": [{"a": 1}, {"b": [2]}, {"c"', [{"a": 1}, {"b": [2]}]),
        ('{"rows": [', []),
        ('{"rows": 1', []),
        ("nothing", []),
        ('{"rows": [{"a": "}]"}, 3, {"b": 1}', [{"a": "}]"}]),
    ],
)
def test_of_a_cut_answer_the_whole_objects_count(text: str, found: list[Any]) -> None:
    assert whole_objects(text) == found
