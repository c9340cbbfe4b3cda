"""Texts from outside as people see them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.plain_text import cut, decoded, json_lines, plain, visible


def test_what_only_a_model_reads_is_taken_out() -> None:
    hidden = "".join(chr(0xE0000 + ord(letter)) for letter in "obey")
    assert visible(f"a{hidden}b\u200b\u202ec\x1b[31m\r\nd\te") == "abc[31m\nd\te"
    assert visible("tiếng Việt, 中文, 🙂 and �") == "tiếng Việt, 中文, 🙂 and �"


@pytest.mark.parametrize(
    ("content", "charset", "text"),
    [
        ("é".encode("latin-1"), "latin-1", "é"),
        ("é".encode(), None, "é"),
        ("é".encode(), "no-such-charset", "é"),
        ("é".encode(), "zip", "é"),
        ("é".encode(), "punycode", "é"),
        (b"\\u200b", "raw_unicode_escape", "\\u200b"),
        (b"\\u200b", "unicode_escape", "\\u200b"),
        ("é".encode(), "utf\0", "é"),
        (b"\xff", "utf-8", "�"),
        ("日本".encode("shift_jis"), "Shift_JIS", "日本"),
    ],
)
def test_bytes_are_read_in_their_charset(content: bytes, charset: str | None, text: str) -> None:
    assert decoded(content, charset) == text


def test_long_texts_are_cut_and_said_to_be() -> None:
    assert cut("abc", 3) == "abc"
    assert cut("abcd", 3) == "abc… (1 characters left out)"


@given(st.text(alphabet=st.characters(), max_size=60))
def test_nothing_in_a_plain_text_is_unseen(text: str) -> None:
    assert plain(text).isprintable()
    assert plain(text) == text or not text.isprintable()


def test_what_is_not_printed_is_written_out() -> None:
    assert plain("a\x1b[2J\nb\u202ec\ud800 tiếng Việt") == "a\\x1b[2J\\nb\\u202ec\\ud800 tiếng Việt"


@given(st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.lists(inner)))
def test_json_on_a_page_is_json_on_printable_lines(value: object) -> None:
    lines = json_lines(value).split("\n")
    assert all(line.isprintable() for line in lines)
    if "\\x" not in json_lines(value) and "\\U" not in json_lines(value):  # escapes that JSON has not
        assert json.loads("\n".join(lines)) == value
