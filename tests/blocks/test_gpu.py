"""Holding a GPU: one model at a time, never over the budget, always given back."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client

from blocks.agent_metrics import FOLDER, AgentMetrics
from blocks.errors import OutOfMemory, Unsupported
from blocks.settings import settings
from blocks.vram import Nvml, VramNeed, gpu_count
from tests.fakes.gpu import GB, CountingModel, SimulatedGpu, waiting_at
from tests.processes import eventually


async def slots_taken(name: str) -> int:
    async with get_client() as client:
        return (await client.read_global_concurrency_limit_by_name(name)).active_slots


@pytest.fixture
async def gpu(prefect_api: str) -> AsyncIterator[SimulatedGpu]:
    """A simulated GPU of 24 GB whose limit nobody else uses."""
    simulated = SimulatedGpu(index=7)
    yield simulated
    for model in simulated._simulated.models:
        model.unload()


async def test_the_batch_fills_the_memory(gpu: SimulatedGpu) -> None:
    model = CountingModel(meter=gpu._simulated)
    gpu._simulated.others_bytes = 15 * GB
    async with gpu.hold(model, model.need):
        assert model.items == 4  # 24 - 15 - 0.6 for the context - 4 for the weights
        assert model.process.pid is not None
    assert model.process.pid is None


async def test_what_a_model_took_and_left_is_counted(gpu: SimulatedGpu) -> None:
    model = CountingModel(meter=gpu._simulated)
    async with gpu.hold(model, model.need):
        pass
    counted = AgentMetrics(settings().agents_home / FOLDER).read()
    assert [(one.labels, one.total) for one in counted["c500_gpu_loads_total"]] == [(("7",), 1)]
    assert [one.total for one in counted["c500_gpu_residual_bytes"]] == [0]
    assert counted["c500_gpu_model_peak_bytes"][0].buckets[-1] == 1


async def test_the_budget_counts_before_the_memory(gpu: SimulatedGpu) -> None:
    small = SimulatedGpu(index=7, budget_gb=7)
    model = CountingModel(meter=small._simulated)
    async with small.hold(model, model.need):
        assert model.items == 2


async def test_a_model_that_does_not_fit_is_refused_before_it_loads(gpu: SimulatedGpu) -> None:
    model = CountingModel(meter=gpu._simulated)
    gpu._simulated.others_bytes = 20 * GB
    with pytest.raises(OutOfMemory, match=r"needs 5\.6 GB of GPU 7, of which 4\.0 GB may be taken") as raised:
        async with gpu.hold(model, model.need):
            pass
    assert "count less" in raised.value.fix
    assert model.loads == 0
    assert await slots_taken(gpu.limit) == 0


async def test_the_second_model_waits_for_the_first(gpu: SimulatedGpu) -> None:
    first, second = CountingModel("first", gpu._simulated), CountingModel("second", gpu._simulated)
    order: list[str] = []
    holding = asyncio.Event()
    release = asyncio.Event()

    async def hold(model: CountingModel) -> None:
        async with gpu.hold(model, model.need):
            order.append(f"{model.name} in")
            holding.set()
            if model is first:
                await release.wait()
        order.append(f"{model.name} out")

    one = asyncio.create_task(hold(first))
    await holding.wait()
    other = asyncio.create_task(hold(second))
    release.set()
    await asyncio.gather(one, other)
    assert order == ["first in", "first out", "second in", "second out"]
    assert first.loads == second.loads == 1


async def test_peak_memory_is_seen(gpu: SimulatedGpu) -> None:
    model = CountingModel(meter=gpu._simulated)
    async with gpu.hold(model, model.need) as peak:
        await eventually(lambda: peak.bytes >= model.need.at(8))
    assert gpu._simulated.used_bytes() == 0


async def test_cancelling_a_load_frees_process_and_slot(gpu: SimulatedGpu, tmp_path: Path) -> None:
    model = CountingModel(meter=gpu._simulated, **waiting_at(tmp_path / "never"))

    async def hold() -> None:
        async with gpu.hold(model, model.need):
            pass

    holder = asyncio.create_task(hold())
    await eventually((tmp_path / "never.began").exists)
    holder.cancel()
    async with asyncio.timeout(10):
        with pytest.raises(asyncio.CancelledError):
            await holder
    assert model.process.pid is None
    assert await slots_taken(gpu.limit) == 0


async def test_cancelling_a_computation_frees_process_and_slot(gpu: SimulatedGpu, tmp_path: Path) -> None:
    model = CountingModel(meter=gpu._simulated)
    request = {"numbers": [1], "wait_for": str(tmp_path / "never")}

    async def hold() -> None:
        async with gpu.hold(model, model.need):
            await asyncio.to_thread(model.process.call, request, lambda share: None)

    holder = asyncio.create_task(hold())
    await eventually((tmp_path / "never.began").exists)
    holder.cancel()
    async with asyncio.timeout(10):
        with pytest.raises(asyncio.CancelledError):
            await holder
    assert model.process.pid is None
    assert await slots_taken(gpu.limit) == 0


async def test_a_limit_that_somebody_changed_stays(gpu: SimulatedGpu) -> None:
    async with get_client() as client:
        await client.upsert_global_concurrency_limit_by_name("gpu-9", limit=2)
    model = CountingModel(meter=gpu._simulated)
    async with SimulatedGpu(index=9).hold(model, model.need):
        assert await slots_taken("gpu-9") == 1
    async with get_client() as client:
        assert (await client.read_global_concurrency_limit_by_name("gpu-9")).limit == 2


HOLD_FOREVER = """
import asyncio, sys
from tests.fakes.gpu import CountingModel, SimulatedGpu
async def main():
    gpu = SimulatedGpu(index=8)
    model = CountingModel(meter=gpu._simulated)
    async with gpu.hold(model, model.need):
        print("holding", flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""


@pytest.mark.soak
async def test_a_killed_holder_s_slot_is_free_after_its_lease(gpu: SimulatedGpu) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD_FOREVER], stdout=subprocess.PIPE, text=True)  # noqa: ASYNC220
    assert holder.stdout and holder.stdout.readline() == "holding\n"
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert await slots_taken("gpu-8") == 1
    model = CountingModel(meter=gpu._simulated)
    heir = SimulatedGpu(index=8)
    async with asyncio.timeout(60 + 15 + 30), heir.hold(model, model.need):  # lease, search for expired ones, reserve
        assert model.loads == 1


def test_need_says_how_many_items_fit() -> None:
    need = VramNeed(fixed_bytes=4 * GB, item_bytes=GB, most_items=8, smaller="")
    assert need.items_within(need.at(3)) == 3
    assert need.items_within(need.at(100)) == 8
    assert need.items_within(need.at(1) - 1) == 0


@pytest.mark.skipif(gpu_count() > 0, reason="there is a GPU")
def test_without_a_gpu_the_error_names_the_way_out() -> None:
    with pytest.raises(Unsupported) as raised:
        Nvml(0).used_bytes()
    assert "WHISPER_DEVICE=cpu" in raised.value.fix
