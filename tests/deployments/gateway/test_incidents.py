"""Alerts over HTTP: a rule of Prometheus fires, Alertmanager tells the gateway, and the operators get a briefing."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.states import Completed

from blocks.keys import KeyRing, Scope
from blocks.settings import settings
from blocks.store import LocalFiles
from flows.incident import respond_to_incident
from tasks.ops.incident.intake import PREFIX, change
from tests.deployments.gateway.gateways import Gateway
from tests.deployments.gateway.submitting import ask, clear
from tests.deployments.gateway.working import stored_gateway, working
from tests.fakes.monitoring import alertmanager, prometheus
from tests.flows.incidents import World, broken_world
from tests.processes import free_port, until

BRIEFED_S = 180
"""Processes of the test machine start slowly; what the minute begins with is the run."""

PAGE = b"# TYPE checkout_orders gauge\ncheckout_orders 3\n"


async def deploy(client: PrefectClient) -> None:
    if "agents" not in {pool.name for pool in await client.read_work_pools()}:
        await client.create_work_pool(WorkPoolCreate(name="agents", type="process"))
    made = await respond_to_incident.ato_deployment(respond_to_incident.name, work_pool_name="agents")
    made.entrypoint = "flows.incident.respond_to_incident"
    await made.aapply()


@pytest.fixture(scope="module")
def standing(running_prefect_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, Gateway]]:
    """A world and its gateway for all tests of the module."""
    folder = tmp_path_factory.mktemp("world")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in places(folder).items():
            patch.setenv(name, value)
        settings.cache_clear()
        with (
            broken_world(folder, patch.setenv) as made,
            stored_gateway(running_prefect_server, folder / "store") as running,
        ):
            yield made, running
    settings.cache_clear()


def places(folder: Path) -> dict[str, str]:
    """Where everything of the module's world and gateway lies."""
    return {
        "AUDIO_DIR": str(folder / "store"),
        "AGENTS_HOME": str(folder / "agents"),
        "ACCOUNTS_FILE": str(folder / "accounts.yaml"),
        "LIMITER_URL": f"sqlite:///{folder}/limits.db",
        "BOOKS_URL": f"sqlite:///{folder}/books.db",
    }


@pytest.fixture
def world(standing: tuple[World, Gateway], monkeypatch: pytest.MonkeyPatch) -> World:
    """The world without incidents; nobody has been told of any."""
    made, _ = standing
    for name, value in places(made.folder).items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()
    files = LocalFiles(made.folder / "store")
    for key in list(files.list(f"{PREFIX}/")):
        files.delete(key)
    made.operators.messages.clear()
    return made


@pytest.fixture
def server(running_prefect_server: str, standing: tuple[World, Gateway], world: World) -> Iterator[Gateway]:
    """The gateway, with the flow deployed and without runs."""
    ask(running_prefect_server, deploy)
    ask(running_prefect_server, clear)
    yield standing[1]
    ask(running_prefect_server, clear)


@pytest.fixture
def key(world: World) -> Callable[..., str]:
    """The secret of a new key with some scopes."""

    def make(*scopes: Scope) -> str:
        return KeyRing(LocalFiles(world.folder / "store")).create("alertmanager", scopes)[0]

    return make


class Target(BaseHTTPRequestHandler):
    """The service as Prometheus sees it."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def test_a_rule_that_fires_becomes_a_briefing_and_its_end_is_noted(
    server: Gateway, world: World, key: Callable[..., str], running_prefect_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()  # nobody listens there: the target is down
    rule = {
        "alert": "CheckoutDown",
        "expr": 'up{job="checkout"} == 0',
        "labels": {"severity": "critical"},
        "annotations": {"summary": "checkout does not answer"},
    }
    webhook, secret = f"{server.url}/v1/alerts", key("alert")
    with (
        alertmanager(world.folder / "alertmanager", webhook, secret) as manager,
        prometheus(
            world.folder / "prometheus", job="checkout", target=f"127.0.0.1:{port}", rule=rule, alertmanager=manager
        ) as url,
        server.client() as client,
    ):
        monkeypatch.setenv("PROMETHEUS_URL", url)
        with working(running_prefect_server, world.folder / "store"):
            until(lambda: world.operators.messages, BRIEFED_S)
        [(subject, body)] = world.operators.messages
        assert subject.startswith("[critical] CheckoutDown: checkout does not answer (inc-")
        assert "the target does not answer Prometheus" in body
        [found] = client.get("/v1/incidents").json()["incidents"]
        assert found["services"] == ["checkout"]

        def detail() -> Any:
            return client.get(f"/v1/incidents/{found['incident_id']}").json()

        shown = detail()
        assert shown["briefing"]["incident_id"] == found["incident_id"]
        assert {fact["source"] for fact in shown["facts"]} >= {"metrics", "logs", "changes", "runbooks", "service"}

        listening = ThreadingHTTPServer(("127.0.0.1", port), Target)
        Thread(target=listening.serve_forever, daemon=True).start()
        until(lambda: detail()["incident"]["status"] == "resolved", BRIEFED_S)
        listening.shutdown()
        listening.server_close()
    kinds = [event["kind"] for event in shown["incident"]["timeline"]]
    assert kinds[:2] == ["opened", "alert"]
    assert len(world.operators.messages) == 1


def test_many_that_are_told_at_once_make_one_incident_and_one_run(
    server: Gateway, world: World, running_prefect_server: str
) -> None:
    def tell(number: int) -> dict[str, Any]:
        with server.client() as client:
            told = world.webhook(fingerprint=f"{number % 3}" * 16)
            answer = client.post("/v1/alerts", json=told)
            assert answer.status_code == 202, answer.text
            return answer.json()

    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(tell, range(24)))
    assert len({one["incident_id"] for one in told}) == 1
    assert sum(one["is_new"] for one in told) == 1

    async def runs(client: PrefectClient) -> int:
        found = await client.read_flow_runs()
        return sum(run.parameters.get("incident") == told[0]["incident_id"] for run in found)

    assert ask(running_prefect_server, runs) == 1


def test_a_run_that_ended_without_a_briefing_gives_way_to_another(
    server: Gateway, world: World, running_prefect_server: str
) -> None:
    """As one that left the incident to another process, which was killed."""

    def tell() -> str:
        with server.client() as client:
            answer = client.post("/v1/alerts", json=world.webhook())
            assert answer.status_code == 202, answer.text
            return answer.json()["incident_id"]

    incident_id = tell()

    async def end(client: PrefectClient) -> int:
        mine = [run for run in await client.read_flow_runs() if run.parameters.get("incident") == incident_id]
        for run in mine:
            await client.set_flow_run_state(run.id, Completed(), force=True)
        return len(mine)

    assert ask(running_prefect_server, end) == 1
    assert tell() == incident_id
    assert ask(running_prefect_server, end) == 2
    files = LocalFiles(world.folder / "store")
    change(files, incident_id, lambda one: one.model_copy(update={"briefed_at": one.opened_at}))
    assert tell() == incident_id
    assert ask(running_prefect_server, end) == 2


def test_an_alert_is_kept_where_nothing_is_deployed_and_sending_it_again_begins_the_run(
    server: Gateway, world: World, running_prefect_server: str
) -> None:
    async def undeploy(client: PrefectClient) -> None:
        for one in await client.read_deployments():
            if one.name == respond_to_incident.name:
                await client.delete_deployment(one.id)

    async def runs(client: PrefectClient) -> list[Any]:
        return [run.parameters for run in await client.read_flow_runs() if "incident" in run.parameters]

    ask(running_prefect_server, undeploy)
    with server.client() as client:

        def tell() -> int:
            return client.post("/v1/alerts", json=world.webhook()).status_code

        assert tell() == 503
        [kept] = client.get("/v1/incidents").json()["incidents"]
        ask(running_prefect_server, deploy)
        until(lambda: tell() == 202)
        assert [one["incident_id"] for one in client.get("/v1/incidents").json()["incidents"]] == [kept["incident_id"]]
    assert ask(running_prefect_server, runs) == [{"incident": kept["incident_id"]}]


def test_only_keys_for_alerts_may_tell_and_only_those_of_people_may_look(
    server: Gateway, world: World, key: Callable[..., str]
) -> None:
    told, every = key("alert"), key("submit", "read", "admin", "approve", "chat")
    until(lambda: _status(server, told) == 202)
    assert _status(server, every) == 403
    assert httpx.post(f"{server.url}/v1/alerts", json=world.webhook(), trust_env=False).status_code == 401
    with server.client(told) as client:
        assert client.get("/v1/incidents").status_code == 403
        assert client.get("/v1/incidents/inc-1").status_code == 403
        assert client.post("/v1/incidents/inc-1/questions", json={"question": "why"}).status_code == 403
        assert client.get("/v1/models").status_code == 403


def test_people_ask_about_an_incident(server: Gateway, world: World) -> None:
    with server.client() as client:
        incident_id = client.post("/v1/alerts", json=world.webhook()).json()["incident_id"]
        asked = client.post(f"/v1/incidents/{incident_id}/questions", json={"question": "which instance is it?"})
        assert asked.status_code == 200, asked.text
        assert "web-1:80" in asked.json()["answer"]
        assert asked.json()["written_by"] == "rules"
        timeline = client.get(f"/v1/incidents/{incident_id}").json()["incident"]["timeline"]
        assert timeline[-1]["says"] == "asked: which instance is it?"
        assert client.get("/v1/incidents/nothing").status_code == 404
        assert client.get("/v1/incidents/..%2f..%2fx").status_code in (400, 404)


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{", b'{"alerts": []}', b'{"alerts": [{"labels": {"a": 1}}]}', b'{"alerts": [{"status": "firing"}]}'],
)
def test_what_alertmanager_never_sends_is_refused(standing: tuple[World, Gateway], content: bytes) -> None:
    with standing[1].client() as client:
        answer = client.post("/v1/alerts", content=content, headers={"content-type": "application/json"})
        assert answer.status_code == 422, answer.text
        assert answer.headers["content-type"].startswith("application/problem+json")


def test_a_body_that_is_too_large_is_refused(standing: tuple[World, Gateway]) -> None:
    with standing[1].client() as client:
        assert client.post("/v1/alerts", json={"alerts": ["x" * 1_100_000]}).status_code == 413


def _status(server: Gateway, secret: str) -> int:
    with server.client(secret) as client:
        return client.post("/v1/alerts", json={"alerts": [{"labels": {"alertname": "X"}}]}).status_code
