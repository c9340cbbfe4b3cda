"""ChunkFormer: long-form Vietnamese speech, in a process of its own."""

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from blocks.audio import Span
from blocks.errors import NotFound
from blocks.inference.process import ModelProcess
from blocks.models.locate import locate
from blocks.progress import OnProgress
from blocks.settings import settings
from blocks.speech.whisper import device_of
from blocks.transcript import EngineInfo, Segment, Transcript
from blocks.vram import VramNeed, device_environment
from blocks.wav import duration_of

RUNTIME = "blocks.speech.chunkformer_runtime:ChunkFormerRuntime"
LANGUAGE = "vi"

BYTES_PER_S = 1_500_000
"""Memory for each second of audio at once. Source: the ChunkFormer paper (arXiv 2502.14673) decodes 16 hours at
once on a GPU of 80 GB."""


class ChunkFormerEngine:
    """Decodes long recordings as they are and short ones together.

    Model, device, chunk and context are the settings CHUNKFORMER_…; it gives no probabilities and no word times.
    """

    def __init__(self) -> None:
        chosen = settings()
        self._model = locate(chosen.chunkformer_model_name)
        self._device = device_of(chosen.chunkformer_device)
        self._duration = chosen.chunkformer_total_batch_duration
        self._process = ModelProcess("ChunkFormer", RUNTIME, self._config, device_environment() | {"TQDM_DISABLE": "1"})

    def info(self) -> EngineInfo:
        """Name, version, model and settings, without loading anything."""
        chosen = settings()
        return EngineInfo(
            name="chunkformer",
            version=version("chunkformer"),
            model=self._model.name,
            settings={
                "revision": self._model.revision,
                "sha256": self._model.sha256,
                "chunk_size": chosen.chunkformer_chunk_size,
                "left_context": chosen.chunkformer_left_context,
                "right_context": chosen.chunkformer_right_context,
                "longest_piece_s": chosen.chunkformer_total_batch_duration,
            },
        )

    def vram(self) -> VramNeed | None:
        """The weights as they lie on disk, and memory for each second of audio at once."""
        if self._device != "cuda":
            return None
        weights = self._model.folder / "pytorch_model.bin"
        if not weights.is_file():
            raise NotFound(f"{self._model.folder} holds no {weights.name}", fix="c500 models check, then pull it again")
        return VramNeed(
            fixed_bytes=weights.stat().st_size,
            item_bytes=BYTES_PER_S,
            most_items=settings().chunkformer_total_batch_duration,
            smaller="set CHUNKFORMER_TOTAL_BATCH_DURATION lower",
        )

    def give(self, items: int) -> None:
        """Compute so many seconds of audio at once."""
        self._duration = items

    def load(self) -> None:
        """Start the process that holds the model; nothing happens when it runs."""
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

    def transcribe(
        self,
        audio: Path,
        *,
        spans: Sequence[Span],
        language: str | None,
        hints: Sequence[str],
        on_progress: OnProgress,
    ) -> Transcript:
        """Transcribe, together with whatever else is asked of this engine; see `SpeechEngine.transcribe`."""
        duration_s = duration_of(audio)
        request: dict[str, Any] = {
            "audio": str(audio),
            "spans": [(span.start_s, span.end_s) for span in spans],
            "duration_s": duration_s,
        }
        answer = self._process.call(request, on_progress)
        return Transcript(
            language=language or LANGUAGE,
            segments=tuple(Segment(**segment) for segment in answer["segments"]),
            engine=self.info(),
            duration_s=duration_s,
        )

    def _config(self) -> dict[str, Any]:
        chosen = settings()
        return {
            "folder": str(self._model.folder),
            "device": self._device,
            "chunk_size": chosen.chunkformer_chunk_size,
            "left_context": chosen.chunkformer_left_context,
            "right_context": chosen.chunkformer_right_context,
            "longest_piece_s": chosen.chunkformer_total_batch_duration,
            "total_batch_duration": self._duration,
        }
