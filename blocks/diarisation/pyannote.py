"""Diarisation by pyannote.audio 3 or 4: a neural pipeline with torch, from a folder on this machine."""

import os
import wave
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from blocks.audio import SAMPLE_RATE_HZ, Span
from blocks.diarisation.protocol import Turn
from blocks.errors import BadInput, C500Error, EngineFailed, NotFound, OutOfMemory, Unsupported
from blocks.models.locate import find, locate
from blocks.progress import OnProgress
from blocks.settings import settings
from blocks.transcript import EngineInfo
from blocks.vram import VramNeed, gpu_count

STAGES = {"segmentation": (0.0, 0.5), "embeddings": (0.5, 1.0)}
"""The two stages of the pipeline that take long, as shares of the whole."""


PIPELINE_BYTES = 2_000_000_000
"""Its two small networks with their batches of 32; a cautious figure that nobody measured here."""


class PyannoteDiariser:
    """Knows overlapping speech; needs the whole recording in memory (0.23 GB an hour).

    The model is the setting PYANNOTE_MODEL. It computes on the GPU of GPU_INDEX when torch has one.
    """

    def __init__(self) -> None:
        self._model = settings().pyannote_model
        self._pipeline: Any = None

    def info(self) -> EngineInfo:
        """Name, version and model, without loading anything."""
        _check_installed()
        located = find(self._model)
        details = {"revision": located.revision if located else None}
        return EngineInfo(name="pyannote", version=version("pyannote.audio"), model=self._model, settings=details)

    def vram(self) -> VramNeed | None:
        """A round figure; it computes on the GPU when the driver shows one."""
        if not gpu_count():
            return None
        return VramNeed(fixed_bytes=PIPELINE_BYTES, item_bytes=1, most_items=1, smaller="set diarise=cluster")

    def give(self, items: int) -> None:
        """Its batches are its own affair."""

    def load(self) -> None:
        """Load the pipeline; see `Diariser.turns` for what it raises."""
        if self._pipeline is None:
            _check_installed()
            self._pipeline = _pipeline(self._folder() / "config.yaml")

    def unload(self) -> None:
        """Free the pipeline and its GPU memory."""
        if self._pipeline is not None:
            torch: Any = import_module("torch")
            self._pipeline = None
            if torch.cuda.is_available():
                torch.cuda.empty_cache()

    def __enter__(self) -> Self:
        self.load()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.unload()

    def turns(self, audio: Path, *, spans: Sequence[Span], speakers: int | None, on_progress: OnProgress) -> list[Turn]:
        """The turns as the pipeline's own speech detection finds them; see `Diariser.turns`.

        The spans only tell whether there is speech at all.

        Raises:
            BadInput: fewer than one speaker is asked for.
        """
        if speakers is not None and speakers < 1:
            raise BadInput(f"speakers is {speakers}", fix="ask for at least one speaker, or for none in particular")
        if not spans:
            return []
        self.load()
        torch: Any = import_module("torch")
        try:
            samples = _in_memory(audio)
            output = self._pipeline(samples, num_speakers=speakers, hook=_hook(on_progress))
        except C500Error:
            raise
        except torch.OutOfMemoryError as error:
            raise OutOfMemory(
                "diarisation does not fit the GPU's memory", fix="diarise=cluster computes on the CPU"
            ) from error
        except Exception as error:
            raise EngineFailed(f"pyannote.audio failed: {error}", fix="try diarise=cluster") from error
        return turns_in(output, samples["waveform"].shape[1] / SAMPLE_RATE_HZ)

    def _folder(self) -> Path:
        try:
            return locate(self._model).folder
        except NotFound as error:
            terms = f"accept the terms of {self._model} on the hub, then: {error.fix}"
            raise NotFound(error.message, fix=terms, **error.details) from None


def _check_installed() -> None:
    if not (find_spec("pyannote") and find_spec("pyannote.audio")):
        raise Unsupported("diarise=pyannote needs pyannote.audio", fix="pip install 'c500[pyannote]'")


def _pipeline(config: Path) -> Any:
    """The pipeline of a `config.yaml`, on the GPU if there is one; never asks the network.

    Raises:
        NotFound: it names models that lie on the hub.
        EngineFailed: it cannot be loaded.
    """
    # pyannote.audio 4 reports every use to otel.pyannote.ai unless this is set before it is imported.
    os.environ["PYANNOTE_METRICS_ENABLED"] = "false"
    torch: Any = import_module("torch")
    yaml: Any = import_module("yaml")
    package: Any = import_module("pyannote.audio")
    fix = "pull it again (c500 models pull), or name another folder in PYANNOTE_MODEL"
    try:
        _check_local(config, yaml.safe_load(config.read_text(encoding="utf-8")))
        # The file, not its folder: version 3 takes a folder for a name on the hub.
        pipeline: Any = package.Pipeline.from_pretrained(config)
        if pipeline is not None and torch.cuda.is_available():
            pipeline.to(torch.device("cuda", settings().gpu_index))
    except C500Error:
        raise
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise EngineFailed(f"{config} cannot be loaded by pyannote.audio: {reason}", fix=fix) from error
    if pipeline is None:
        raise EngineFailed(f"{config} cannot be loaded by pyannote.audio", fix=fix)
    return pipeline


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


def _in_memory(audio: Path) -> dict[str, Any]:
    """The samples, so that version 4 need not decode with torchcodec."""
    import numpy as np

    torch: Any = import_module("torch")

    with wave.open(str(audio), "rb") as wav:
        samples = np.frombuffer(wav.readframes(wav.getnframes()), np.dtype("<i2"))
    return {"waveform": torch.from_numpy(samples.astype(np.float32) / 32768)[None], "sample_rate": SAMPLE_RATE_HZ}


def _hook(on_progress: OnProgress) -> Any:
    def hook(step: str, *_: Any, completed: int | None = None, total: int | None = None, **__: Any) -> None:
        begin, end = STAGES.get(step, (0.0, 0.0))
        if total and completed is not None:
            on_progress(float(begin + (end - begin) * completed / total))  # version 4 counts in NumPy's numbers

    return hook


def turns_in(output: Any, duration_s: float) -> list[Turn]:
    """The turns in what a pipeline gives: version 3 an Annotation, version 4 an object with two.

    Of the two the exclusive one is taken, in which only one speaks at a time: made for transcripts. The last frame may
    reach beyond the recording and is cut.
    """
    annotation = getattr(output, "exclusive_speaker_diarization", None)
    if annotation is None:
        annotation = getattr(output, "speaker_diarization", output)
    found = [(part.start, part.end, label) for part, _, label in annotation.itertracks(yield_label=True)]
    numbers: dict[str, int] = {}
    return [
        Turn(start_s=max(0.0, start_s), end_s=min(end_s, duration_s), speaker=numbers.setdefault(label, len(numbers)))
        for start_s, end_s, label in sorted(found)
        if start_s < duration_s
    ]
