"""A GPU that exists only as figures, and a model in a real process that says how much of it it takes."""

from pathlib import Path
from typing import Any

from prefect.blocks.core import Block
from pydantic import PrivateAttr

from blocks.gpu import Gpu
from blocks.inference.process import ModelProcess
from blocks.transcript import EngineInfo
from blocks.vram import Meter, VramNeed

GB = 1_000_000_000


class SimulatedMeter:
    """Memory by the models that are loaded."""

    def __init__(self, total_bytes: int = 24 * GB) -> None:
        self.total = total_bytes
        self.models: list[CountingModel] = []
        self.others_bytes = 0

    def total_bytes(self) -> int:
        return self.total

    def used_bytes(self) -> int:
        return self.others_bytes + sum(model.taken_bytes for model in self.models)


class SimulatedGpu(Gpu):
    """A `Gpu` that reads a `SimulatedMeter`."""

    _block_type_slug = "c500-simulated-gpu"
    _simulated: SimulatedMeter = PrivateAttr(default_factory=SimulatedMeter)

    def meter(self) -> Meter:
        return self._simulated


assert issubclass(SimulatedGpu, Block)


class CountingModel:
    """A GPU model whose process doubles numbers; see `tests.fakes.counting_runtime`."""

    def __init__(
        self, name: str = "counter", meter: SimulatedMeter | None = None, need: VramNeed | None = None, **config: Any
    ) -> None:
        self.name = name
        self.meter = meter
        self.need = need or VramNeed(fixed_bytes=4 * GB, item_bytes=GB, most_items=8, smaller="count less")
        self.items = 0
        self.loads = 0
        self.process = ModelProcess(name, "tests.fakes.counting_runtime:CountingRuntime", lambda: config)
        if meter is not None:
            meter.models.append(self)

    @property
    def taken_bytes(self) -> int:
        return self.need.at(self.items) if self.process.pid else 0

    def info(self) -> EngineInfo:
        return EngineInfo(name=self.name, version="1")

    def vram(self) -> VramNeed | None:
        return self.need if self.meter is not None else None

    def give(self, items: int) -> None:
        self.items = items

    def load(self) -> None:
        self.loads += 1
        self.process.start()

    def unload(self) -> None:
        self.process.stop()


def waiting_at(gate: Path) -> dict[str, str]:
    """Configuration of a model that stays in its loading until the file exists."""
    return {"wait_for": str(gate)}
