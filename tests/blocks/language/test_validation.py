"""JSON in answers of models."""

import pytest

from blocks.language.validation import json_in, problems_of


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1}',
        'Here:\n```json\n{"a": 1}\n```\nDone.',
        'Certainly! {"a": 1} is it.',
        'A set {x} first, then {"a": 1}',
        '<think>Perhaps {"a": 2}?</think>\n{"a": 1}',
    ],
)
def test_the_object_is_found(text: str) -> None:
    assert json_in(text) == {"a": 1}


@pytest.mark.parametrize("text", ["", "no", "[1, 2]", '{"a": ', "null"])
def test_without_an_object_there_is_none(text: str) -> None:
    assert json_in(text) is None


def test_problems_name_the_place_and_are_few() -> None:
    schema = {"type": "object", "properties": {"tags": {"type": "array", "items": {"type": "string"}}}}
    problems = problems_of({"tags": list(range(9))}, schema)
    assert len(problems) == 5
    assert problems[0].startswith("tags.0: ")
    assert problems_of({"tags": []}, schema) == []
