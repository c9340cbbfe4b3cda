"""The memory of GPUs: what models need, what the driver says."""

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from blocks.errors import Unsupported
from blocks.model import Frozen
from blocks.settings import settings

BYTES_PER_GB = 1e9
CONTEXT_BYTES = 600_000_000
"""What a process with a CUDA context and the libraries' workspaces takes before any model. A round figure for
Ampere to Hopper; the `gpu` benchmark measures it."""


class VramNeed(Frozen):
    """What a model takes of a GPU's memory.

    Attributes:
        fixed_bytes: Weights and workspaces, whatever is computed.
        item_bytes: For each item of a batch.
        most_items: Largest batch worth having.
        smaller: What the user can change to need less.
    """

    fixed_bytes: int
    item_bytes: int
    most_items: int
    smaller: str

    def at(self, items: int) -> int:
        """Bytes with so many items at once."""
        return CONTEXT_BYTES + self.fixed_bytes + items * self.item_bytes

    def items_within(self, free_bytes: int) -> int:
        """How many items fit, at most `most_items`; 0 when not even one does."""
        room = (free_bytes - CONTEXT_BYTES - self.fixed_bytes) // max(1, self.item_bytes)
        return max(0, min(self.most_items, room))


class VramUse(Frozen):
    """What a model really took, in bytes beyond what was used before.

    Attributes:
        estimate_bytes: What was expected.
        peak_bytes: The most.
        residual_bytes: What was still taken after unloading.
    """

    estimate_bytes: int
    peak_bytes: int
    residual_bytes: int


@runtime_checkable
class GpuModel(Protocol):
    """A model that wants a GPU."""

    def vram(self) -> VramNeed | None:
        """What it needs; None when it computes elsewhere."""
        ...

    def give(self, items: int) -> None:
        """Set the size of its batches, before loading."""
        ...

    def load(self) -> None:
        """Bring it into memory."""
        ...

    def unload(self) -> None:
        """Free everything, also while `load` runs in another thread."""
        ...


class Meter(Protocol):
    """Reads a GPU's memory."""

    def total_bytes(self) -> int:
        """Memory of the GPU."""
        ...

    def used_bytes(self) -> int:
        """Memory taken by all processes."""
        ...


@dataclass(frozen=True)
class Nvml:
    """The driver's own figures, for one GPU.

    Raises:
        Unsupported: there is no such GPU.
    """

    index: int

    def total_bytes(self) -> int:
        """Memory of the GPU."""
        return int(self._memory().total)

    def used_bytes(self) -> int:
        """Memory taken by all processes."""
        return int(self._memory().used)

    def _memory(self) -> Any:
        import pynvml

        try:
            pynvml.nvmlInit()
            return pynvml.nvmlDeviceGetMemoryInfo(pynvml.nvmlDeviceGetHandleByIndex(self.index))
        except pynvml.NVMLError as error:
            raise Unsupported(
                f"GPU {self.index} cannot be used: {error}",
                fix="check nvidia-smi and GPU_INDEX, or compute on the CPU (WHISPER_DEVICE=cpu)",
                field="GPU_INDEX",
            ) from error


def gpu_count() -> int:
    """Number of NVIDIA GPUs that the driver shows."""
    import pynvml

    try:
        pynvml.nvmlInit()
        return int(pynvml.nvmlDeviceGetCount())
    except pynvml.NVMLError:
        return 0


def device_environment() -> dict[str, str]:
    """Variables for a process that shall see the GPU of the settings alone, as number 0.

    CUDA numbers cards by speed unless told otherwise; nvidia-smi, NVML and so our settings by their place on the bus.
    """
    return {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": str(settings().gpu_index)}


def in_gb(size_bytes: int) -> str:
    """A size as people read it."""
    return f"{size_bytes / BYTES_PER_GB:.1f} GB"
