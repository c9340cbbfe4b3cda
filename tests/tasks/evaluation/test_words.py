"""Words, characters and their times: figures as worked out by hand."""

import pytest

from tasks.evaluation.case import TimedWord
from tasks.evaluation.normalise import BY_NAME
from tasks.evaluation.word_times import time_errors
from tasks.evaluation.words import character_errors, word_error_rate, word_errors

WORDS = BY_NAME["words"]


@pytest.mark.parametrize(
    ("reference", "hypothesis", "substitutions", "deletions", "insertions"),
    [
        ("the cat sat", "the cat sat", 0, 0, 0),
        ("the cat sat", "the bat sat", 1, 0, 0),
        ("the cat sat", "the sat", 0, 1, 0),
        ("the cat sat", "the black cat sat", 0, 0, 1),
        ("the cat sat", "", 0, 3, 0),
        ("", "the cat", 0, 0, 2),
        ("", "", 0, 0, 0),
        ("a b c d e", "a x c d e f", 1, 0, 1),
    ],
)
def test_word_errors_are_counted(
    reference: str, hypothesis: str, substitutions: int, deletions: int, insertions: int
) -> None:
    found, _ = word_errors(reference.split(), hypothesis.split())
    assert (found.substitutions, found.deletions, found.insertions) == (substitutions, deletions, insertions)
    assert found.reference == len(reference.split())


def test_the_rate_is_errors_by_words_of_the_reference_and_may_pass_one() -> None:
    assert word_error_rate("one two three four", "one too three") == 0.5  # one replaced, one left out, of four
    assert word_error_rate("yes", "no no no") == 3.0  # one replaced, two put in, of one
    assert word_errors([], ["a"])[0].rate is None


def test_character_errors_count_the_spaces_between_words() -> None:
    found = character_errors(["ab", "cd"], ["ab", "cx"])  # `ab cd` has five characters
    assert (found.count, found.reference) == (1, 5)
    found = character_errors(["ab", "cd"], ["abcd"])
    assert (found.count, found.deletions, found.rate) == (1, 1, 0.2)


@pytest.mark.parametrize(
    ("text", "language", "words"),
    [
        ("Don’t stop -- it's OK!", "en", "don't stop it's ok"),
        ("Twenty-five boxes, 45,000 dollars at 10:30; 3.5 %.", "en", "twenty five boxes 45,000 dollars at 10:30 3.5"),
        ("Hòa khỏe, thủy; quý hoàn quỳnh", "vi", "hoà khoẻ thuỷ quý hoàn quỳnh"),
        ("Hoà khoẻ, thuỷ; quý hoàn quỳnh", "vi", "hoà khoẻ thuỷ quý hoàn quỳnh"),
        ("Hòa", "en", "hòa"),
        ("Hòa", None, "hoà"),
        ("\ufeffSo\u00adft co\u2060de\u200bword", None, "soft code word"),
        ("Tie\u0302\u0301ng Vie\u0323\u0302t", "vi", "tiếng việt"),
    ],
)
def test_words_are_made_comparable_as_the_normalisation_says(text: str, language: str | None, words: str) -> None:
    assert " ".join(WORDS.words(text, language)) == words


def test_numbers_in_words_and_in_digits_are_not_the_same_word() -> None:
    assert word_error_rate("twenty boxes", "20 boxes") == 0.5


def test_as_written_case_and_punctuation_count() -> None:
    assert word_error_rate("Yes, please.", "yes please", by="written") == 1.0
    assert word_error_rate("Yes, please.", "yes please") == 0.0


def test_every_alphabet_and_its_marks_are_words() -> None:
    assert WORDS.words("กำลัง हिन्दी Straße") == ["กำลัง", "हिन्दी", "strasse"]


def words(*given: tuple[float, float, str]) -> list[TimedWord]:
    return [TimedWord(start_s=start_s, end_s=end_s, text=text) for start_s, end_s, text in given]


def test_times_are_compared_over_the_words_that_are_right() -> None:
    said = words((0.0, 0.4, "Good"), (0.5, 0.9, "morning,"), (1.0, 1.5, "Anna."))
    heard = words((0.01, 0.38, "good"), (0.5, 0.95, "mourning"), (1.04, 1.5, "Anna"), (1.6, 1.7, "and"))
    found = time_errors(said, heard, WORDS, "en")
    assert found.start_ms == (10.0, 40.0)
    assert found.end_ms == (20.0, 0.0)
    assert found.reference == 3


def test_a_written_word_of_several_has_the_start_of_its_first_and_the_end_of_its_last() -> None:
    said = words((0.0, 1.0, "twenty-five"))
    heard = words((0.1, 0.5, "twenty"), (0.5, 1.2, "five"))
    found = time_errors(said, heard, WORDS)
    assert (found.start_ms, found.end_ms, found.reference) == ((100.0,), (200.0,), 2)


def test_without_a_right_word_there_is_no_time() -> None:
    found = time_errors(words((0, 1, "yes")), words((0, 1, "no")), WORDS)
    assert (found.start_ms, found.end_ms, found.reference) == ((), (), 1)
