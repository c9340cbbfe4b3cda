"""What the server does by itself: silent runs crash, crashed jobs are run again, a webhook hears of those given up."""

import asyncio
import json
import os
import queue
import threading
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from uuid import uuid4

import pytest
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId
from prefect.client.schemas.objects import StateType
from prefect.events.filters import EventFilter, EventNameFilter, EventResourceFilter
from prefect.events.schemas.automations import AutomationCore
from prefect.events.worker import EventsWorker
from prefect.server.events.schemas.automations import EventTrigger as ServerTrigger
from prefect.server.events.schemas.events import ReceivedEvent
from prefect.settings import PREFECT_CLIENT_RETRY_JITTER_FACTOR

from blocks.errors import NotFound
from blocks.runs import submit_run
from blocks.runs.lost import HEARTBEAT, SILENCES
from blocks.settings import HEARTBEAT_S, Settings, settings
from deployments.service.automations import MISSED, apply_automations, silent_runs_crash
from deployments.service.environment import RUN_ENVIRONMENT
from flows.recovery import retry_crashed
from tests.fakes.deployed import POOL, deploy, start, state_of, until


@pytest.fixture
async def client(prefect_api: str) -> AsyncIterator[PrefectClient]:
    """A client of the session's server, with no automation of ours on it."""
    async with get_client() as opened:
        yield opened
        for automation in await opened.read_automations():
            if automation.name.startswith("c500"):
                await opened.delete_automation(automation.id)


@pytest.fixture
async def retry(client: PrefectClient) -> None:
    """The deployment that runs crashed jobs again."""
    await deploy(client, "retry-crashed", "flows.recovery.retry_crashed")
    flow_id = await client.create_flow_from_name("retry-crashed")
    entrypoint = "flows.recovery.retry_crashed"
    await client.create_deployment(flow_id, "retry-crashed", entrypoint=entrypoint, work_pool_name=POOL)


class Webhook(HTTPServer):
    """Keeps what is posted to it."""

    def __init__(self) -> None:
        self.posted: queue.Queue[tuple[str, dict[str, str]]] = queue.Queue()
        super().__init__(("127.0.0.1", 0), Receive)


class Receive(BaseHTTPRequestHandler):
    server: Webhook

    def do_POST(self) -> None:
        content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.posted.put((self.path, content))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    """A receiver that the settings name."""
    server = Webhook()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("NOTIFY_WEBHOOK_URL", f"http://127.0.0.1:{server.server_port}/hook?key=secret")
    settings.cache_clear()
    yield server
    server.shutdown()
    server.server_close()


async def names(client: PrefectClient) -> list[str]:
    return sorted(one.name for one in await client.read_automations() if one.name.startswith("c500"))


async def test_applying_twice_changes_nothing(client: PrefectClient, retry: None, webhook: Webhook) -> None:
    await apply_automations(client)
    before = await as_stored(client)
    await apply_automations(client)
    assert await as_stored(client) == before  # an update would make the server forget which runs it watches
    assert len(before) == 3


async def test_one_that_somebody_paused_stays_paused(client: PrefectClient, retry: None) -> None:
    await apply_automations(client)
    first = (await client.read_automations())[0]
    old = AutomationCore.model_validate(
        first.model_dump(exclude={"id", "owner_resource"}) | {"description": "old", "enabled": False}
    )
    await client.update_automation(first.id, old)
    await apply_automations(client)
    now = await client.read_automation(first.id)
    assert now is not None
    assert (now.enabled, now.description) == (False, first.description)


async def as_stored(client: PrefectClient) -> list[object]:
    """All that the server knows of the automations, their triggers' ids and the time of the last change too."""
    return (await client.request("POST", "/automations/filter", json={})).json()


async def test_without_a_webhook_nobody_is_told(
    client: PrefectClient, retry: None, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    await apply_automations(client)
    assert len(await names(client)) == 3
    monkeypatch.delenv("NOTIFY_WEBHOOK_URL")
    settings.cache_clear()
    await apply_automations(client)
    assert await names(client) == ["c500: crashed jobs run again", "c500: silent runs are crashed"]


async def test_a_deployment_that_is_missing_is_named(client: PrefectClient) -> None:
    found = [one for one in await client.read_deployments() if one.name == "retry-crashed"]
    for one in found:
        await client.delete_deployment(one.id)
    with pytest.raises(NotFound, match="retry-crashed/retry-crashed"):
        await apply_automations(client)


async def test_a_killed_job_is_found_crashed_and_sent_to_retry(
    client: PrefectClient, retry: None, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deployments.service.automations.HEARTBEAT_S", 1)  # 11 s; a trigger takes 10 at least
    monkeypatch.setenv("MAX_CRASH_RETRIES", "0")
    settings.cache_clear()
    await apply_automations(client)
    deployment = await deploy(client, "process-text", "tests.fakes.waiting.process_text")
    run, _ = await submit_run(
        client, deployment=deployment, parameters={}, name="notes.txt", owner="anna", idempotency_key="silent"
    )
    process = await start(client, run.run_id, Path("run.log"), **RUN_ENVIRONMENT)
    await until(lambda: heard(client, run.run_id))
    os.killpg(process.pid, 9)
    process.wait()
    await until(lambda: crashed(client, run.run_id))
    await until(lambda: asked_to_retry(client, run.run_id))
    assert await retry_crashed(run.run_id) == {str(run.run_id): "given up"}
    await asyncio.to_thread(EventsWorker.drain_all)
    path, told = await asyncio.to_thread(webhook.posted.get, timeout=60)
    assert path == "/hook?key=secret"
    assert told["subject"] == "C500 gave up notes.txt"
    assert "died 1 times" in told["body"]
    assert str(run.run_id) in told["body"]


@pytest.mark.parametrize(
    ("flow", "watched"), [("process-audio", True), ("recover-runs", True), ("somebody-elses", False)]
)
@pytest.mark.parametrize("event", [HEARTBEAT, "prefect.flow-run.Suspended"])
def test_only_our_runs_are_watched(flow: str, watched: bool, event: str) -> None:
    wanted = silent_runs_crash(timedelta(seconds=330)).trigger
    trigger = ServerTrigger.model_validate(wanted.model_dump(mode="json"))
    about = {"prefect.resource.id": "prefect.flow.1", "prefect.resource.role": "flow", "prefect.resource.name": flow}
    seen = ReceivedEvent.model_validate(
        {
            "id": uuid4(),
            "occurred": datetime.now(UTC),
            "event": event,
            "resource": {"prefect.resource.id": "prefect.flow-run.1"},
            "related": [about],
        }
    )
    assert trigger.covers(seen) == watched
    assert trigger.expects(event)


def test_none_that_only_waits_for_a_server_is_taken_for_lost() -> None:
    tries = int(RUN_ENVIRONMENT["PREFECT_CLIENT_MAX_RETRIES"])
    spread = 1 + PREFECT_CLIENT_RETRY_JITTER_FACTOR.value()
    waits_s = sum(2**number for number in range(1, tries + 1)) * spread
    assert waits_s < MISSED * HEARTBEAT_S < SILENCES * HEARTBEAT_S
    loading_s = 120
    assert waits_s + loading_s < Settings.model_fields["pending_timeout_s"].default


async def heard(client: PrefectClient, run_id: object) -> bool:
    wanted = EventFilter(
        event=EventNameFilter(name=[HEARTBEAT]), resource=EventResourceFilter(id=[f"prefect.flow-run.{run_id}"])
    )
    return bool((await client.read_events(wanted, limit=1)).events)


async def crashed(client: PrefectClient, run_id: object) -> bool:
    return (await state_of(client, run_id)).type == StateType.CRASHED  # type: ignore[arg-type]


async def asked_to_retry(client: PrefectClient, run_id: object) -> bool:
    deployment = await client.read_deployment_by_name("retry-crashed/retry-crashed")
    wanted = DeploymentFilter(id=DeploymentFilterId(any_=[deployment.id]))
    runs = await client.read_flow_runs(deployment_filter=wanted)
    return any(run.parameters.get("flow_run_id") == str(run_id) for run in runs)
