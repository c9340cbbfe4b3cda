"""Every route of the application, so that a new one cannot be forgotten: nobody gets in without the right key."""

import asyncio
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from uuid import uuid4

import httpx
import pytest
from litestar.routes import HTTPRoute
from prefect import flow
from prefect.client.orchestration import get_client

from blocks.keys import Scope
from blocks.runs import submit_run
from deployments.gateway.app import create_app
from deployments.gateway.web.auth import NEEDS
from tests.deployments.gateway.gateways import SharedGateway
from tests.processes import HTTP, until

WRONG = "c500_0123456789ab_" + "A" * 43
BODIES = ("POST", "PUT", "PATCH")
IN_OPENAIS_FORM = {
    "/v1/chat/completions": {"invalid_api_key": "UNAUTHORIZED", "insufficient_permissions": "NOT_ALLOWED"}
}
"""Routes that answer errors as OpenAI's API does, and what its codes are elsewhere here."""


ASKS_ITSELF = {
    *("/quality", "/quality/{page:path}", "/quality/sign-in.js", "/quality/reports/{page:path}", "/reports/{page:path}")
}
"""Pages for browsers, which have no header for a key: without their cookie they show a form that asks for one, or lead
there; test_quality.py says so."""


@dataclass(frozen=True)
class Route:
    """A method of a path, and the scope its handler says it needs; None for everybody."""

    method: str
    path: str
    scope: Scope | None

    def call(self, gateway: SharedGateway, headers: dict[str, str], task_id: str | None = None) -> httpx.Response:
        """Call it, with something plausible for each part of the path."""
        path = self.path.replace("{task_id:str}", task_id or str(uuid4()))
        path = re.sub(r"\{name:\w+\}", "txt", path)
        path = re.sub(r"\{\w+:\w+\}", "something", path)
        body = {"json": {}} if self.method in BODIES else {}
        return HTTP.request(self.method, gateway.url + path, headers=headers, **body)


@pytest.fixture(scope="module")
def routes(shared_gateway: SharedGateway) -> list[Route]:
    """All of the application, as Litestar has them."""
    return [
        Route(method=method, path=route.path, scope=handler.opt.get(NEEDS, "read"))
        for route in create_app().routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        for method in handler.http_methods
    ]


@pytest.fixture(scope="module")
def guarded(routes: list[Route]) -> list[Route]:
    """Those that need a key."""
    return [route for route in routes if route.scope]


def refusals(guarded: list[Route], gateway: SharedGateway, headers: dict[str, str]) -> Iterator[tuple[Route, int, str]]:
    """Call all at once: wrong keys are made to wait."""
    secrets = [secret for value in headers.values() if (secret := value.removeprefix("Bearer").strip())]
    with ThreadPoolExecutor(16) as pool:
        for route, answer in zip(guarded, pool.map(lambda one: one.call(gateway, headers), guarded), strict=True):
            assert not any(secret in answer.text for secret in secrets), answer.text
            code = answer.json()["error"]["code"]
            if route.path in IN_OPENAIS_FORM and route.method != "OPTIONS":
                assert answer.json()["error"].keys() == {"message", "type", "param", "code"}
                yield route, answer.status_code, IN_OPENAIS_FORM[route.path][code]
                continue
            assert answer.headers["content-type"] == "application/problem+json", (route, answer.text)
            yield route, answer.status_code, code


def test_only_what_must_be_open_is_open(routes: list[Route]) -> None:
    closed = {route.path for route in routes if route.scope and route.method != "OPTIONS"}
    opened = {route.path for route in routes if not route.scope}
    assert {path for path in opened if not re.match(r"^/($|docs|page/|health|metrics)", path)} == ASKS_ITSELF
    assert {"/v1/process", "/v1/status/{task_id:str}", "/v1/jobs/{task_id:str}", "/v1/templates"} <= closed


def test_without_a_key_every_other_route_is_refused(guarded: list[Route], shared_gateway: SharedGateway) -> None:
    assert {answer[1:] for answer in refusals(guarded, shared_gateway, {})} == {(401, "UNAUTHORIZED")}


@pytest.mark.parametrize(
    "headers",
    [
        {"X-API-Key": WRONG},
        {"Authorization": f"Bearer {WRONG}"},
        {"X-API-Key": "0" * 5000},
        {"Authorization": "Bearer"},
    ],
    ids=["wrong", "wrong bearer", "overlong", "empty bearer"],
)
def test_with_a_wrong_key_too(guarded: list[Route], shared_gateway: SharedGateway, headers: dict[str, str]) -> None:
    assert {answer[1:] for answer in refusals(guarded, shared_gateway, headers)} == {(401, "UNAUTHORIZED")}


def test_with_a_revoked_key_too(guarded: list[Route], shared_gateway: SharedGateway) -> None:
    secret, key = shared_gateway.key("submit", "read", "admin", "approve")
    shared_gateway.keys.revoke(key.key_id)
    until(lambda: shared_gateway.client(secret).get("/v1/models").status_code == 401)
    refused = set(refusals(guarded, shared_gateway, {"X-API-Key": secret}))
    assert {answer[1:] for answer in refused} == {(401, "UNAUTHORIZED")}


@pytest.mark.parametrize("scope", ["submit", "read", "approve"])
def test_a_key_without_the_scope_is_refused(guarded: list[Route], shared_gateway: SharedGateway, scope: Scope) -> None:
    secret, key = shared_gateway.key(scope)
    others = [route for route in guarded if route.method != "OPTIONS" and route.scope and not key.may(route.scope)]
    assert others
    refused = set(refusals(others, shared_gateway, {"X-API-Key": secret}))
    assert {answer[1:] for answer in refused} == {(403, "NOT_ALLOWED")}


def test_the_job_of_another_owner_looks_like_no_job(
    guarded: list[Route], shared_gateway: SharedGateway, prefect_api: str
) -> None:
    secret, mine = shared_gateway.key("submit", "read")
    _, theirs = shared_gateway.key("submit", "read")
    jobs = [route for route in guarded if "{task_id:str}" in route.path and route.method != "OPTIONS"]
    assert {"/v1/status/{task_id:str}", "/v1/jobs/{task_id:str}"} <= {route.path for route in jobs}
    their_job, unknown = submitted_by(theirs.key_id), str(uuid4())
    for route in jobs:
        answers = {}
        for task_id in (their_job, unknown):
            answer = route.call(shared_gateway, {"X-API-Key": secret}, task_id)
            answers[task_id] = (answer.status_code, answer.text.replace(task_id, "…"))
        assert answers[their_job] == answers[unknown], route
        assert answers[their_job][0] == 404
        assert json.loads(answers[their_job][1])["error"]["code"] == "TASK_NOT_FOUND"
    status = Route("GET", "/v1/status/{task_id:str}", "read")
    assert status.call(shared_gateway, {"X-API-Key": secret}, submitted_by(mine.key_id)).status_code == 200
    assert status.call(shared_gateway, {"X-API-Key": shared_gateway.secret}, their_job).status_code == 200


def submitted_by(owner: str) -> str:
    """A run that waits, as a gateway submits it."""

    @flow(name="refusals")
    def nothing() -> None: ...

    async def submit() -> str:
        async with get_client() as client:
            flow_id = await client.create_flow(nothing)
            await client.create_deployment(flow_id, name="refusals")
            run, _ = await submit_run(
                client,
                deployment="refusals/refusals",
                parameters={},
                name="a job",
                owner=owner,
                idempotency_key=uuid4().hex,
            )
            return str(run.run_id)

    return asyncio.run(submit())
