"""Templates in the store: whole or not there, tried in bounds, and found by the name they have."""

import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from blocks.errors import BadInput, Conflict, NotFound, StoreFailed
from blocks.store import open_store
from tasks.llm.stored_templates import Parts, delete_stored, read_stored, stored_names, write_stored
from tasks.llm.template import is_fixed, list_templates, load_template, render
from tasks.llm.template_trial import try_template

SCHEMA: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "string"}}}


def parts(schema: Any = SCHEMA, prompt: str = "Sum up: {{ transcript }}", example: Any = None) -> Parts:
    return {
        "schema.json": json.dumps(schema).encode(),
        "prompt.jinja": prompt.encode(),
        "example.json": json.dumps(example).encode(),
    }


def test_a_stored_template_is_found_after_ours() -> None:
    before = [template.name for template in list_templates()]
    write_stored("mine", parts(example={"a": "x"}), None)
    write_stored("meeting_notes", parts(), None)
    assert sorted([*before, "mine"]) == [template.name for template in list_templates()]
    assert load_template("mine").path is None
    assert load_template("mine").example == {"a": "x"}
    assert load_template("meeting_notes").path is not None
    assert is_fixed("meeting_notes") and not is_fixed("mine")
    assert render(load_template("mine"), "A line.", "en") == "Sum up: A line."


def test_another_content_is_another_template() -> None:
    write_stored("mine", parts(), None)
    first, (_, version) = load_template("mine").sha256, read_stored("mine") or ({}, "")
    write_stored("mine", parts(prompt="Other: {{ transcript }}"), version)
    assert load_template("mine").sha256 != first


def test_who_writes_on_an_old_version_is_told() -> None:
    write_stored("mine", parts(), None)
    with pytest.raises(Conflict):
        write_stored("mine", parts(), None)
    delete_stored("mine")
    delete_stored("mine")
    assert list(stored_names()) == []
    with pytest.raises(NotFound):
        load_template("mine")


def test_no_reader_sees_a_half_written_template() -> None:
    version = None
    write_stored("mine", parts(prompt="0 {{ transcript }}", example={"a": "0"}), version)
    done = threading.Event()

    def write() -> None:
        for number in range(1, 60):
            found = read_stored("mine")
            assert found
            write_stored("mine", parts(prompt=f"{number} {{{{ transcript }}}}", example={"a": str(number)}), found[1])
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    seen: set[str] = set()
    while not done.is_set():
        template = load_template("mine")
        assert template.prompt.split()[0] == template.example["a"]
        seen.add(template.example["a"])
    writer.join()
    assert len(seen) > 1


def test_a_prompt_that_came_into_the_store_by_another_way_is_refused_too() -> None:
    write_stored("mine", parts(prompt="{% for i in range(9) %}{{ transcript }}{% endfor %}"), None)
    with pytest.raises(BadInput, match="not allowed"):
        load_template("mine")


def test_what_is_no_template_is_said_to_be_damaged() -> None:
    open_store().put_bytes("templates/mine.json", b'{"schema.json": "{}"}')
    with pytest.raises(StoreFailed, match=r"templates/mine\.json"):
        load_template("mine")


@pytest.mark.parametrize("name", ["../mine", "a/b", ".", "mine.json"])
def test_names_lead_nowhere_else(name: str) -> None:
    with pytest.raises(NotFound):
        load_template(name)


def test_a_good_template_passes_its_trial() -> None:
    assert try_template("mine", parts(example={"a": "x"})) == []


DOUBLING = {f"d{i}": {"allOf": [{"$ref": f"#/$defs/d{i + 1}"}] * 2} for i in range(40)} | {"d40": {}}


@pytest.mark.parametrize(
    ("hostile", "named"),
    [
        (
            parts({**SCHEMA, "properties": {"a": {"pattern": "^(a+)+$"}}}, example={"a": "a" * 60 + "!"}),
            "to check",
        ),
        (parts({**SCHEMA, "$defs": DOUBLING, "allOf": [{"$ref": "#/$defs/d0"}]}, example={"a": "x"}), "to check"),
        (parts({**SCHEMA, "properties": {"a": {"$ref": "#/properties/a"}}}, example={"a": "x"}), "Recursion"),
        (parts({**SCHEMA, "properties": {"a": {"$ref": "#/nowhere"}}}, example={"a": "x"}), "nowhere"),
        (parts({**SCHEMA, "properties": {"a": {"$ref": "file:///etc/passwd"}}}), "leads out"),
        (parts(prompt='{{ "\\ud800" }}{{ transcript }}'), "cannot be rendered"),
        (parts({**SCHEMA, "description": "x" * 70_000}), "65536 bytes"),
        (parts({**SCHEMA, "x-language": ["en"]}, prompt="{{ nothing }}{{ transcript }}"), "nothing"),
    ],
    ids=["slow pattern", "doubling", "circle", "nowhere", "file", "no unicode", "large", "undefined"],
)
def test_what_would_do_harm_is_refused_in_bounded_time(hostile: Parts, named: str) -> None:
    problems = try_template("hostile", hostile)
    assert any(named in problem for problem in problems), problems


def test_the_trial_gets_no_secrets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    marker = tmp_path / "sitecustomize.py"
    marker.write_text(f"import json, os; json.dump(dict(os.environ), open({str(tmp_path / 'seen')!r}, 'w'))")
    monkeypatch.setenv("SECRET_API_KEY", "hidden")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ['PYTHONPATH']}")
    assert try_template("mine", parts()) == []
    assert "hidden" not in (tmp_path / "seen").read_text()
