"""What Prefect says: the queue, the workers, and each end of a run once."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx
import pytest
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.flows import Flow, flow
from prefect.states import Cancelled, Completed, Crashed, Failed, Running, Scheduled

from blocks.errors import EngineUnavailable
from blocks.runs.record import ERROR, RunError
from deployments.gateway.load import Load
from deployments.gateway.metrics.prefect import PrefectLook, RunLook
from tests.processes import free_port

pytestmark = pytest.mark.usefixtures("prefect_api")


@flow(name="metrics-of-runs")
def work() -> None: ...


async def told(look: RunLook) -> dict[tuple[str, ...], float]:
    """What is told of the flow: names and label values."""
    return {
        (sample.name, *(value for name, value in sample.labels.items() if name != "flow")): sample.value
        for family in await look.read()
        for sample in family.samples
        if sample.labels.get("flow", work.name) == work.name
    }


async def ended(
    client: PrefectClient, state: object, labels: dict[str, str] | None = None, of: "Flow[[], None]" = work
) -> None:
    """A run that began and ended now."""
    run = await client.create_flow_run(of, state=Scheduled())
    if labels:
        await client.update_flow_run_labels(run.id, dict(labels))
    await client.set_flow_run_state(run.id, Running(), force=True)
    await client.set_flow_run_state(run.id, state, force=True)  # type: ignore[arg-type]


async def test_each_end_of_a_run_is_counted_once_from_the_first_look_on() -> None:
    async with get_client() as client:
        await ended(client, Completed())
        look = RunLook(client)
        assert ("c500_run_outcomes_total", "completed") not in await told(look)
        why = RunError(code="OUT_OF_MEMORY", message="", fix="").model_dump_json()
        for state, labels in (
            (Completed(), None),
            (Completed(), None),
            (Failed(), {ERROR: why}),
            (Failed(), None),
            (Cancelled(), None),
            (Crashed(), None),
        ):
            await ended(client, state, labels)
        for _ in range(2):
            found = await told(look)
    outcomes = {key[1]: value for key, value in found.items() if key[0] == "c500_run_outcomes_total"}
    assert outcomes == {"completed": 2, "failed": 2, "cancelled": 1, "crashed": 1}
    codes = {key[1]: value for key, value in found.items() if key[0] == "c500_run_failures_total"}
    assert codes == {"OUT_OF_MEMORY": 1, "INTERNAL_ERROR": 1, "CANCELLED": 1, "CRASHED": 1}
    assert found["c500_run_seconds_count",] == found["c500_run_wait_seconds_count",] == 6


async def test_a_run_that_crashed_and_is_run_again_has_two_ends() -> None:
    async with get_client() as client:
        look = RunLook(client)
        await told(look)
        run = await client.create_flow_run(work, state=Running())
        await client.set_flow_run_state(run.id, Crashed(), force=True)
        await told(look)
        await client.set_flow_run_state(run.id, Running(), force=True)
        await client.set_flow_run_state(run.id, Completed(), force=True)
        found = await told(look)
    assert found["c500_run_outcomes_total", "crashed"] == found["c500_run_outcomes_total", "completed"] == 1


async def test_what_is_at_work_and_what_is_late_is_told() -> None:
    async with get_client() as client:
        look = RunLook(client)
        before = await told(look)
        run = await client.create_flow_run(work, state=Running())
        due = datetime.now(UTC) - timedelta(minutes=5)
        late = await client.create_flow_run(work, state=Scheduled(scheduled_time=due))
        found = await told(look)
        for one in (run, late):
            await client.delete_flow_run(one.id)
    assert found["c500_run_at_work",] == 1
    assert found["c500_run_oldest_seconds",] >= 0
    assert found["c500_run_late",] == before["c500_run_late",] + 1


async def test_a_look_that_breaks_off_loses_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    async with get_client() as client:
        look = RunLook(client)
        await told(look)
        await ended(client, Completed(), of=work.with_options(name="metrics-of-runs-unheard-of"))

        async def away(self: PrefectClient, flow_id: object) -> None:
            raise httpx.ConnectError("away")

        with monkeypatch.context() as broken:
            broken.setattr(PrefectClient, "read_flow", away)
            with pytest.raises(httpx.ConnectError):
                await told(look)
        families = {family.name: family for family in await look.read()}
    ends = {tuple(one.labels.values()): one.value for one in families["c500_run_outcomes"].samples}
    assert ends["metrics-of-runs-unheard-of", "completed"] == 1


async def test_the_first_failure_of_a_flow_we_know_is_seen_as_one() -> None:
    async with get_client() as client:
        families = await RunLook(client).read()
    samples = {tuple(one.labels.values()): one.value for family in families for one in family.samples}
    assert samples["process-audio", "failed"] == 0


async def test_queue_and_workers_are_told_by_pool() -> None:
    async with get_client() as client:
        pools = {f"busy-{uuid4()}": 2, f"idle-{uuid4()}": 0}
        for pool, workers in pools.items():
            await client.create_work_pool(WorkPoolCreate(name=pool, type="warm"))
            for number in range(workers):
                await client.send_worker_heartbeat(pool, f"worker-{number}")
        names = {family.name: family for family in await PrefectLook(Load(client)).read()}
    assert names["c500_job_queue_depth"].samples[0].value >= 0
    assert {sample.labels["state"] for sample in names["c500_job_runs"].samples} >= {"running", "failed", "crashed"}
    online = {sample.labels["pool"]: sample.value for sample in names["c500_worker_online"].samples}
    assert {pool: online[pool] for pool in pools} == pools


async def test_without_prefect_there_is_nothing_to_tell() -> None:
    async with get_client() as client:
        client._client.base_url = f"http://127.0.0.1:{free_port()}"  # type: ignore[assignment]
        with pytest.raises(EngineUnavailable):
            await PrefectLook(Load(client)).read()
