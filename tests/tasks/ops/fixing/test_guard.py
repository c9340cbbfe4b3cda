"""What no fix may be: tests thinned out until they pass."""

import pytest

from tasks.ops.fixing.guard import faults
from tasks.ops.fixing.rules import Proposal

BEFORE = """\
import pytest
from shop.cart import total

EXPECTED = 3


@pytest.mark.parametrize("prices", [[1, 2], [3]])
def test_total(prices):
    result = total(prices)
    assert result == 3
    assert result == EXPECTED


def test_bad():
    with pytest.raises(ValueError):
        total(["x"])


class TestMore:
    def test_empty(self):
        assert total([]) == 0
"""

THINNED = {
    "a test gone": ("def test_bad():", "def check_bad():"),
    "a test of a class gone": ("    def test_empty(self):", "    def empty(self):"),
    "a case gone": ("[[1, 2], [3]]", "[[1, 2]]"),
    "a case changed": ("[[1, 2], [3]]", "[[1, 2], [1, 2]]"),
    "an assertion gone": ("    assert result == EXPECTED\n", ""),
    "another comparison": ("assert result == 3", "assert result >= 3"),
    "or true": ("assert result == 3", "assert result == 3 or True"),
    "always true": ("assert result == 3", "assert result == result"),
    "a tuple": ("assert result == 3", "assert (result == 3, 'no')"),
    "another value": ("assert result == 3", "assert result == 4"),
    "another input": ("assert total([]) == 0", "assert total([0]) == 0"),
    "another value by name": ("EXPECTED = 3", "EXPECTED = 4"),
    "another exception": ("raises(ValueError)", "raises(Exception)"),
    "a skip": ("def test_bad():", "@pytest.mark.skip\ndef test_bad():"),
    "an xfail": ("def test_bad():", "@pytest.mark.xfail(strict=False)\ndef test_bad():"),
    "a skip within": ("    result = total(prices)", "    pytest.skip('no')\n    result = total(prices)"),
    "a skip by another name": ("import pytest\n", "import pytest\nfrom pytest import skip as fine\n"),
    "a return": ("    result = total(prices)", "    return\n    result = total(prices)"),
    "an if": ("    assert result == EXPECTED", "    if result == 4:\n        assert result == EXPECTED"),
    "a try": (
        "    assert result == EXPECTED",
        "    try:\n        assert result == EXPECTED\n    except AssertionError: pass",
    ),
    "suppress": ("    assert result == 3", "    with suppress(AssertionError):\n        assert result == 3"),
    "an awaited failure": (
        "    assert result == 3",
        "    with pytest.raises(AssertionError):\n        assert result == 3",
    ),
    "a loop over nothing": ("    assert result == 3", "    for _ in ():\n        assert result == 3"),
    "a function that nobody calls": ("    assert result == 3", "    def check():\n        assert result == 3"),
    "a class that nobody makes": ("class TestMore:", "class TestMore:\n    def __init__(self): pass\n"),
    "an end of the process": ("import pytest\n", "import pytest, os\nos._exit(0)\n"),
    "a second test of the name": ("class TestMore:", "def test_bad():\n    pass\n\n\nclass TestMore:"),
    "not collected": ("class TestMore:", "class TestMore:\n    __test__ = False\n"),
    "no Python": ("class TestMore:", "class"),
}


@pytest.mark.parametrize("old, new", THINNED.values(), ids=THINNED)
@pytest.mark.parametrize("rule", ["model x", "expected-value"])
def test_what_is_thinned_out_is_refused(old: str, new: str, rule: str) -> None:
    assert BEFORE.count(old) == 1
    proposal = Proposal(rule, BEFORE.replace(old, new), "", explained=("7",))
    assert faults(BEFORE, proposal, ())


def test_what_is_as_strong_goes_through() -> None:
    more = BEFORE.replace("    assert result == 3\n", "    assert result == 3\n    assert result > 0\n")
    for text in (more.replace("> 0", "> EXPECTED"), BEFORE.replace("total(prices)", "total(prices, tax=1)")):
        assert faults(BEFORE, Proposal("model x", text, ""), ()) == []


def test_an_explained_value_goes_through_and_no_other() -> None:
    text = BEFORE.replace("== 0", "== 5")
    assert faults(BEFORE, Proposal("expected-value", text, "", explained=(5,)), ()) == []
    assert faults(BEFORE, Proposal("expected-value", text, "", explained=(6,)), ())
    assert faults(BEFORE, Proposal("model x", text, ""), ("expected",)) == []


def test_names_change_only_as_the_rule_says() -> None:
    text = BEFORE.replace("total", "sum_of").replace("test_sum_of", "test_total")
    inline = BEFORE.replace("total([]) == 0", "sum_of([]) == 0")
    assert faults(BEFORE, Proposal("renamed-symbol", text, "", renames={"total": "sum_of"}), ()) == []
    assert faults(BEFORE, Proposal("renamed-symbol", inline, ""), ())


def test_what_is_allowed_goes_through() -> None:
    text = BEFORE.replace("import pytest\n", "import pytest\npytest.importorskip('x')\n")
    assert faults(BEFORE, Proposal("optional-dependency", text, "", skips=True), ())
    assert faults(BEFORE, Proposal("optional-dependency", text, "", skips=True), ("skip",)) == []
