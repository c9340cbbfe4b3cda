"""What a simulated model says: by schema, rule or script; latencies as they were asked for."""

import json
import statistics
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from blocks.errors import BadInput
from deployments.docs import ROOT
from deployments.simulator.asked import Asked, tokens_in
from deployments.simulator.behaviour import FAULTS, MIXED, Behaviour, Latency, parse_faults, parse_latency
from deployments.simulator.chance import Luck, fingerprint, normal
from deployments.simulator.instance import instance
from tasks.dispatch.plan import Plan
from tasks.llm.template import list_templates
from tests.deployments.simulator.calling import SAID, chat
from tests.deployments.simulator.conftest import Serve

TREE = {
    "$ref": "#/$defs/node",
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "name": {"type": "string", "maxLength": 5},
                "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
                "parent": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
            },
            "required": ["name"],
        }
    },
}
MIXTURE = {
    "type": "object",
    "properties": {
        "kind": {"enum": ["call", "mail"]},
        "fixed": {"const": 3},
        "when": {"type": "string", "format": "date-time"},
        "share": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
        "count": {"type": "integer", "minimum": 3, "multipleOf": 5},
        "below": {"type": "integer", "maximum": -2},
        "tags": {"type": "array", "items": {"type": "string"}, "minItems": 3, "uniqueItems": True},
        "pair": {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "boolean"}], "items": False},
        "maybe": {"type": ["null", "string"], "minLength": 200},
        "both": {"allOf": [{"properties": {"a": {"type": "integer"}}, "required": ["a"]}, {"required": ["b"]}]},
        "one": {"oneOf": [{"type": "string"}, {"type": "integer"}]},
    },
    "required": ["kind", "fixed", "unnamed"],
    "additionalProperties": True,
}
SCALARS = st.sampled_from(
    [
        {"type": "string"},
        {"type": "string", "minLength": 90, "maxLength": 120},
        {"type": "integer", "minimum": 7},
        {"type": "number", "maximum": -1.5},
        {"type": "boolean"},
        {"type": "null"},
        {"enum": [None, 1]},
        {"type": ["string", "null"], "maxLength": 3},
        {"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]{0,39}$"},
        {"type": "string", "pattern": r"^\d{4}-\d\d-\d\d$"},
        {"type": "integer", "default": 5},
    ]
)
SCHEMAS = st.recursive(
    SCALARS,
    lambda parts: (
        st.builds(lambda items, least: {"type": "array", "items": items, "minItems": least}, parts, st.integers(0, 3))
        | st.dictionaries(st.sampled_from("abcd"), parts, max_size=4).map(
            lambda names: {
                "type": "object",
                "properties": names,
                "required": list(names),
                "additionalProperties": False,
            }
        )
        | st.lists(parts, min_size=1, max_size=3).map(lambda options: {"anyOf": options})
    ),
    max_leaves=12,
)


@pytest.mark.parametrize("schema", [TREE, MIXTURE, *(template.schema_ for template in list_templates())])
def test_an_instance_satisfies_its_schema(schema: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator(schema).validate(instance(schema, SAID))


def test_the_plan_of_a_request_that_no_rule_scripts_can_be_carried_out() -> None:
    made = Plan.model_validate(instance(Plan.model_json_schema(), "Compare our three suppliers."))
    assert [(task.id, task.depends_on) for task in made.tasks] == [("compare-our-three-suppliers", ())]


@settings(deadline=None)
@given(SCHEMAS, st.text(max_size=200))
def test_instances_of_any_schema_satisfy_it(schema: dict[str, Any], text: str) -> None:
    made = instance(schema, text)
    jsonschema.Draft202012Validator(schema).validate(made)
    assert instance(schema, text) == made


def answer(serve: Serve, said: str = SAID, **behaviour: Any) -> str:
    return chat(serve(**behaviour), said=said).json()["choices"][0]["message"]["content"]


def test_rules_answer_what_they_find(serve: Serve) -> None:
    rules = [
        {"pattern": r"plan for (\w+)", "answer": {"steps": ["one", "two"]}},
        {"pattern": r"hello (\w+)", "answer": r"Good morning, \1."},
        {"pattern": "look up", "tool": "find", "answer": '{"name": "Ann"}'},
    ]
    simulator = serve(rules=rules)
    assert json.loads(chat(simulator, said="a plan for tea").json()["choices"][0]["message"]["content"]) == {
        "steps": ["one", "two"]
    }
    assert chat(simulator, said="say hello Ann").json()["choices"][0]["message"]["content"] == "Good morning, Ann."
    [call] = chat(simulator, said="look up").json()["choices"][0]["message"]["tool_calls"]
    assert call["function"] == {"name": "find", "arguments": '{"name": "Ann"}'}
    assert chat(simulator).json()["choices"][0]["message"]["content"] == SAID


def shout(asked: Asked) -> str | dict[str, str] | None:
    """A script: answers some requests, and leaves the others."""
    if "json" in asked.prompt:
        return {"said": asked.last}
    return asked.last.upper() if asked.model == "small" and "quiet" not in asked.prompt else None


@pytest.mark.parametrize("script", [shout, f"{__name__}.shout"])
def test_a_script_answers_first(serve: Serve, script: Any) -> None:
    simulator = serve(script=script)
    said = [chat(simulator, said=text).json()["choices"][0]["message"]["content"] for text in ("a", "quiet", "json")]
    assert said == ["A", "quiet", '{"said":"json"}']


@pytest.mark.parametrize("said", ["Grüße, 東京! ", "a", ""])
def test_answers_have_the_length_asked_for(serve: Serve, said: str) -> None:
    made = answer(serve, said=said, answer_tokens=30)
    assert 28 <= tokens_in(made) <= 30
    simulator = serve(answer_tokens=(10, 20))
    lengths = {chat(simulator, said=f"row {row}").json()["usage"]["completion_tokens"] for row in range(60)}
    assert lengths == set(range(10, 21))


def test_tokens_are_a_quarter_of_the_bytes() -> None:
    assert [tokens_in(text) for text in ("", "a", "abcd", "abcde", "東京")] == [0, 1, 1, 2, 2]


def test_json_mode_without_a_schema_is_json(serve: Serve) -> None:
    got = chat(serve(), response_format={"type": "json_object"}).json()["choices"][0]["message"]["content"]
    assert json.loads(got) == {"echo": SAID}


@pytest.mark.parametrize(("mean_ms", "p95_ms"), [(312, 487), (1247, 1892), (3456, 4821)])
def test_latencies_have_the_mean_and_p95_asked_for(mean_ms: float, p95_ms: float) -> None:
    latency = Latency(kind="lognormal", mean_ms=mean_ms, p95_ms=p95_ms)
    name = fingerprint("small", SAID)
    drawn = [latency.seconds(normal(Luck(1, name, attempt).latency)) * 1000 for attempt in range(40_000)]
    assert statistics.mean(drawn) == pytest.approx(mean_ms, rel=0.01)
    assert statistics.quantiles(drawn, n=20)[-1] == pytest.approx(p95_ms, rel=0.01)


def test_what_cannot_be_is_refused() -> None:
    wrong: list[dict[str, Any]] = [
        {"latency": {"kind": "lognormal", "mean_ms": 100, "p95_ms": 90}},
        {"latency": {"kind": "lognormal", "mean_ms": 100, "p95_ms": 400}},
        {"faults": {"error": 0.6, "empty": 0.6}},
        {"faults": {"unknown": 0.1}},
        {"rules": [{"pattern": "("}]},
        {"window_s": 0},
    ]
    for fields in wrong:
        with pytest.raises(ValidationError):
            Behaviour.model_validate(fields)
        with pytest.raises(ValidationError):
            Behaviour(seed=3).changed(fields)
    assert Behaviour(seed=3, slow_s=1).changed({"slow_s": 2}) == Behaviour(seed=3, slow_s=2)


def test_options_are_read_or_refused_with_a_fix() -> None:
    assert parse_latency("fixed:50") == Latency(mean_ms=50)
    assert parse_latency("lognormal:312:487") == Latency(kind="lognormal", mean_ms=312, p95_ms=487)
    assert parse_faults("error:0.1, hang:0.01") == {"error": 0.1, "hang": 0.01}
    mixed = parse_faults("0.3")
    assert (set(mixed), sum(mixed.values())) == (set(MIXED), pytest.approx(0.3))
    for parse, wrong in (
        (parse_latency, "50"),
        (parse_latency, "fixed:fast"),
        (parse_latency, "lognormal:312"),
        (parse_latency, "lognormal:100:900"),
        (parse_latency, "normal:1:2"),
        (parse_faults, "many"),
        (parse_faults, "1.5"),
        (parse_faults, "error:2"),
        (parse_faults, "nonsense:0.1"),
    ):
        with pytest.raises(BadInput) as refused:
            parse(wrong)
        assert wrong in refused.value.message


def test_the_page_names_every_fault_and_field() -> None:
    page = (ROOT / "docs" / "simulator.md").read_text(encoding="utf-8")
    assert not [name for name in (*FAULTS, *Behaviour.model_fields) if f"`{name}`" not in page]
