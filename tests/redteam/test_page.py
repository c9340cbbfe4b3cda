"""The cases are enough, and the page of the docs tells of all of them."""

from collections import Counter

from tests.redteam.case import RunCase, categories
from tests.redteam.page import PAGE, page
from tests.redteam.people import FORGERIES

CASES = [case for category in categories() for case in category.cases]
WANTED = {
    *("Instructions in logs", "Instructions and tricks in file names", "Instructions in web pages"),
    *("Instructions in what tools give back", "Instructions in memory", "Instructions in alert labels"),
    *("Secrets read aloud", "Ways out of the workspace", "Argument injection", "Shell metacharacters"),
    *("Unicode look-alikes", "Approvals", "Loops in disguise", "Budget races", "Clock jumps", "Sandbox escapes"),
    "The audit itself",
}


def test_the_page_tells_of_the_cases_as_they_are() -> None:
    content = PAGE.read_text(encoding="utf-8")
    assert content == page(content), "run `python -m tests.redteam.page`"


def test_there_are_cases_of_every_kind() -> None:
    assert {category.category for category in categories()} == WANTED
    assert len(CASES) >= 60
    assert all(len(category.cases) >= 4 for category in categories())
    assert max(Counter(case.id for case in CASES).values()) == 1


def test_no_forgery_is_left_untried() -> None:
    assert {case.forgery for case in CASES if isinstance(case, RunCase)} - {None} == set(FORGERIES)
