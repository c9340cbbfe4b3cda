"""PostgreSQL and Redis go away in mid-run and come back: what was accepted completes."""

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.databases import DatabaseServer, new_database, postgres_server, redis_server
from tests.deployments.service.test_two_machines import gateway_client, submit, until_complete
from tests.processes import until
from tests.service import Service, start_service

JOBS = 3
GONE_S = 60
NOTICED_S = 60
BACK_S = 240
COMPLETE_S = 900
"""A run that gave up is taken for crashed after 330 s of silence; then it is run again."""


@pytest.fixture
def postgres() -> Iterator[DatabaseServer]:
    with postgres_server() as server:
        yield server


@pytest.fixture
def redis(keeps_all: bool) -> Iterator[DatabaseServer]:
    with redis_server(keeps_all=keeps_all) as server:
        yield server


@pytest.fixture
def service(tmp_path: Path, postgres: DatabaseServer, redis: DatabaseServer) -> Iterator[Service]:
    with start_service(tmp_path, "--postgres", new_database(postgres.url), "--redis", redis.url) as running:
        yield running


def sent(client: httpx.Client, number: int) -> httpx.Response:
    """The answer to a submission that may be refused; the same number is the same job."""
    text = f"We meet again, number {number}."
    return client.post("/v1/process_text", json={"text": text, "features": ["clean_transcript"]})


@pytest.mark.parametrize(
    ("gone_s", "keeps_all"),
    [
        pytest.param(0, False, id="briefly"),
        pytest.param(GONE_S, False, id="a minute", marks=pytest.mark.soak),
        pytest.param(GONE_S, True, id="a minute, persistent", marks=pytest.mark.soak),
    ],
)
def test_what_was_accepted_completes(
    service: Service, postgres: DatabaseServer, redis: DatabaseServer, gone_s: int
) -> None:
    with gateway_client(service) as client:
        tasks: list[str] = []
        for server in (postgres, redis):
            tasks.extend([submit(client, len(tasks) + number) for number in range(JOBS)])
            server.kill()
            if server is postgres:
                until(lambda: not sent(client, len(tasks)).is_success, NOTICED_S)
                refused = sent(client, len(tasks))
                assert refused.status_code == 503, refused.text
                assert "Retry-After" in refused.headers
            time.sleep(gone_s)  # the time away is what is tried
            server.start()
            until(lambda: sent(client, len(tasks)).is_success, BACK_S)
            tasks.append(sent(client, len(tasks)).json()["task_id"])
        until_complete(client, tasks, COMPLETE_S)
