"""Diarisation on the CPU: speaker embeddings of short windows, clustered."""

import wave
from collections.abc import Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self

from blocks.audio import Span
from blocks.diarisation.clustering import speaker_labels
from blocks.diarisation.embedding import Embedder
from blocks.diarisation.protocol import Turn
from blocks.diarisation.windows import HOP_S, WINDOW_S, joined, turns_of, windows_of
from blocks.errors import BadInput, Unsupported
from blocks.models.locate import find, locate
from blocks.progress import OnProgress
from blocks.settings import settings
from blocks.transcript import EngineInfo

PACKAGES = ("kaldi_native_fbank", "scipy")


class ClusterDiariser:
    """One voice at a time: where two talk at once, the louder one is heard.

    The model is the setting SPEAKER_MODEL, the distance of two voices SPEAKER_THRESHOLD.
    """

    def __init__(self) -> None:
        chosen = settings()
        self._model = chosen.speaker_model
        self._threshold = chosen.speaker_threshold
        self._embedder: Embedder | None = None

    def info(self) -> EngineInfo:
        """Name, version of ONNX Runtime, model and settings, without loading anything."""
        located = find(self._model)
        details = {
            "threshold": self._threshold,
            "window_s": WINDOW_S,
            "hop_s": HOP_S,
            "revision": located.revision if located else None,
        }
        return EngineInfo(name="cluster", version=version("onnxruntime"), model=self._model, settings=details)

    def load(self) -> None:
        """Load the model; see `Diariser.turns` for what it raises."""
        if self._embedder is not None:
            return
        absent = [name for name in PACKAGES if find_spec(name) is None]
        if absent:
            raise Unsupported(
                f"diarisation by clusters needs {' and '.join(absent)}", fix="pip install 'c500[diarise]'"
            )
        self._embedder = Embedder(locate(self._model).folder)

    def unload(self) -> None:
        """Free the model."""
        self._embedder = None

    def __enter__(self) -> Self:
        self.load()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.unload()

    def turns(self, audio: Path, *, spans: Sequence[Span], speakers: int | None, on_progress: OnProgress) -> list[Turn]:
        """The turns within the spans; see `Diariser.turns`. Memory does not grow with the length of the audio.

        Raises:
            BadInput: fewer than one speaker is asked for.
        """
        if speakers is not None and speakers < 1:
            raise BadInput(f"speakers is {speakers}", fix="ask for at least one speaker, or for none in particular")
        with wave.open(str(audio), "rb") as wav:
            duration_s = wav.getnframes() / wav.getframerate()
        stretches = joined(spans, duration_s)
        if not stretches:
            return []
        self.load()
        if self._embedder is None:
            raise TypeError("load leaves an embedder")
        windows = windows_of(stretches)
        embeddings = self._embedder.embed(audio, windows, on_progress)
        labels = speaker_labels(embeddings, threshold=self._threshold, speakers=speakers)
        return turns_of(stretches, windows, [int(label) for label in labels])
