"""What is wrong with a reply, by what it is."""

import unicodedata

import pytest

from tasks.fast_response.call import Call
from tasks.fast_response.quality import Fault, ascii_share, faults_of, has_vietnamese, quality


@pytest.mark.parametrize(
    ("reply", "faults"),
    [
        ("Great job!", ()),
        ("Okay — let's think, it's all-right 👍", ()),
        ("Mr. O’Neil's señor", ("foreign",)),
        ("", ("empty",)),
        (" …!? ", ("empty",)),
        ("One two three four five six seven", ("too_long",)),
        ("Giỏi quá!", ("vietnamese", "foreign")),
        ("Good, bạn", ("vietnamese", "foreign")),
        ("Đúng", ("vietnamese", "foreign")),
        ("好的, great", ("foreign",)),
        ("Assistant: Great!", ("label",)),
        ("* 👤 User:\nyes", ("label",)),
    ],
)
def test_faults(reply: str, faults: tuple[Fault, ...]) -> None:
    assert faults_of(reply) == faults
    assert faults_of(unicodedata.normalize("NFD", reply)) == faults


def test_a_reply_that_ended_at_the_most_tokens_is_cut_off() -> None:
    assert faults_of("Well done", "length") == ("cut_off",)
    assert faults_of("Well done", "stop") == ()


@pytest.mark.parametrize("letter", "àảãáạăằẳẵắặâầẩẫấậđèẻẽéẹêềểễếệìỉĩíịòỏõóọôồổỗốộơờởỡớợùủũúụưừửữứựỳỷỹýỵ")
def test_every_letter_of_vietnamese_is_seen(letter: str) -> None:
    assert has_vietnamese(letter)
    assert has_vietnamese(letter.upper())


def test_letters_of_others_are_not_taken_for_vietnamese() -> None:
    assert not has_vietnamese("English ñ ü ß ç å 好 и")


def test_the_share_of_ascii_letters_counts_letters_only() -> None:
    assert ascii_share("123 !?") is None
    assert ascii_share("abç 12") == pytest.approx(2 / 3)


def test_quality_is_told_by_intent_and_failed_calls_are_no_replies() -> None:
    calls = [
        Call(turn="1", intent="positive", reply="Great!", finish_reason="stop"),
        Call(turn="2", intent="positive", reply="Giỏi", finish_reason="length"),
        Call(turn="3", reply="Okay then", finish_reason="stop"),
        Call(turn="4", intent="silence", error="TIMED_OUT", message="late"),
    ]
    found = quality(calls)
    assert (found.whole.replies, found.whole.usable, found.whole.usable_share) == (3, 2, pytest.approx(2 / 3))
    assert found.whole.faults == {"vietnamese": 1, "foreign": 1, "cut_off": 1}
    assert found.whole.cut_off_share == pytest.approx(1 / 3)
    assert [(group.intent, group.replies, group.usable) for group in found.by_intent] == [
        ("positive", 2, 1),
        ("unknown", 1, 1),
    ]
    [example] = quality([*calls, *calls]).examples  # the same is shown once
    assert (example.turn, example.reply) == ("2", "Giỏi")
