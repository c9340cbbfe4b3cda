"""JSON in answers of models."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest

from blocks.language.validation import json_in, problems_of, schema_problems


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1}',
        'Here:\n```json\n{"a": 1}\n```\nDone.',
        'Certainly! {"a": 1} is it.',
        'A set {x} first, then {"a": 1}',
        '<think>Perhaps {"a": 2}?</think>\n{"a": 1}',
    ],
)
def test_the_object_is_found(text: str) -> None:
    assert json_in(text) == {"a": 1}


@pytest.mark.parametrize("text", ["", "no", "[1, 2]", '{"a": ', "null", "[" * 100_000])
def test_without_an_object_there_is_none(text: str) -> None:
    assert json_in(text) is None


def test_problems_name_the_place_and_are_few() -> None:
    schema = {"type": "object", "properties": {"tags": {"type": "array", "items": {"type": "string"}}}}
    problems = problems_of({"tags": list(range(9))}, schema)
    assert len(problems) == 5
    assert problems[0].startswith("tags.0: ")
    assert problems_of({"tags": []}, schema) == []


@pytest.mark.parametrize(
    "text",
    [
        '{"a": NaN}',
        'So: {"a": -Infinity, "b": {"a": 1}}',
        '{"a": 1e999}',
        '{"a": ' * 5000 + '{"a": 1}' + "}" * 5000,
    ],
    ids=["not a number", "infinity", "too large", "too deep"],
)
def test_what_cannot_be_written_again_as_it_was_read_is_no_answer_nor_is_a_part_of_it(text: str) -> None:
    assert json_in(text) is None


@pytest.fixture
def asked_for() -> Iterator[tuple[str, list[str]]]:
    """A server's URL, and the paths that it is asked for."""
    paths: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", paths
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("place", ["root", "property"])
def test_no_reference_is_fetched(asked_for: tuple[str, list[str]], place: str) -> None:
    url, paths = asked_for
    part = {"$ref": f"{url}/secret"}
    schema = {"type": "object", **(part if place == "root" else {"properties": {"a": part}})}
    assert schema_problems(schema) == [f"leads out of itself, to {url}/secret"]
    [problem] = problems_of({"a": 1}, schema)
    assert "cannot be held against the schema" in problem
    assert paths == []


ITSELF = {"$ref": "#/$defs/a"}


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        ({"type": "array"}, "is not of type object"),
        ({"type": "object", "properties": {"a": {"type": "text"}}}, "is no JSON Schema: "),
        ({"type": "object", "properties": {"a": {"$ref": "#/$defs/b"}}}, "leads into nothing, to #/$defs/b"),
        ({"type": "object", "properties": {"a": {"$ref": "#/type"}}}, "leads into nothing, to #/type"),
        ({"type": "object", "properties": {"a": {"$ref": "#b"}}}, "leads into nothing, to #b"),
        ({"type": "object", **ITSELF, "$defs": {"a": ITSELF}}, "cannot be used: RecursionError"),
    ],
)
def test_a_schema_that_cannot_be_used_is_told_why(schema: dict[str, Any], problem: str) -> None:
    [told] = schema_problems(schema)
    assert told.startswith(problem)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": {"$ref": "#/$defs/b"}}, "$defs": {"b": {"items": {"$ref": "#"}}}},
        {"type": "object", "properties": {"a": {"enum": [{"$ref": "#/nowhere"}]}}},
        {"type": "object", "properties": {"a": {"$id": "urn:a", "$ref": "#/$defs/b", "$defs": {"b": True}}}},
        {
            "type": "object",
            "$schema": "http://json-schema.org/draft-07/schema#",
            "properties": {"a": {"$ref": "#/definitions/b"}},
            "definitions": {"b": {}},
        },
        {"type": "object", "$schema": "urn:of-nobody"},
    ],
    ids=["references", "data", "embedded", "draft 7", "unknown draft"],
)
def test_a_schema_that_can_be_used_has_no_problems(schema: dict[str, Any]) -> None:
    assert schema_problems(schema) == []
    assert problems_of({}, schema) == []


def test_a_schema_that_turns_in_circles_at_an_answer_is_a_problem_of_the_answer() -> None:
    [problem] = problems_of({"a": 1}, {"type": "object", "properties": {"a": ITSELF}, "$defs": {"a": ITSELF}})
    assert problem.startswith("answer: cannot be held against the schema: RecursionError")
