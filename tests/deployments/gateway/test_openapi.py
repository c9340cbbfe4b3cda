"""The OpenAPI document, and the page that shows it on a machine without the internet."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import RequestFactory, TestClient
from playwright.sync_api import sync_playwright

from deployments.gateway.web.openapi import ReferenceDocument, ReferencePage
from tests.deployments.gateway.gateways import Gateway
from tests.deployments.gateway.working import stored_gateway

IN_OPENAIS_FORM = {"/v1/chat/completions"}
OPEN = {"/health", "/health/live", "/health/ready", "/metrics"}


@pytest.fixture(scope="module")
def server(running_prefect_server: str, store_path: Path) -> Iterator[Gateway]:
    with stored_gateway(running_prefect_server, store_path) as running:
        yield running


@pytest.fixture(scope="module")
def document(server: Gateway) -> dict[str, Any]:
    with server.client("") as client:
        return client.get("/docs/openapi.json").json()


def calls(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method in ("get", "post", "put", "delete"):
            if method in item:
                yield path, method, item[method]


def test_every_call_of_the_reference_is_described(document: dict[str, Any]) -> None:
    described = {(method, path) for path, method, _ in calls(document)}
    assert {
        ("post", "/v1/process"), ("post", "/v1/process_text"), ("get", "/v1/status/{task_id}"),
        ("get", "/v1/models"), ("get", "/v1/templates"), ("get", "/v1/templates/{template_id}"),
        ("post", "/v1/templates"), ("put", "/v1/templates/{template_id}"),
        ("delete", "/v1/templates/{template_id}"), ("get", "/health"), ("delete", "/v1/jobs/{task_id}"),
        ("post", "/v1/audio/transcriptions"), ("get", "/v1/events/{task_id}"), ("post", "/v1/chat/completions"),
        ("get", "/v1/results/{task_id}/{name}"),
    } <= described  # fmt: skip


def test_every_call_has_a_name_its_errors_and_its_protection(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    assert document["security"] == [{"key": []}, {"bearer": []}]
    names = [call["operationId"] for _, _, call in calls(document)]
    assert len(names) == len(set(names))
    assert all(re.fullmatch(r"[a-z][A-Za-z]+", name) for name in names)
    for path, _, call in calls(document):
        assert (call.get("security") == []) == (path in OPEN), path
        assert ("400" in call["responses"]) == (path in IN_OPENAIS_FORM)
        errors = {status: answer for status, answer in call["responses"].items() if status[0] not in "23"}
        assert "default" in errors
        for answer in errors.values():
            form = "application/json" if path in IN_OPENAIS_FORM else "application/problem+json"
            assert answer["content"].keys() == {form}


def test_forms_are_described(document: dict[str, Any]) -> None:
    for path in ("/v1/process", "/v1/audio/transcriptions"):
        form = document["paths"][path]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
        assert form["properties"]["file"] == {"type": "string", "format": "binary", "description": "the recording"}
        assert "file" in form["required"]


def test_the_page_needs_nothing_from_elsewhere(server: Gateway) -> None:
    """Seen by Chromium, which reports every request the page makes."""
    asked: list[str] = []
    faults: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(f"{server.url}/docs#readStatus")
        assert page.locator("details#readStatus[open]").count() == 1
        assert page.get_by_text("Seconds to wait for the status to change.").is_visible()
        assert page.locator("details").count() > 20
        browser.close()
    assert all(url.startswith(server.url) for url in asked)
    assert faults == []


@pytest.mark.parametrize("path", ["/docs", "/docs/openapi.json"])
def test_what_anybody_may_ask_for_is_made_once_and_can_run_nothing(server: Gateway, path: str) -> None:
    with server.client() as client:
        first, second = client.get(path), client.get(path)
    assert first.content == second.content
    assert first.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
    assert b"<style" not in first.content and b"<script>" not in first.content


def test_the_page_and_the_document_are_rendered_once() -> None:
    for plugin in (ReferencePage(), ReferenceDocument()):
        empty = {"info": {"title": "t", "version": "1"}, "openapi": "3.1", "paths": {}, "components": {"schemas": {}}}
        with TestClient(Litestar([])) as client:
            request: Any = RequestFactory(app=client.app).get()
            assert plugin.render(request, empty) is plugin.render(request, empty)
