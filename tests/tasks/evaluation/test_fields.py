"""Fields of summaries: scores as worked out by hand."""

from typing import Any

import pytest

from tasks.evaluation.case import Match
from tasks.evaluation.fields import field_scores, set_score, token_f1


def test_token_f1_is_the_harmonic_mean_of_precision_and_recall() -> None:
    # Two of the four words given are right, and two of the three wanted are there: 2 x 2 / (4 + 3).
    assert token_f1("the payment page", "The payment form is") == pytest.approx(4 / 7)
    assert token_f1("the the cat", "the cat") == pytest.approx(4 / 5)
    assert token_f1("", "") == 1.0
    assert token_f1("yes", "") == 0.0


@pytest.mark.parametrize(("match", "score"), [("exact", 0.0), ("normalised", 1.0), ("f1", 1.0), (None, 1.0)])
def test_a_text_is_compared_as_it_is_asked_for(match: Match | None, score: float) -> None:
    [found] = field_scores({"title": "The new date"}, {"title": "the new date."}, {"title": match} if match else {})
    assert (found.score, found.exact, found.normalised, found.f1) == (score, False, True, 1.0)


@pytest.mark.parametrize(
    ("wanted", "given", "score"),
    [
        (["Anna", "David"], ["david", "anna"], 1.0),
        (["Anna", "David"], ["Anna"], 2 / 3),
        (["Anna"], ["Anna", "Bob", "Eve"], 2 / 4),
        (["Anna", "anna"], ["Anna"], 1.0),
        ([], [], 1.0),
        ([], ["Anna"], 0.0),
        ([1, 2], [2.0, 3], 2 / 4),
        ([{"who": "Maria"}], [{"who": "maria", "what": "call"}], 1.0),
        (
            [{"who": "Maria", "what": "call"}, {"who": "Bob", "what": "go"}],
            [{"who": "Bob", "what": "call"}],
            2 * 0.5 / 3,
        ),
    ],
)
def test_lists_are_sets(wanted: list[Any], given: list[Any], score: float) -> None:
    assert set_score(wanted, given, "normalised") == pytest.approx(score)


@pytest.mark.parametrize(
    ("wanted", "given", "match", "score"),
    [
        (["C++", "C"], ["C"], "exact", 2 / 3),
        (["!", "?"], ["!"], "exact", 2 / 3),
        ([-5, 5], [5], "normalised", 2 / 3),
        ([{"n": -1}, {"n": 1}], [{"n": 1}], "normalised", 2 / 3),
    ],
)
def test_items_are_doubled_only_where_they_are_equal_as_compared(
    wanted: list[Any], given: list[Any], match: Match, score: float
) -> None:
    assert set_score(wanted, given, match) == pytest.approx(score)


def test_items_are_matched_so_that_all_together_fit_best() -> None:
    # Taken one after the other, «a b» would take «a b c», and nothing would be left for «a b c d».
    wanted, given = ["a b", "a b c d"], ["a b c", "a b"]
    assert set_score(wanted, given, "f1") == pytest.approx(2 * (1 + 6 / 7) / 4)


def test_fields_within_fields_numbers_and_what_is_not_there() -> None:
    wanted = {"contact": {"name": "An", "age": 41}, "sure": True, "note": None, "tags": ["x"]}
    found = {
        one.field: one.score for one in field_scores(wanted, {"contact": {"name": "An", "age": 41.0}, "sure": 1}, {})
    }
    assert found == {"contact.name": 1.0, "contact.age": 1.0, "sure": 0.0, "note": 1.0, "tags": 0.0}


def test_without_a_summary_every_score_is_0() -> None:
    assert [one.score for one in field_scores({"title": "x", "tags": []}, None, {})] == [0.0, 0.0]
