"""Rows that nothing helped go before people, and what they say about them counts as a model's answer does."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from blocks.reviews import Reviews, open_reviews
from tasks.batch_prompts.keys import Unit
from tasks.batch_prompts.ledger import Ledger, Spent, open_ledger
from tasks.batch_prompts.people import STANDS_DAYS, ask_again, put_before_people, take_from_people
from tasks.batch_prompts.plan import Plan, read_plan
from tasks.batch_prompts.survey import survey
from tests.flows.batch_prompting import GROUPS, plan_file, table, texts


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """Two rows of one group, with four output rows each."""
    table(tmp_path, texts(2), GROUPS[:1])
    return read_plan(plan_file(tmp_path))


@pytest.fixture
def ledger(plan: Plan) -> Iterator[Ledger]:
    """Row 1 has failed with one of its output rows there; people were asked."""
    with open_ledger(plan) as ledger:
        survey(plan, ledger)
        [item] = ledger.items([1])
        ledger.save([item], {1: {(1, "need"): filled()}}, Spent(cost_usd=0.5))
        ledger.give_up(item, "nothing of it is right")
        assert put_before_people(plan, ledger, open_reviews()) == 1
        yield ledger


@pytest.fixture
def reviews(ledger: Ledger) -> Reviews:
    """With what people were asked about row 1."""
    return open_reviews()


def filled(**more: Any) -> dict[str, Any]:
    return {**more, "finding": "do người viết", "mood": "xấu", "score": 1}


def now() -> datetime:
    return datetime.now(UTC)


def answer(reviews: Reviews, content: Any) -> None:
    """Approve what waits, as somebody changed it."""
    [review] = reviews.pending()
    seen = review.proposal.content_hash
    reviews.edit(review.proposal.review_id, by="mai", seen=seen, content=content, now=now())


def test_people_are_asked_once_for_what_is_missing_alone(plan: Plan, ledger: Ledger, reviews: Reviews) -> None:
    [review] = reviews.pending()
    asked = [(one["topic"], one["step"]) for one in review.proposal.content["answers"]]
    assert asked == [(1, "action"), (2, "need"), (2, "action")]
    assert review.proposal.content["why"] == "nothing of it is right"
    assert put_before_people(plan, ledger, reviews) == 0
    assert take_from_people(plan, ledger, reviews) == 0


def test_what_they_fill_in_is_theirs_and_what_was_there_stays(plan: Plan, ledger: Ledger, reviews: Reviews) -> None:
    [review] = reviews.pending()
    answer(reviews, {"answers": [{**one, **filled()} for one in review.proposal.content["answers"]]})
    assert take_from_people(plan, ledger, reviews) == 1
    [item] = ledger.items([1])
    origins: dict[Unit, str] = {unit: origin for unit, _, origin in ledger.answers(item)}
    assert origins == {(1, "need"): "model", (1, "action"): "person", (2, "need"): "person", (2, "action"): "person"}
    assert take_from_people(plan, ledger, reviews) == 0


def test_what_they_approve_without_filling_it_in_is_put_before_them_again(
    plan: Plan, ledger: Ledger, reviews: Reviews
) -> None:
    [review] = reviews.pending()
    reviews.approve(review.proposal.review_id, by="mai", seen=review.proposal.content_hash, now=now())
    assert take_from_people(plan, ledger, reviews) == 0
    [failed] = ledger.failed()
    assert "does not answer it" in failed.reason
    assert put_before_people(plan, ledger, reviews) == 1
    [again] = reviews.pending()
    assert again.proposal.review_id != review.proposal.review_id


@pytest.mark.parametrize("content", [None, "text", [], {"answers": "none"}, {"answers": [1, None]}])
def test_whatever_they_write_ends_nothing(plan: Plan, ledger: Ledger, reviews: Reviews, content: Any) -> None:
    answer(reviews, content)
    assert take_from_people(plan, ledger, reviews) == 0
    assert len(ledger.failed()) == 1


def test_the_same_wrong_content_twice_is_put_before_them_each_time(
    plan: Plan, ledger: Ledger, reviews: Reviews
) -> None:
    for _ in range(3):
        answer(reviews, {"answers": []})
        assert take_from_people(plan, ledger, reviews) == 0
        assert put_before_people(plan, ledger, reviews) == 1
        assert len(reviews.pending()) == 1


def test_what_they_reject_is_not_asked_again(plan: Plan, ledger: Ledger, reviews: Reviews) -> None:
    [review] = reviews.pending()
    reviews.reject(review.proposal.review_id, by="mai", reason="not worth it", now=now())
    assert take_from_people(plan, ledger, reviews) == 0
    assert (ledger.failed(), ledger.due(GROUPS[0])) == ([], [2])
    assert put_before_people(plan, ledger, reviews) == 0


def test_asking_again_withdraws_what_people_were_asked(plan: Plan, ledger: Ledger, reviews: Reviews) -> None:
    assert ask_again(ledger, reviews) == 1
    assert reviews.pending() == ()
    assert ledger.due(GROUPS[0]) == [1, 2]
    assert len(ledger.wanted(ledger.items([1])[0])) == 3


def test_what_they_have_answered_meanwhile_is_taken_and_not_asked_again(
    plan: Plan, ledger: Ledger, reviews: Reviews
) -> None:
    [review] = reviews.pending()
    answer(reviews, {"answers": [{**one, **filled()} for one in review.proposal.content["answers"]]})
    assert ask_again(ledger, reviews) == 0
    assert ledger.due(GROUPS[0]) == [2]
    assert take_from_people(plan, ledger, reviews) == 1


def test_a_process_that_dies_while_it_withdraws_has_the_row_asked_again_all_the_same(
    plan: Plan, ledger: Ledger, reviews: Reviews, monkeypatch: pytest.MonkeyPatch
) -> None:
    def died(*_: object, **__: object) -> None:
        raise RuntimeError("the process ends here")

    with monkeypatch.context() as dying:
        dying.setattr(ledger, "mark", died)
        with pytest.raises(RuntimeError):
            ask_again(ledger, reviews)
    assert take_from_people(plan, ledger, reviews) == 0
    assert ledger.due(GROUPS[0]) == [1, 2]


def test_what_they_left_until_its_time_was_over_is_asked_again_only_on_demand(
    plan: Plan, ledger: Ledger, reviews: Reviews
) -> None:
    assert len(reviews.sweep(now() + timedelta(days=STANDS_DAYS + 1))) == 1
    assert take_from_people(plan, ledger, reviews) == 0
    assert put_before_people(plan, ledger, reviews) == 0
    assert ledger.due(GROUPS[0]) == [2]
    assert ask_again(ledger, reviews) == 1
    assert ledger.due(GROUPS[0]) == [1, 2]


def test_a_proposal_that_is_gone_is_made_again(plan: Plan, ledger: Ledger, reviews: Reviews) -> None:
    ledger.mark(ledger.items([1])[0], review="0" * 16)
    assert take_from_people(plan, ledger, reviews) == 0
    assert put_before_people(plan, ledger, reviews) == 1
