"""What every diariser does: find out who spoke when."""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from pydantic import Field

from blocks.audio import Span
from blocks.model import Frozen
from blocks.progress import OnProgress
from blocks.transcript import EngineInfo


class Turn(Frozen):
    """A stretch in which one voice speaks.

    Attributes:
        start_s: Start in seconds from the start of the recording.
        end_s: End in seconds.
        speaker: Number of the voice, from 0 in order of first appearance.
    """

    start_s: float = Field(ge=0)
    end_s: float = Field(ge=0)
    speaker: int = Field(ge=0)


class Diariser(Protocol):
    """Tells voices apart. A context manager that loads on entry and unloads on exit."""

    def info(self) -> EngineInfo:
        """Name, version, model and settings, without loading anything."""
        ...

    def load(self) -> None:
        """Bring the model into memory; nothing happens when it is there."""
        ...

    def unload(self) -> None:
        """Free everything `load` took."""
        ...

    def turns(self, audio: Path, *, spans: Sequence[Span], speakers: int | None, on_progress: OnProgress) -> list[Turn]:
        """The turns of a mono 16 kHz PCM16 WAV file, in order of start.

        Args:
            audio: The file.
            spans: Where there is speech, in order.
            speakers: How many voices there are, None when not known.
            on_progress: Called with the share done; may raise `Stopped`.

        Raises:
            Unsupported: a package is missing.
            NotFound: the model is not on this machine.
            EngineFailed: it did not work.
        """
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
