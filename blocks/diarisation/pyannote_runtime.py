"""pyannote.audio in the process that holds it: a pipeline from a folder, one recording at a time."""

import wave
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from blocks.audio import SAMPLE_RATE_HZ
from blocks.errors import EngineFailed, NotFound, OutOfMemory, Unsupported
from blocks.inference.runtime import Unit

RELOAD = "pull it again (c500 models pull), or name another folder in PYANNOTE_MODEL"


class PyannoteRuntime:
    """The package's pipeline, on the GPU if the process sees one; see `blocks.inference.runtime.Runtime`.

    Args:
        folder: The model: a `config.yaml` and what it names.
    """

    def __init__(self, *, folder: str) -> None:
        self._config = Path(folder) / "config.yaml"

    def load(self) -> dict[str, Any]:
        """Load the pipeline; never asks the network.

        Raises:
            Unsupported: the package cannot be imported.
            NotFound: the configuration names models that lie on the hub.
            EngineFailed: it cannot be loaded.
        """
        try:  # before the packages, whose import takes seconds
            _check_local(self._config, yaml.safe_load(self._config.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, AttributeError, yaml.YAMLError) as error:
            raise self._unusable(error) from error
        self._torch, package = _packages()
        try:
            # The file, not its folder: version 3 takes a folder for a name on the hub.
            self._pipeline: Any = package.Pipeline.from_pretrained(self._config)
            if self._pipeline is not None and self._torch.cuda.is_available():
                self._pipeline.to(self._torch.device("cuda", 0))  # the only one that this process sees
        except self._torch.OutOfMemoryError as error:
            raise _out_of_memory() from error
        except Exception as error:
            raise self._unusable(error) from error
        if self._pipeline is None:
            raise EngineFailed(f"{self._config} cannot be loaded by pyannote.audio", fix=RELOAD)
        return {}

    def _unusable(self, error: Exception) -> EngineFailed:
        reason = str(error).partition("\n")[0]
        return EngineFailed(f"{self._config} cannot be loaded by pyannote.audio: {reason}", fix=RELOAD)

    def split(self, request: dict[str, Any]) -> list[Unit]:
        """The whole recording, since voices are compared across all of it; nothing where there is no speech."""
        return [Unit(payload=request)] if request["has_spans"] else []

    def fits(self, batch: Sequence[Unit], unit: Unit) -> bool:
        """The pipeline takes one recording at a time."""
        return False

    def run(self, batch: Sequence[Unit]) -> list[Any]:
        """The turns of each recording as [start, end, speaker]."""
        return [self._turns(unit.payload) for unit in batch]

    def shrink(self) -> bool:
        """The batches within the pipeline are its own affair."""
        return False

    def answer(self, request: dict[str, Any], outcomes: list[Any]) -> dict[str, Any]:
        """The turns, none without speech."""
        return {"turns": outcomes[0] if outcomes else []}

    def _turns(self, request: dict[str, Any]) -> list[list[Any]]:
        try:
            samples = _samples(Path(request["audio"]))
            waveform = self._torch.from_numpy(samples)[None]
            # In memory, so that version 4 need not decode with torchcodec.
            output = self._pipeline(
                {"waveform": waveform, "sample_rate": SAMPLE_RATE_HZ}, num_speakers=request["speakers"]
            )
            return turns_in(output, len(samples) / SAMPLE_RATE_HZ)
        except self._torch.OutOfMemoryError as error:
            raise _out_of_memory() from error
        except Exception as error:
            raise EngineFailed(f"pyannote.audio failed: {error}", fix="try diarise=cluster") from error


def _packages() -> tuple[Any, Any]:
    """Of torch and pyannote.audio the modules."""
    try:
        return import_module("torch"), import_module("pyannote.audio")
    except Exception as error:  # version 3 with a newer torchaudio: AttributeError
        raise Unsupported(
            f"pyannote.audio cannot be imported: {error}",
            fix="pip install 'c500[pyannote]'; torchaudio has to be of the same version and build as torch",
        ) from error


def _check_local(path: Path, config: Any) -> None:
    """Refuse a configuration with models that are neither beside it (`$model/...`) nor a path."""
    for role, name in config["pipeline"].get("params", {}).items():
        if role not in {"segmentation", "embedding", "plda"} or not isinstance(name, str):
            continue
        if not name.startswith("$model/") and not Path(name).exists():
            raise NotFound(
                f"{path} takes its {role} model {name} from the hub",
                fix="use pyannote/speaker-diarization-community-1, or name a local path in that file",
            )


def _samples(audio: Path) -> Any:
    """The recording as float32 between -1 and 1."""
    with wave.open(str(audio), "rb") as wav:
        samples = np.frombuffer(wav.readframes(wav.getnframes()), np.dtype("<i2"))
    return samples.astype(np.float32) / 32768


def _out_of_memory() -> OutOfMemory:
    return OutOfMemory("diarisation does not fit the GPU's memory", fix="diarise=cluster computes on the CPU")


def turns_in(output: Any, duration_s: float) -> list[list[Any]]:
    """The turns in what a pipeline gives: version 3 an Annotation, version 4 an object with two.

    Of the two the exclusive one is taken, in which only one speaks at a time: made for transcripts. The last frame may
    reach beyond the recording and is cut.

    Returns:
        In order of start: start and end in seconds, and the number of the voice in order of first appearance.
    """
    annotation = getattr(output, "exclusive_speaker_diarization", None)
    if annotation is None:
        annotation = getattr(output, "speaker_diarization", output)
    found = [(float(part.start), float(part.end), label) for part, _, label in annotation.itertracks(yield_label=True)]
    numbers: dict[str, int] = {}
    return [
        [max(0.0, start_s), min(end_s, duration_s), numbers.setdefault(label, len(numbers))]
        for start_s, end_s, label in sorted(found)
        if start_s < duration_s
    ]
