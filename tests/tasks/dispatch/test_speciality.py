"""Specialities and evaluations: tables and answers that are checked."""

from pathlib import Path

import pytest

from blocks.accounts.structured import read
from blocks.errors import BadInput, NotFound
from tasks.dispatch.evaluate import checked_evaluation, criteria_of, is_better
from tasks.dispatch.plan import GENERAL, Plan
from tasks.dispatch.request import DispatchOptions, DispatchRequest
from tasks.dispatch.result import Evaluation, Score
from tasks.dispatch.speciality import ours, read_specialities


def test_ours_has_the_speciality_that_sub_tasks_have_by_default() -> None:
    assert GENERAL in ours()


def test_a_table_of_ones_own_adds_and_replaces_rows(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        "law: {description: Law, system: You know the law., tier: critical, model: judge}\n"
        "writing: {description: Verse, system: You write verse.}\n"
    )
    table = DispatchOptions(specialities=read_specialities(file)).table
    assert table["law"].model == "judge"
    assert table["writing"].description == "Verse"
    assert set(table) == {*ours(), "law"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("law: {system: x}", r"law\.description"),
        ("law: {description: x, system: y, tier: high}", r"law\.tier"),
        ("law: {description: x, sistem: y}", r"mine.yaml:1: law.sistem: .*did you mean system"),
        ("[", "it is no YAML"),
    ],
)
def test_a_table_that_is_wrong_is_refused(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(BadInput, match=says):
        read_specialities(file)
    with pytest.raises(NotFound):
        read_specialities(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"scores": [{"criterion": 1, "score": 1, "reason": ""}]}', "each criterion from 1 to 2 once"),
        ('{"scores": [{"criterion": 1, "score": 1.5, "reason": ""}]}', "less than or equal to 1"),
    ],
)
def test_an_evaluation_scores_each_criterion_once(text: str, says: str) -> None:
    assert says in read(text, checked_evaluation(2, ["a"]))[1][0]


def test_an_evaluation_names_sub_tasks_that_there_are() -> None:
    text = '{"scores": [{"criterion": 1, "score": 1, "reason": ""}], "improve": [{"task_id": "z", "what": "more"}]}'
    assert "improve names z" in read(text, checked_evaluation(1, ["a"]))[1][0]
    assert read(text.replace("z", "a"), checked_evaluation(1, ["a"]))[1] == ()


def evaluation(*scores: float) -> Evaluation:
    return Evaluation(scores=tuple(Score(criterion="c", score=score, reason="") for score in scores))


def test_a_round_must_gain_something() -> None:
    assert is_better(evaluation(0.5, 0.7), evaluation(0.5, 0.6))
    assert not is_better(evaluation(0.6), evaluation(0.6))
    assert not is_better(evaluation(0.5), evaluation(0.6))


def test_criteria_are_the_callers_else_the_plans_else_the_whole() -> None:
    plan = Plan(tasks=(), criteria=("P",))
    assert criteria_of(DispatchOptions(criteria=("C",)), plan) == ("C",)
    assert criteria_of(DispatchOptions(), plan) == ("P",)
    assert len(criteria_of(DispatchOptions(), Plan(tasks=()))) == 1


def test_bounds_do_not_make_another_request() -> None:
    def identity(**options: object) -> str:
        return DispatchRequest(text="Do it.", options=DispatchOptions.model_validate(options)).dispatch_id

    assert identity() == identity(deadline_s=5, budget_usd=1, labels=("team",), at_once=2, answer_within_s=60)
    assert len({identity(), identity(user="anna"), identity(rounds=3), identity(criteria=("x",))}) == 4
