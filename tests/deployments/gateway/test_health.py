"""Health and metrics, with everything there and with parts away."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from blocks.keys import KeyRing
from blocks.runs import waiting_by_owner
from blocks.store import LocalFiles
from tests.conftest import ROOT
from tests.deployments.gateway.gateways import Gateway, start_gateway
from tests.deployments.gateway.proxy import Proxy
from tests.deployments.gateway.submitting import ask
from tests.processes import HTTP, free_port, until


@pytest.fixture(scope="module")
def way(running_prefect_server: str) -> Proxy:
    return Proxy(running_prefect_server)


@pytest.fixture(scope="module")
def gateway(way: Proxy, store_path: Path) -> Iterator[Gateway]:
    """A gateway whose way to Prefect can be closed; a test puts right what it breaks."""
    paths = {"PYTHONPATH": str(ROOT), "AUDIO_DIR": str(store_path), "LOG_DIR": str(store_path.parent / "logs")}
    running = start_gateway(way.url, log=store_path.parent / "gateway.log", **paths)
    yield running
    running.stop()


def get(gateway: Gateway, path: str, **headers: str) -> httpx.Response:
    return HTTP.get(f"{gateway.url}{path}", headers=headers)


def ready(gateway: Gateway) -> int:
    return get(gateway, "/health/ready").status_code


def test_health_has_every_field_of_the_reference(gateway: Gateway, prefect_server: str) -> None:
    until(lambda: ready(gateway) == 200)
    health = get(gateway, "/health").json()
    assert health.keys() == {"status", "version", "redis_connected", "queue_depth", "worker_active", "parts"}
    # Tests before this one may have left jobs that nobody does.
    assert health["queue_depth"] == sum(ask(prefect_server, waiting_by_owner).values())
    assert health["redis_connected"] is True
    assert {"prefect", "store", "disk", "workers"} == health["parts"].keys()
    assert all(health["parts"][part]["ok"] for part in ("prefect", "store"))
    assert get(gateway, "/health/live").json() == {"status": "live"}
    assert get(gateway, "/health/ready").json() == {"status": "ready"}


def test_without_prefect_it_lives_but_is_not_ready(gateway: Gateway, way: Proxy) -> None:
    until(lambda: ready(gateway) == 200)
    way.close()
    until(lambda: ready(gateway) == 503)
    answer = get(gateway, "/health/ready")
    assert answer.json()["error"]["details"]["parts"].keys() == {"prefect"}
    assert "retry-after" in answer.headers
    health = get(gateway, "/health")
    assert (health.status_code, health.json()["status"], health.json()["worker_active"]) == (200, "unhealthy", False)
    assert get(gateway, "/health/live").status_code == 200
    until(lambda: "c500_prefect_up 0.0" in get(gateway, "/metrics").text)  # a scrape waits for no slow part
    away = get(gateway, "/v1/status/00000000-0000-4000-8000-000000000000", **{"X-API-Key": gateway.secret})
    assert away.status_code == 503
    assert away.json()["error"]["code"] == "PREFECT_UNAVAILABLE"
    way.open()
    until(lambda: ready(gateway) == 200)


def test_without_its_store_it_is_not_ready(gateway: Gateway, store_path: Path) -> None:
    until(lambda: ready(gateway) == 200)
    gone = store_path.rename(store_path.with_name("gone"))
    until(lambda: ready(gateway) == 503)
    assert get(gateway, "/health").json()["parts"]["store"]["ok"] is False
    assert get(gateway, "/metrics").status_code == 200
    shutil.move(gone, store_path)
    until(lambda: ready(gateway) == 200)


@pytest.fixture(scope="module")
def exposed(running_prefect_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway that others reach, with messages that go by a Redis that is away."""
    folder = tmp_path_factory.mktemp("exposed")
    running = start_gateway(
        running_prefect_server,
        log=folder / "gateway.log",
        PYTHONPATH=str(ROOT),
        AUDIO_DIR=str(folder / "store"),
        LOG_DIR=str(folder / "logs"),
        API_HOST="0.0.0.0",
        SECRET_API_KEY="9f8e7d6c5b4a39281706f5e4d3c2b1a0",
        PREFECT_MESSAGING_BROKER="prefect_redis.messaging",
        PREFECT_REDIS_MESSAGING_URL=f"redis://user:hidden@127.0.0.1:{free_port()}/0",
    )
    yield running
    running.stop()


def test_redis_is_a_part_where_messages_go_by_it(exposed: Gateway) -> None:
    answer = get(exposed, "/health")
    assert answer.json()["redis_connected"] is False
    assert answer.json()["parts"]["redis"]["ok"] is False
    assert "hidden" not in answer.text


def test_requests_are_counted_by_route_not_by_path(gateway: Gateway) -> None:
    for number in range(20):
        get(gateway, f"/v1/status/{number}", **{"X-API-Key": gateway.secret})
        get(gateway, f"/nothing/{number}")
    get(gateway, "/v1/models", **{"X-API-Key": "x" * 40})
    text = get(gateway, "/metrics").text
    families = {family.name: family for family in text_string_to_metric_families(text)}
    counted = {
        (sample.labels["route"], sample.labels["status"]): sample.value
        for sample in families["c500_http_requests"].samples
        if sample.name.endswith("_total")
    }
    assert counted["/v1/status/{task_id}", "404"] == 20
    assert counted["none", "404"] == 20
    assert counted["/v1/models", "401"] == 1
    assert "/v1/status/3" not in text
    assert families["c500_http_request_seconds"].samples
    assert families["c500_gateway_resident_memory_bytes"].samples[0].value > 1e7
    until(lambda: "c500_job_queue_depth " in get(gateway, "/metrics").text)


@pytest.mark.parametrize("header", ["X-Forwarded-For", "X-Forwarded-Host", "Forwarded", "Via", "X-Real-IP"])
def test_metrics_by_way_of_a_proxy_need_a_key(gateway: Gateway, store_path: Path, header: str) -> None:
    proxied = {header: "203.0.113.7"}
    assert get(gateway, "/metrics").status_code == 200
    assert get(gateway, "/metrics", **proxied).status_code == 401
    ring = KeyRing(LocalFiles(store_path))
    for scope, status in (("submit", 403), ("read", 200)):
        secret, _ = ring.create("a test", [scope])
        until(
            lambda secret=secret, status=status: (
                get(gateway, "/metrics", **proxied, **{"X-API-Key": secret}).status_code == status
            )
        )


def test_metrics_need_a_key_where_others_reach_the_gateway(exposed: Gateway) -> None:
    assert get(exposed, "/metrics").status_code == 401
    assert get(exposed, "/metrics", **{"X-API-Key": exposed.secret}).status_code == 200


def test_a_wrong_method_is_told_the_right_ones(gateway: Gateway) -> None:
    answer = HTTP.post(f"{gateway.url}/health")
    assert answer.status_code == 405
    assert "GET" in answer.headers["allow"]
    assert answer.json()["error"]["code"] == "METHOD_NOT_ALLOWED"
