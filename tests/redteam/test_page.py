"""The cases are enough, and the page of the docs tells of all of them."""

from collections import Counter

from tests.redteam import handing, reviewing, teams
from tests.redteam.case import RunCase, TeamCase, categories
from tests.redteam.page import PAGE, page
from tests.redteam.people import FORGERIES

CASES = [case for category in categories() for case in category.cases]
WANTED = {
    *("Instructions in logs", "Instructions and tricks in file names", "Instructions in web pages"),
    *("Instructions in what tools give back", "Instructions in memory", "Instructions in alert labels"),
    *("Secrets read aloud", "Ways out of the workspace", "Argument injection", "Shell metacharacters"),
    *("Unicode look-alikes", "Approvals", "Loops in disguise", "Budget races", "Clock jumps", "Sandbox escapes"),
    *("The audit itself", "Teams", "The governor", "Hand-off and hand-back", "The review queue", "Memory of others"),
}


def test_the_page_tells_of_the_cases_as_they_are() -> None:
    content = PAGE.read_text(encoding="utf-8")
    assert content == page(content), "run `python -m tests.redteam.page`"


def test_there_are_cases_of_every_kind() -> None:
    assert {category.category for category in categories()} == WANTED
    assert len(CASES) >= 200
    assert all(len(category.cases) >= 4 for category in categories())
    assert max(Counter(case.id for case in CASES).values()) == 1


def test_no_forgery_is_left_untried() -> None:
    runs = [case for case in CASES if isinstance(case, RunCase)]
    assert {case.forgery for case in runs} - {None} == set(FORGERIES)
    assert {case.review_forgery for case in runs} - {None} == set(reviewing.FORGERIES)
    assert {one.forgery for case in runs for one in case.handed} - {None} == set(handing.FORGERIES)
    assert {case.poison for case in runs if isinstance(case, TeamCase)} - {None} == set(teams.POISONS)
