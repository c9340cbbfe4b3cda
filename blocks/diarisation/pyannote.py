"""Diarisation by pyannote.audio 3 or 4: a neural pipeline with torch, in a process of its own."""

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from blocks.audio import Span
from blocks.diarisation.protocol import Turn
from blocks.errors import BadInput, NotFound, Unsupported
from blocks.inference.process import ModelProcess
from blocks.models.locate import find, locate
from blocks.progress import OnProgress
from blocks.settings import settings
from blocks.transcript import EngineInfo
from blocks.vram import VramNeed, device_environment, gpu_count

RUNTIME = "blocks.diarisation.pyannote_runtime:PyannoteRuntime"

ENVIRONMENT = {"PYANNOTE_METRICS_ENABLED": "false"}
"""Version 4 reports every use to otel.pyannote.ai unless this is set before it is imported."""

PIPELINE_BYTES = 2_000_000_000
"""Its two small networks with their batches of 32; a cautious figure that nobody measured here."""


class PyannoteDiariser:
    """Knows overlapping speech; needs the whole recording in memory (0.23 GB an hour).

    The model is the setting PYANNOTE_MODEL. It computes on the GPU of GPU_INDEX when torch has one.
    """

    def __init__(self) -> None:
        self._model = settings().pyannote_model
        self._process = ModelProcess("pyannote.audio", RUNTIME, self._config, device_environment() | ENVIRONMENT)

    def info(self) -> EngineInfo:
        """Name, version and model, without loading anything."""
        located = find(self._model)
        details = {"revision": located.revision if located else None}
        return EngineInfo(name="pyannote", version=_version(), model=self._model, settings=details)

    def vram(self) -> VramNeed | None:
        """A round figure; it computes on the GPU when the driver shows one."""
        if not gpu_count():
            return None
        return VramNeed(fixed_bytes=PIPELINE_BYTES, item_bytes=1, most_items=1, smaller="set diarise=cluster")

    def give(self, items: int) -> None:
        """Its batches are its own affair."""

    def load(self) -> None:
        """Start the process that holds the pipeline; see `Diariser.turns` for what it raises."""
        _version()
        self._process.start()

    def unload(self) -> None:
        """End the process; all memory is free."""
        self._process.stop()

    def __enter__(self) -> Self:
        self.load()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.unload()

    def turns(self, audio: Path, *, spans: Sequence[Span], speakers: int | None, on_progress: OnProgress) -> list[Turn]:
        """The turns as the pipeline's own speech detection finds them; see `Diariser.turns`.

        The spans only tell whether there is speech at all. The share done stays 0 until it is 1: a recording is
        computed as one piece, and what the pipeline tells of its stages stays in its process.

        Raises:
            BadInput: fewer than one speaker is asked for.
            Stopped: it is not loaded, or was unloaded meanwhile.
        """
        if speakers is not None and speakers < 1:
            raise BadInput(f"speakers is {speakers}", fix="ask for at least one speaker, or for none in particular")
        request = {"audio": str(audio), "speakers": speakers, "has_spans": bool(spans)}
        answer = self._process.call(request, on_progress)
        return [Turn(start_s=start_s, end_s=end_s, speaker=speaker) for start_s, end_s, speaker in answer["turns"]]

    def _config(self) -> dict[str, Any]:
        try:
            return {"folder": str(locate(self._model).folder)}
        except NotFound as error:
            terms = f"accept the terms of {self._model} on the hub, then: {error.fix}"
            raise NotFound(error.message, fix=terms, **error.details) from None


def _version() -> str:
    try:
        return version("pyannote.audio")
    except PackageNotFoundError:
        raise Unsupported("diarise=pyannote needs pyannote.audio", fix="pip install 'c500[pyannote]'") from None
