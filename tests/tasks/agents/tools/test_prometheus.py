"""Asking a Prometheus server."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

import pytest
from pydantic import ValidationError

from blocks.errors import BadInput, EngineFailed, EngineUnavailable, NotAllowed, TimedOut
from tasks.agents.tools import prometheus
from tests.fakes.serving import serve
from tests.tasks.agents.tools.conftest import Hand
from tests.tasks.agents.tools.test_web import answer


class Prometheus:
    """Answers as it is told; `seen` holds path, fields and headers of each request."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, dict[str, str], dict[str, str]]] = []
        self.status, self.body = 200, b""

    def says(self, kind: str, result: Any) -> None:
        data = {"resultType": kind, "result": result}
        self.status, self.body = 200, json.dumps({"status": "success", "data": data}).encode()

    def fails(self, status: int, kind: str, error: str) -> None:
        body = {"status": "error", "errorType": kind, "error": error}
        self.status, self.body = status, json.dumps(body).encode()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        fields = parse_qs((await receive())["body"].decode())
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.seen.append((scope["path"], {name: values[0] for name, values in fields.items()}, headers))
        await answer(send, self.status, self.body, content_type="application/json")


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Prometheus, str]]:
    server = Prometheus()
    with serve(server) as url:
        yield server, url


@pytest.fixture
def server(served: tuple[Prometheus, str]) -> Prometheus:
    served[0].seen.clear()
    return served[0]


@pytest.fixture
def query(served: tuple[Prometheus, str]) -> Any:
    [tool] = prometheus.tools(f"{served[1]}/", {"Authorization": "Bearer s3cr3t"})
    return tool


async def test_a_value_now(hand: Hand, server: Prometheus, query: Any) -> None:
    server.says("vector", [{"metric": {"job": "api\u200b"}, "value": [1700000000, "0.5"]}])
    before = datetime.now(UTC).timestamp()
    found = await hand.use(query, query='rate(errors_total{job="api"}[5m])')
    assert found == {"type": "vector", "series": [{"labels": {"job": "api"}, "values": [[1700000000, "0.5"]]}]}
    [(path, fields, headers)] = server.seen
    assert path == "/api/v1/query" and fields["query"] == 'rate(errors_total{job="api"}[5m])'
    assert before - 1 <= float(fields["time"]) <= datetime.now(UTC).timestamp() + 1
    assert headers["authorization"] == "Bearer s3cr3t"


async def test_a_range_up_to_a_time(hand: Hand, server: Prometheus, query: Any) -> None:
    server.says("matrix", [{"metric": {}, "values": [[n, str(n)] for n in range(3)]}])
    found = await hand.use(query, query="up", at="2025-01-01T01:00:00Z", range_s=3600)
    assert found["series"] == [{"labels": {}, "values": [[0, "0"], [1, "1"], [2, "2"]]}]
    [(path, fields, _)] = server.seen
    assert path == "/api/v1/query_range"
    assert (fields["start"], fields["end"], fields["step"]) == ("1735689600.000", "1735693200.000", "60")


async def test_too_many_steps_are_refused_with_the_step_that_does(hand: Hand, server: Prometheus, query: Any) -> None:
    with pytest.raises(BadInput) as caught:
        await hand.use(query, query="up", range_s=86_400, step_s=1)
    assert "step_s=216" in caught.value.fix and server.seen == []
    server.says("matrix", [])
    await hand.use(query, query="up", range_s=86_400, step_s=216)


async def test_many_series_and_values_are_cut(hand: Hand, server: Prometheus, query: Any) -> None:
    server.says("vector", [{"metric": {"pod": str(n), "long": "x" * 1000}, "value": [0, "1"]} for n in range(500)])
    found = await hand.use(query, query="up")
    assert len(found["series"]) == 50 and found["more"].startswith("450 more")
    assert len(found["series"][0]["labels"]["long"]) < 300
    server.says("matrix", [{"metric": {}, "values": [[n, "1"] for n in range(400)]}] * 5)
    assert len((await hand.use(query, query="up", range_s=400, step_s=1))["series"]) == 1


async def test_scalars(hand: Hand, server: Prometheus, query: Any) -> None:
    server.says("scalar", [1700000000, "42"])
    assert await hand.use(query, query="42") == {"type": "scalar", "value": [1700000000, "42"]}


@pytest.mark.parametrize(
    ("status", "kind", "error"),
    [
        (400, "bad_data", BadInput),
        (422, "execution", EngineFailed),
        (503, "timeout", TimedOut),
        (503, "unavailable", EngineUnavailable),
        (401, "unauthorized", NotAllowed),
    ],
)
async def test_faults_are_told(
    hand: Hand, server: Prometheus, query: Any, status: int, kind: str, error: type[Exception]
) -> None:
    server.fails(status, kind, "parse error: unexpected }")
    with pytest.raises(error, match="unexpected }"):
        await hand.use(query, query="}")


async def test_another_server_s_answer_is_told(hand: Hand, server: Prometheus, query: Any) -> None:
    for status, body, error in ((502, b"<html>", EngineUnavailable), (200, b"[]", EngineFailed)):
        server.status, server.body = status, body
        with pytest.raises(error):
            await hand.use(query, query="up")


async def test_a_flood_is_refused(hand: Hand, server: Prometheus, query: Any) -> None:
    server.status, server.body = 200, b"x" * 6_000_000
    with pytest.raises(BadInput, match="more than"):
        await hand.use(query, query="up")


def test_a_time_without_zone_is_refused(query: Any) -> None:
    with pytest.raises(ValidationError):
        query.arguments.model_validate({"query": "up", "at": "2025-01-01T01:00:00"})


def test_a_url_that_is_none_is_refused() -> None:
    with pytest.raises(BadInput):
        prometheus.tools("prometheus:9090")
