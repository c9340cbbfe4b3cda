"""Requests at OpenAI's addresses whose job does not end: no worker runs here."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.deployments.gateway.gateways import Gateway
from tests.deployments.gateway.submitting import ask, job_runs
from tests.deployments.gateway.working import stored_gateway
from tests.processes import until


def test_a_client_that_goes_away_leaves_nobody_waiting(deployed: str, tmp_path: Path, sentence: Path) -> None:
    """Nobody does the job, so only the client's going can end the wait."""
    form = {"model": "whisper-1", "prompt": "going away"}
    with stored_gateway(deployed, tmp_path / "store") as gateway:
        with gateway.client() as client, pytest.raises(httpx.ReadTimeout):
            client.post("/v1/audio/transcriptions", data=form, files={"file": sentence.open("rb")}, timeout=5)
        until(lambda: in_hand(gateway) == 0)


def in_hand(gateway: Gateway) -> float:
    """Requests that the gateway has not answered whole, besides this one."""
    text = httpx.get(f"{gateway.url}/metrics", trust_env=False).text
    (line,) = (line for line in text.splitlines() if line.startswith("c500_http_requests_in_hand "))
    return float(line.split()[1]) - 1


def test_a_cancelled_job_is_a_conflict(deployed: str, tmp_path: Path, sentence: Path) -> None:
    with stored_gateway(deployed, tmp_path / "store") as gateway, gateway.client() as client:
        before = {str(run.id) for run in ask(deployed, job_runs)}
        with ThreadPoolExecutor() as pool:
            form = {"model": "whisper-1", "prompt": "to be cancelled"}
            sent = {"file": sentence.open("rb")}
            waiting = pool.submit(client.post, "/v1/audio/transcriptions", data=form, files=sent)
            until(lambda: len({str(run.id) for run in ask(deployed, job_runs)} - before) == 1)
            (task_id,) = {str(run.id) for run in ask(deployed, job_runs)} - before
            assert client.delete(f"/v1/jobs/{task_id}").status_code == 202
            answer = waiting.result(timeout=60)
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "CANCELLED")
