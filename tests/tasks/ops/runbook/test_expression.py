"""Conditions: what they mean, and what is refused before anything runs."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.errors import C500Error, TimedOut
from tasks.ops.runbook.expression import LONGEST_CHARS, Unevaluated, parse_expression
from tasks.ops.runbook.expression_types import Wrong

SCOPE = {"n": "int", "x": "number", "t": "text", "l": "list", "j": "json", "b": "bool", "p": "path"}
VALUES: dict[str, Any] = {
    "n": 81,
    "x": 81.5,
    "t": "abc",
    "l": ["a", "b"],
    "j": {"items": [{"code": 1, "share": 2.5}], "it's": None},
    "b": True,
    "p": "/var",
}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("n > 80", True),
        ("x > 81", True),
        ("n == 81.0", True),
        ("n + 0.5 == x", True),
        ("n / 2 == 40 && n % 2 == 1", True),
        ("t == 'abc' || b", True),
        ("!(t == 'abc')", False),
        ("t.startsWith('a') && t.endsWith('c') && t.contains('b')", True),
        ("t.matches('^a.c$')", True),
        ("size(l) == 2 && 'a' in l", True),
        ("l.exists(one, one == 'b')", True),
        ("l.filter(one, one != 'b') == ['a']", True),
        ("j.items[0].code == 1", True),
        ("j.items.all(one, one.share > 2)", True),
        ("has(j.nothing)", False),
        ("int('12') == 12 && string(n) == '81' && double(n) < x", True),
        ("n > 80 ? b : false", True),
        ("p == '/var'", True),
    ],
)
def test_an_expression_holds_or_not(text: str, *, holds: bool) -> None:
    expression = parse_expression(text)
    assert expression.type_in(SCOPE) == "bool"
    assert expression.evaluate(VALUES) is holds


@pytest.mark.parametrize(
    "text",
    [
        "t > 1",
        "t + 1 == 'x'",
        "nope",
        "t * 9 == t",
        "'%99d' % n == t",
        "t.matches(t)",
        "t.matches('(a')",
        "t.__class__ == t",
        "__import__('os')",
        "type(n) == int",
        "[1].reduce(a, b, 0, a + b) > 1",
        "{'a': 1} == j",
        "google.protobuf.Int32Value{value: 1} == 1",
        "l.map(a, l.map(c, l.map(d, d))) == l",
        "timestamp('2020-01-01T00:00:00Z') > n",
        "{{ n }} > 1",
        "(" * 300 + "n" + ")" * 300 + " > 1",
        "n > 1 " + "|| n > 1 " * LONGEST_CHARS,
        "n; n",
        "b and b",
        "",
    ],
)
def test_what_is_no_condition_here_is_refused(text: str) -> None:
    with pytest.raises(Wrong):
        parse_expression(text).type_in(SCOPE)


@pytest.mark.parametrize(
    "text", ["j.items > 1", "j.items * 1000000000 == l", "j.nope == 1", "1 / 0 == n", "j.items[9] == 1"]
)
def test_what_has_no_value_is_an_error_and_never_false(text: str) -> None:
    with pytest.raises(Unevaluated):
        parse_expression(text).evaluate(VALUES)


def test_an_expression_ends() -> None:
    with pytest.raises(TimedOut):
        parse_expression("l.all(a, l.all(c, a == a && c == c))").evaluate({"l": ["x"] * 2000})
    assert parse_expression("t.matches('^(a+)+$')").evaluate({"t": "a" * 50_000 + "!"}) is False


@given(text=st.text(max_size=40))
def test_a_value_is_never_read_as_an_expression(text: str) -> None:
    for given_ in (text, f"' || true || '{text}", f'" + t + "{text}'):
        assert parse_expression("t == 'no' && t != t").evaluate({"t": given_}) is False


@given(text=st.text(alphabet="nxtljb0123456789 .()[]{}'\"+-*/%<>=!&|?:,_\\", max_size=60))
def test_any_text_is_an_expression_or_a_typed_fault(text: str) -> None:
    with suppress(Wrong, C500Error, KeyError):
        parse_expression(text).evaluate(VALUES | dict.fromkeys("abcdefghijkmoqrsuvwyz_", 0))
