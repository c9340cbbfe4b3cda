"""What a prompt from the network may do: put in its texts, and nothing that grows beyond them."""

import pytest

from tasks.llm.prompt_rules import BASES, prompt_problems
from tasks.llm.template import OURS, checked_template, list_templates, render


@pytest.mark.parametrize("template", list_templates(), ids=lambda template: template.name)
def test_ours_would_be_allowed(template: object) -> None:
    assert prompt_problems(template.prompt) == []  # type: ignore[attr-defined]


def test_the_bases_are_there() -> None:
    assert {path.name for path in (OURS / "_base").glob("*.jinja")} == set(BASES)


@pytest.mark.parametrize(
    "prompt",
    [
        "{{ transcript }}",
        "{% extends 'base.jinja' %}{% block rules %}{{ super() }}- Be short.{% endblock %}",
        "{% if language in ('vi', 'en') %}{{ transcript | trim }}{% else %}{{ transcript | upper }}{% endif %}",
        "{% set role = 'clerk' if language == 'en' else 'thư ký' %}{{ role }}: {{ transcript | default('-') }}",
        "{# a note #}{% raw %}{{ as it stands }}{% endraw %}{{ transcript }}",
    ],
)
def test_words_and_conditions_are_allowed(prompt: str) -> None:
    assert prompt_problems(prompt) == []


@pytest.mark.parametrize(
    "prompt",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ transcript['__class__'] }}",
        "{{ transcript | attr('__class__') }}",
        "{{ self.__init__.__globals__ }}",
        "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
        "{{ lipsum(n=10000000) }}",
        "{% include '/etc/passwd' %}",
        "{% import 'base.jinja' as base %}",
        "{% from 'base.jinja' import role %}",
        "{% extends '/etc/passwd' %}",
        "{% extends '../meeting_notes/prompt.jinja' %}",
        "{% extends language %}",
        "{% for i in range(10**9) %}x{% endfor %}",
        "{% for a in transcript %}{% for b in transcript %}{{ transcript }}{% endfor %}{% endfor %}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{{ 'x' * 10**10 }}",
        "{{ 10 ** 10 ** 10 }}",
        "{{ transcript ~ transcript }}",
        "{% set x %}{{ transcript }}{{ transcript }}{% endset %}",
        "{% set x = [transcript, transcript] %}{% set y = [x, x] %}{{ y }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ '{:>1000000000}'.format(1) }}",
        "{{ 'x' | center(1000000000) }}",
        "{{ transcript | replace('a', transcript) }}",
        "{{ transcript | tojson | tojson }}",
        "{% filter upper %}{{ transcript }}{% endfilter %}",
        "{% call super() %}{% endcall %}",
        "{{ super(*transcript) }}",
        "{{ transcript }}" * 65,
        "{% set a = transcript %}" * 40 + "{{ a }}" * 40,
        "{{ " + "(" * 30_000,
        "{{ " + "not " * 15_000 + "1 }}",
        "{% if a %}" * 2000 + "{% endif %}" * 2000,
        "{{ " + "9" * 5000 + " }}",
        "{{ 1 is divisibleby 0 }}",
        "{% if %}",
        "x" * 65_537,
    ],
    ids=range(37),
)
def test_all_else_is_refused_without_running_it(prompt: str) -> None:
    assert prompt_problems(prompt)


def test_the_largest_prompt_allowed_stays_in_proportion() -> None:
    transcript = "A line. " * 1000
    prompt = "{{ transcript }}" * 64
    parts = {"schema.json": b'{"type": "object"}', "prompt.jinja": prompt.encode(), "example.json": b"null"}
    assert len(render(checked_template("large", parts), transcript, "en")) == 64 * len(transcript)
