"""One GPU: how much memory models may take, and who holds it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio
import structlog
from prefect.blocks.core import Block
from prefect.client.orchestration import get_client
from prefect.concurrency.asyncio import concurrency
from prefect.exceptions import ObjectNotFound
from pydantic import Field

from blocks.agent_metrics import Change, shared_metrics
from blocks.errors import OutOfMemory, Unsupported
from blocks.language.vllm_process import stop_idle_server
from blocks.progress import in_thread
from blocks.settings import settings
from blocks.vram import BYTES_PER_GB, GpuModel, Meter, Nvml, VramNeed, VramUse, in_gb

log = structlog.stdlib.get_logger("c500")

SAMPLE_EVERY_S = 0.2


@dataclass
class Peak:
    """The most memory taken beyond what was used before."""

    bytes: int = 0

    async def watch(self, meter: Meter, before: int) -> None:
        """Look several times a second, until cancelled."""
        while True:
            self.bytes = max(self.bytes, meter.used_bytes() - before)
            await asyncio.sleep(SAMPLE_EVERY_S)


class Gpu(Block):
    """A GPU of this machine, and how much of it models may take.

    One model is resident at a time: holders queue for Prefect's concurrency limit `gpu-<index>`.
    """

    _block_type_slug = "c500-gpu"
    _block_type_name = "C500 GPU"

    index: int = Field(default=0, ge=0, description="number of the GPU, as nvidia-smi shows it")
    budget_gb: float | None = Field(
        default=None, gt=0, description="memory that models may take, in GB of 10^9 bytes; empty = all of it"
    )
    lease_s: float = Field(
        default=60, ge=60, description="seconds after which the slot of a holder that died is free again"
    )

    @classmethod
    def of_settings(cls) -> "Gpu":
        """The GPU that the settings name."""
        chosen = settings()
        return cls(index=chosen.gpu_index, budget_gb=chosen.gpu_budget_gb, lease_s=chosen.gpu_lease_s)

    @property
    def limit(self) -> str:
        """Name of the Prefect concurrency limit."""
        return f"gpu-{self.index}"

    def meter(self) -> Meter:
        """Reads the memory of this GPU."""
        return Nvml(self.index)

    @asynccontextmanager
    async def hold(self, model: GpuModel, need: VramNeed) -> AsyncGenerator[Peak]:
        """Wait for the GPU, load the model, and unload it after the block.

        However the block ends, cancelled while loading too, the memory and the slot are free after it.

        Raises:
            OutOfMemory: the model would pass the budget or the free memory; it is not loaded.
            Unsupported: there is no such GPU.
        """
        await self._ensure_limit()
        async with concurrency(self.limit, lease_duration=self.lease_s, strict=True):
            meter = self.meter()
            items, before = await self._make_room(meter, need)
            model.give(items)
            peak = Peak()
            watch = asyncio.create_task(peak.watch(meter, before))
            try:
                await in_thread(model.load)
                yield peak
            finally:
                watch.cancel()
                with anyio.CancelScope(shield=True):
                    await in_thread(model.unload)
                _report(self.index, meter, before, need.at(items), peak)

    def plan(self, meter: Meter, need: VramNeed) -> tuple[int, int]:
        """Items a batch can have, and the bytes in use now.

        Raises:
            OutOfMemory: not even one item fits.
        """
        total, used = meter.total_bytes(), meter.used_bytes()
        budget = total if self.budget_gb is None else min(total, int(self.budget_gb * BYTES_PER_GB))
        free = min(budget, total - used)
        items = need.items_within(free)
        if items < 1:
            raise OutOfMemory(
                f"the model needs {in_gb(need.at(1))} of GPU {self.index}, of which {in_gb(free)} may be taken "
                f"({in_gb(total)} in all, {in_gb(used)} in use)",
                fix=f"free the GPU (nvidia-smi shows who uses it), raise GPU_BUDGET_GB, or {need.smaller}",
                needed_bytes=need.at(1),
                free_bytes=free,
            )
        return items, used

    async def _make_room(self, meter: Meter, need: VramNeed) -> tuple[int, int]:
        """As `plan`; a vLLM server of ours that only waits for the next job ends first if need be."""
        try:
            items, before = self.plan(meter, need)
            if items == need.most_items:
                return items, before
        except OutOfMemory:
            if not await in_thread(stop_idle_server):
                raise
        else:
            await in_thread(stop_idle_server)
        return self.plan(meter, need)

    async def _ensure_limit(self) -> None:
        """Make the limit of one slot where there is none; one that somebody changed stays as it is."""
        async with get_client() as client:
            try:
                await client.read_global_concurrency_limit_by_name(self.limit)
            except ObjectNotFound:
                await client.upsert_global_concurrency_limit_by_name(self.limit, limit=1)


def _report(index: int, meter: Meter, before: int, estimate: int, peak: Peak) -> None:
    """Log what the model took; a driver that does not answer any more is no reason to fail."""
    try:
        residual = max(0, meter.used_bytes() - before)
    except Unsupported as error:
        log.error("gpu does not answer", gpu=index, error=error.message)
        return
    use = VramUse(estimate_bytes=estimate, peak_bytes=peak.bytes, residual_bytes=residual)
    log.info("gpu released", gpu=index, **use.model_dump())
    _count(index, use)


def _count(index: int, use: VramUse) -> None:
    """Count it for Prometheus, which shows whether models leave memory taken."""
    metrics, gpu = shared_metrics(), {"gpu": str(index)}
    try:
        metrics.add(
            [
                Change("c500_gpu_loads_total", gpu),
                Change("c500_gpu_model_peak_bytes", gpu, use.peak_bytes),
                Change("c500_gpu_residual_bytes", gpu, use.residual_bytes),
            ]
        )
    finally:
        metrics.close()
