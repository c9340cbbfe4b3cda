"""Texts without what a loop may hide behind."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tasks.agents.folded import alike, as_text, folded

LONG = "the disk of db-3 is nearly full, so the old archives under /var/backups are moved away"


@given(text=st.text(max_size=200))
@example(text="ӏ\u0301")
@example(text="a\u200b\u0301")
def test_folding_twice_is_folding_once(text: str) -> None:
    assert folded(folded(text)) == folded(text)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Disk FULL  on\n/dev/sda1", "disk full on /dev/sda2"),
        ("at 2026-03-01T12:00:00Z", "at 2025-12-31 23:59:59.123+07:00"),
        ("took 1.25 s", "took 1,250.1099999999999 s"),
        ("id 550e8400-e29b-41d4-a716-446655440000", "id 123E4567-E89B-12D3-A456-426614174000"),
        ("commit 9fceb02d0ae598e9", "commit 0c1d9b2"),
        ("раураl", "paypal"),
        ("ﬁle", "file"),
        ("a\u200db\u00ad", "ab"),
    ],
)
def test_what_a_loop_may_hide_behind_is_taken_out(one: str, other: str) -> None:
    assert folded(one) == folded(other)


@pytest.mark.parametrize(("one", "other"), [("facade", "decade"), ("Hà Nội", "Ha Noi"), ("read", "write")])
def test_words_stay_what_they_are(one: str, other: str) -> None:
    assert folded(one) != folded(other)


def test_long_texts_that_differ_at_their_end_stay_different() -> None:
    assert folded("x" * 100_000 + "a") != folded("x" * 100_000 + "b")


def test_folding_a_long_hostile_text_takes_no_time_to_speak_of() -> None:
    for hostile in ("a-" * 500_000, "0" * 1_000_000, "1,1." * 250_000, "2026-03-" * 100_000, "\u200b" * 1_000_000):
        assert len(folded(hostile)) < 40_000


def test_two_versions_of_a_long_file_are_not_the_same_step() -> None:
    old = "\n".join(f"line {word}" for word in LONG.split() * 10)
    new = old.replace("nearly", "entirely and without any doubt whatever, as we saw,", 1)
    assert alike(folded(old), folded(old[:-3]), least=0.85, most_chars=40)
    assert not alike(folded(old), folded(new), least=0.85, most_chars=40)


def test_values_that_are_no_json_have_a_text_too() -> None:
    assert as_text({"b": {1, 2}, "a": float("nan")}).startswith('{"a": NaN')
