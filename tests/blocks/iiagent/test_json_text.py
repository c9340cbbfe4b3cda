"""JSON of servers becomes values that can be written, redacted and shown."""

import json
from typing import Any

import pytest

from blocks.iiagent.json_text import MOST_DEEP, TOO_DEEP, read_json


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r'{"a": ["\ud83d half", "\ud83d\ude00"]}', {"a": ["\ufffd half", "😀"]}),
        (r'{"\udc00": "\\ud83d"}', {"\ufffd": r"\ud83d"}),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        ("3", 3),
    ],
)
def test_strings_are_texts(text: str | bytes, value: Any) -> None:
    assert read_json(text) == value
    json.dumps(read_json(text), ensure_ascii=False).encode()


def test_what_is_nested_deeper_than_anything_goes_is_left_out() -> None:
    value = read_json('{"a": ' + "[" * 500 + "]" * 500 + ', "b": [1]}')
    assert value["b"] == [1]
    inner, deep = value["a"], 2
    while isinstance(inner, list):
        (inner,), deep = inner, deep + 1
    assert (inner, deep - 1) == (TOO_DEEP, MOST_DEEP)


@pytest.mark.parametrize("text", ["", "no JSON", "[" * 100_000, b"\xff"])
def test_what_is_no_json_is_told(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"JSON|deep|decode|Expecting"):
        read_json(text)
