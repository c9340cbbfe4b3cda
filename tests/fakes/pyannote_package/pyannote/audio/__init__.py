"""A stand-in for pyannote.audio, for processes that have it on PYTHONPATH; its signatures are those of 3.3 and 4.0.

C500_FAKE_PYANNOTE names a JSON file that says how it behaves: `import_error` and `failure` (words of what is raised),
`unusable` (it loads nothing and says nothing), `memory` (`load` or `run`: where it runs out), `gate` (a path that has
to exist before it answers). What it notes goes to the file of that name that ends in `.log`.
"""

import json
import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

CONTROL = Path(os.environ["C500_FAKE_PYANNOTE"])
WATCHED = ("PYANNOTE_METRICS_ENABLED", "HF_HUB_OFFLINE", "CUDA_DEVICE_ORDER", "CUDA_VISIBLE_DEVICES")


def behaviour() -> dict[str, Any]:
    """What the test asks for at this moment."""
    return json.loads(CONTROL.read_text())


def note(**what: Any) -> None:
    """Tell the test."""
    with CONTROL.with_suffix(".log").open("a") as log:
        log.write(json.dumps(what) + "\n")


def run_out_of_memory(where: str) -> None:
    """As torch does it, if it is to happen here."""
    if behaviour().get("memory") == where:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


class Annotation:
    """What `pyannote.core.Annotation` is asked for."""

    def __init__(self, *tracks: tuple[float, float, str]) -> None:
        self._tracks = tracks

    def itertracks(self, yield_label: bool = False) -> Any:
        assert yield_label
        for number, (start, end, label) in enumerate(self._tracks):
            yield SimpleNamespace(start=start, end=end), number, label


class Pipeline:
    """Finds the same turns in any recording of three seconds."""

    @classmethod
    def from_pretrained(cls, checkpoint: Path) -> "Pipeline | None":
        note(loaded=str(checkpoint), environment={name: os.environ.get(name) for name in WATCHED})
        run_out_of_memory("load")
        return None if behaviour().get("unusable") else cls()

    def to(self, device: torch.device) -> "Pipeline":
        note(device=str(device))
        return self

    def __call__(self, file: dict[str, Any], num_speakers: int | None = None, hook: Any = None) -> Annotation:
        assert tuple(file["waveform"].shape) == (1, 3 * file["sample_rate"])
        note(speakers=num_speakers)
        run_out_of_memory("run")
        if failure := behaviour().get("failure"):
            raise ValueError(failure)
        while (gate := behaviour().get("gate")) and not Path(gate).exists():
            time.sleep(0.01)
        return Annotation(*[(float(number), number + 1.0, f"S{number}") for number in range(num_speakers or 1)])


if words := behaviour().get("import_error"):
    raise AttributeError(words)
