"""A job that holds a GPU and a model's process, and waits in it until it is stopped."""

import json
import os
from pathlib import Path

from prefect import flow

from blocks.progress import in_thread, progress
from tests.fakes.gpu import CountingModel, SimulatedGpu

PROCESSES = Path("processes.json")
"""The processes of the flow and of the model, and the group of the flow."""

GPU = 6


@flow(name="process-text", persist_result=False)
async def process_text(processes: str) -> None:
    """Hold the GPU.

    Args:
        processes: File to write the processes to.
    """
    gpu = SimulatedGpu(index=GPU)
    model = CountingModel(meter=gpu._simulated)
    never = Path(processes).with_name("never")
    async with gpu.hold(model, model.need), progress("hold") as on_progress:
        told = {"flow": os.getpid(), "model": model.process.pid, "group": os.getpgid(0)}
        temporary = Path(processes).with_suffix(".new")
        temporary.write_text(json.dumps(told))
        temporary.rename(processes)
        await in_thread(model.process.call, {"numbers": [1], "wait_for": str(never)}, on_progress)
