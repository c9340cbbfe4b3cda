"""What every speech engine does."""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from blocks.audio import Span
from blocks.progress import OnProgress
from blocks.transcript import EngineInfo, Transcript


class SpeechEngine(Protocol):
    """Turns speech into a transcript. A context manager that loads on entry and unloads on exit."""

    def info(self) -> EngineInfo:
        """Name, version, model and settings, without loading anything."""
        ...

    def load(self) -> None:
        """Bring the model into memory; nothing happens when it is there."""
        ...

    def unload(self) -> None:
        """Free everything `load` took."""
        ...

    def transcribe(
        self,
        audio: Path,
        *,
        spans: Sequence[Span],
        language: str | None,
        hints: Sequence[str],
        on_progress: OnProgress,
    ) -> Transcript:
        """Transcribe a mono 16 kHz PCM16 WAV file.

        Args:
            audio: The file.
            spans: Where there is speech, in order; engines may cut there.
            language: ISO 639-1 code, or None to detect it.
            hints: Names and terms likely to occur.
            on_progress: Called with the share done; may raise `Stopped`.

        Raises:
            Unsupported: the language is not one of this engine's.
            EngineFailed, EngineUnavailable: it did not work.
        """
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
