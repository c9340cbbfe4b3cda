"""Templates over HTTP: added, changed, removed; what could harm is refused in good time."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from blocks.keys import KeyRing
from blocks.settings import settings
from blocks.store import LocalFiles
from tasks.llm.template import list_templates, load_template, render
from tests.deployments.gateway.gateways import Gateway
from tests.deployments.gateway.working import stored_gateway

SCHEMA = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "title": "Biên bản",
    "description": "Biên bản ngắn.",
    "type": "object",
    "properties": {"tóm_tắt": {"type": "string", "maxLength": 500}},
    "required": ["tóm_tắt"],
    "additionalProperties": False,
}
PROMPT = '{% extends "base_vi.jinja" %}{% block role %}Bạn ghi biên bản.{% endblock %}'
EXAMPLE = {"tóm_tắt": "Một câu."}


@pytest.fixture(scope="module")
def server(running_prefect_server: str, store_path: Path) -> Iterator[Gateway]:
    with stored_gateway(running_prefect_server, store_path) as running:
        yield running


@pytest.fixture
def client(server: Gateway, store_path: Path) -> Iterator[httpx.Client]:
    with server.client() as opened:
        yield opened
        for key in list(LocalFiles(store_path).list("templates/")):
            LocalFiles(store_path).delete(key)


def new(**changed: Any) -> dict[str, Any]:
    whole = {"id": "bien_ban", "schema_data": SCHEMA, "prompt_template": PROMPT, "example": EXAMPLE} | changed
    return {name: value for name, value in whole.items() if value is not ...}


def error(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.json()["error"]


def test_ours_are_listed_with_an_address_of_their_schema(client: httpx.Client) -> None:
    listed = {one["id"]: one for one in client.get("/v1/templates").json()["templates"]}
    assert {"meeting_notes", "call_summary_vi"} <= listed.keys()
    for one in listed.values():
        assert {"id", "name", "description", "schema_url", "parameters", "example"} == one.keys()
        schema = client.get(one["schema_url"])
        assert schema.headers["content-type"] == "application/schema+json"
        assert schema.json()["type"] == "object"


def test_an_added_template_is_there_for_flows_and_can_be_changed_and_removed(
    client: httpx.Client, store_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDIO_DIR", str(store_path))
    settings.cache_clear()
    added = client.post("/v1/templates", json=new())
    assert added.status_code == 201, added.text
    assert added.json() == client.get("/v1/templates/bien_ban").json()
    assert added.json()["schema_data"] == SCHEMA
    assert added.json()["prompt_template"] == PROMPT
    assert added.json()["example"] == EXAMPLE
    assert added.json()["name"] == "Biên bản"
    assert "bien_ban" in {template.name for template in list_templates()}
    assert "Bạn ghi biên bản." in render(load_template("bien_ban"), "Xin chào.", "vi")

    prompt = PROMPT.replace("ghi", "viết")
    changed = client.put("/v1/templates/bien_ban", json={"prompt_template": prompt})
    assert changed.status_code == 200, changed.text
    assert changed.json() == {**added.json(), "prompt_template": prompt}

    removed = client.delete("/v1/templates/bien_ban")
    assert (removed.status_code, removed.content) == (200, b"")
    assert error(client.get("/v1/templates/bien_ban"), 404)["code"] == "TEMPLATE_NOT_FOUND"
    assert client.delete("/v1/templates/bien_ban").status_code == 404


LOOPING = {"schema.json": json.dumps(SCHEMA), "prompt.jinja": "{% for i in x %}{% endfor %}", "example.json": "null"}


@pytest.mark.parametrize("broken", [json.dumps(LOOPING), "no JSON", "{}"], ids=["rules", "no JSON", "parts"])
def test_a_broken_template_hides_no_other_and_can_be_replaced_and_removed(
    client: httpx.Client, store_path: Path, broken: str
) -> None:
    def damage() -> None:
        LocalFiles(store_path).put_bytes("templates/bien_ban.json", broken.encode())

    damage()
    listed = {one["id"] for one in client.get("/v1/templates").json()["templates"]}
    assert "meeting_notes" in listed and "bien_ban" not in listed
    assert client.post("/v1/templates", json=new()).status_code == 409
    assert client.put("/v1/templates/bien_ban", json=new()).status_code == 200
    assert client.get("/v1/templates/bien_ban").status_code == 200
    damage()
    assert client.delete("/v1/templates/bien_ban").status_code == 200
    assert client.delete("/v1/templates/bien_ban").status_code == 404


def test_an_example_may_be_left_out(client: httpx.Client) -> None:
    assert client.post("/v1/templates", json=new(example=...)).json()["example"] is None


def test_ours_stay_as_they_are(client: httpx.Client) -> None:
    assert error(client.post("/v1/templates", json=new(id="meeting_notes")), 409)["code"] == "CONFLICT"
    assert error(client.put("/v1/templates/meeting_notes", json={"example": {}}), 403)["code"] == "NOT_ALLOWED"
    assert error(client.delete("/v1/templates/meeting_notes"), 403)["code"] == "NOT_ALLOWED"


def test_one_name_is_one_template(client: httpx.Client) -> None:
    assert client.post("/v1/templates", json=new()).status_code == 201
    error(client.post("/v1/templates", json=new()), 409)
    error(client.put("/v1/templates/bien_ban", json={"id": "other"}), 422)
    error(client.put("/v1/templates/other", json={}), 404)


def test_writing_needs_an_administrator(server: Gateway, client: httpx.Client, store_path: Path) -> None:
    secret, _ = KeyRing(LocalFiles(store_path)).create("reader", ["submit", "read"])
    with server.client(secret) as reader:
        answers = [reader.get("/v1/templates").status_code for _ in range(50)]
        assert answers[-1] == 200
        assert reader.post("/v1/templates", json=new()).status_code == 403
        assert reader.put("/v1/templates/x", json={}).status_code == 403
        assert reader.delete("/v1/templates/x").status_code == 403


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": "a b"}, {"id": "../x"}, {"id": ""}, {"id": "x" * 65}, {"id": ...}, {"unknown": 1}, {"id": "tên"},
        {"schema_data": "x"}, {"schema_data": ...}, {"prompt_template": ""}, {"prompt_template": "x" * 70_000},
        {"example": [1]},
    ],
)  # fmt: skip
def test_wrong_fields_are_refused(client: httpx.Client, wrong: dict[str, Any]) -> None:
    assert error(client.post("/v1/templates", json=new(**wrong)), 422)["code"] == "VALIDATION_ERROR"


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"schema_data": {"type": "nothing"}}, "schema"),
        ({"schema_data": {"type": "string"}}, "object"),
        ({"example": {"tóm_tắt": 3}}, "example"),
        ({"prompt_template": "no text"}, "transcript"),
        ({"prompt_template": "{{ unknown }}{{ transcript }}"}, "unknown"),
        ({"prompt_template": "{% if %}"}, "prompt"),
        ({"prompt_template": "{{ ''.__class__.__mro__[1].__subclasses__() }}"}, "not allowed"),
        ({"prompt_template": "{% include '/etc/passwd' %}{{ transcript }}"}, "not allowed"),
        ({"prompt_template": "{% extends '../meeting_notes/prompt.jinja' %}"}, "base.jinja"),
        ({"prompt_template": "{% for i in range(10**9) %}x{% endfor %}{{ transcript }}"}, "not allowed"),
        ({"prompt_template": "{{ 'x' * 10**10 }}{{ transcript }}"}, "not allowed"),
        ({"schema_data": {"type": "object", "properties": {"a": {"$ref": "http://127.0.0.1/x"}}}}, "leads out"),
    ],
)
def test_what_is_wrong_with_a_template_is_named(client: httpx.Client, wrong: dict[str, Any], named: str) -> None:
    refused = error(client.post("/v1/templates", json=new(**wrong)), 422)
    assert named in json.dumps(refused, ensure_ascii=False)
    assert client.get("/v1/templates/bien_ban").status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"null", b"[]", b'{"id": "\\ud800"}', b"\xff", b'{"schema_data": ' + b'{"a":' * 30_000,
        b'{"id":"x","prompt_template":"{{ transcript }}","schema_data":' + b'{"a":' * 9_000 + b"1" + b"}" * 9_001,
    ],
)  # fmt: skip
def test_bodies_that_are_no_templates_are_refused(client: httpx.Client, body: bytes) -> None:
    answer = client.post("/v1/templates", content=body, headers={"Content-Type": "application/json"})
    assert error(answer, 422)["code"] == "VALIDATION_ERROR"


def test_a_body_that_is_too_large_is_refused(client: httpx.Client) -> None:
    error(client.post("/v1/templates", json=new(example={"tóm_tắt": "x" * 1_000_000})), 413)
