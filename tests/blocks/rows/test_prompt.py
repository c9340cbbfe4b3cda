"""Prompts put a row's values in; they reach nothing else, and a missing column is told before anything is spent."""

import tracemalloc

import pytest

from blocks.errors import BadInput
from blocks.rows.prompt import LONGEST_PROMPT, Prompt
from blocks.rows.row import Row

ROW = {"text": "Good", "Review text": "Bad", "items": [{"n": 1}, {"n": 2}], "who": {"name": "Mai"}}
ROW |= {"pairs": [["a", 1], ["b", 2]], "tags": ["b", "a", "b"]}


@pytest.mark.parametrize(
    ("template", "prompt"),
    [
        ("Judge: {{ text }}", "Judge: Good"),
        ('{{ row["Review text"] }}', "Bad"),
        ("{{ who.name }} {{ text | upper }}", "Mai GOOD"),
        ("{% for one in items %}{{ loop.index }}:{{ one.n }} {% endfor %}", "1:1 2:2"),
        ("{% if text == 'Good' %}yes{% else %}no{% endif %}", "yes"),
        ("{{ missing | default('-') }}{{ text }}", "-Good"),
        ("{{ items | tojson }}", '[{"n": 1}, {"n": 2}]'),
        ("{% set one = text %}{{ one }}", "Good"),
        ("{{ ['a', 'b'] | join(', ') }}", "a, b"),
        ("{{ items | join('+', 'n') }}", "1+2"),
        ("{% for name, value in pairs %}{{ name }}={{ value }};{% endfor %}", "a=1;b=2;"),
        ("{% if text in ('Good', 'Bad') %}{{ text | truncate(3, true, '', 0) }}{% endif %}", "Goo"),
        ("{{ tags | sort | unique | join('/') }}", "a/b"),
    ],
)
def test_values_are_put_in(template: str, prompt: str) -> None:
    assert Prompt(template).render(ROW, 1) == prompt


def test_an_empty_cell_of_whatever_table_puts_nothing_in() -> None:
    row: Row = {"a": None, "rows": [{"b": None}]}
    assert Prompt("[{{ a }}{% for one in rows %}{{ one.b }}{{ one['b'] }}{% endfor %}]").render(row, 1) == "[]"
    assert Prompt("{{ a | tojson }} {% if a is none %}none{% endif %}").render(row, 1) == "null none"


def test_a_column_named_like_a_method_is_its_value() -> None:
    assert Prompt("{{ row.items }} {{ who.keys }}").render({"items": "i", "who": {"keys": "k"}}, 1) == "i k"


@pytest.mark.parametrize(
    ("template", "named"),
    [("{{ body }}", "'body' is undefined"), ("{{ row.body }}", "body"), ("{{ who.age }}", "age")],
)
def test_a_missing_column_is_told_with_its_row(template: str, named: str) -> None:
    with pytest.raises(BadInput, match=named) as told:
        Prompt(template).render(ROW, 7)
    assert told.value.details["row"] == 7
    assert "row 7" in told.value.message
    assert "Review text" in told.value.message  # what there is


@pytest.mark.parametrize(
    "template",
    [
        "{{ text.__class__ }}{{ ''.join(text) }}",
        "{{ range(10) }}",
        "{{ text * 1000000 }}",
        "{{ 9 ** 9 }}",
        "{{ text ~ text }}",
        "{% include 'x' %}",
        "{% extends 'x' %}",
        "{% import 'x' as x %}",
        "{% macro m() %}{% endmacro %}",
        "{{ text | map('upper') }}",
        "{{ items | tojson(indent=9999999) }}",
        "{{ text | center(99999999) }}",
        "{% for a in items recursive %}{{ a }}{% endfor %}",
        "{% for a in items %}{% for b in items %}{% for c in items %}{{ c }}{% endfor %}{% endfor %}{% endfor %}",
        "{{ text is callable }}",
        "{{ [text, text] | join }}",
        "{% set a = (text, text) %}",
        "{% for a in items %}",
        "{{ text",
        "   ",
        "{{" + "(" * 200 + "text" + ")" * 200 + "}}" + "{% if text %}" * 40 + "{% endif %}" * 40,
        "x" * 300_000,
    ],
)
def test_what_a_prompt_may_not_do_is_refused_before_it_runs(template: str) -> None:
    with pytest.raises(BadInput, match="the prompt"):
        Prompt(template)


def test_python_is_out_of_reach() -> None:
    with pytest.raises(BadInput, match="row 1"):
        Prompt("{{ text.__class__.__mro__ }}").render(ROW, 1)


MANY = "[" + "''," * 60 + "]"


@pytest.mark.parametrize(
    "template",
    [
        f"{{{{ {MANY}|join({MANY}|join({MANY}|join({MANY}|join({MANY}|join('x'))))) }}}}",
        "{% set a = 'x' %}" + "{% set a = tags | join(a) %}{% set a = tags | join(a) %}" * 20,
        "{% set a = '<' %}" + "{% set a = a | tojson %}" * 60,
    ],
)
def test_what_filters_make_cannot_fill_the_memory(template: str) -> None:
    prompt = Prompt(template)
    tracemalloc.start()
    try:
        with pytest.raises(BadInput, match=f"over {LONGEST_PROMPT} characters"):
            prompt.render(ROW, 1)
        assert tracemalloc.get_traced_memory()[1] < 6 * LONGEST_PROMPT
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("template", "told"),
    [
        ("{{ text | truncate(2) }}", "AssertionError"),
        ("{{ text | sort }}", "sort takes a list"),
        ("{{ text | unique | first }}", "unique takes a list"),
        ("{{ text | join(', ') }}", "join takes a list"),
    ],
)
def test_a_filter_that_does_not_take_the_value_is_told(template: str, told: str) -> None:
    with pytest.raises(BadInput, match=f"row 1: .*{told}"):
        Prompt(template).render(ROW, 1)


def test_a_prompt_cannot_grow_without_end() -> None:
    rows = {"items": ["x" * 1000] * 1000}
    with pytest.raises(BadInput, match=f"over {LONGEST_PROMPT} characters"):
        Prompt("{% for a in items %}{% for b in items %}{{ b }}{% endfor %}{% endfor %}").render(rows, 1)
