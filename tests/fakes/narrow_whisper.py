"""A Whisper on a device without memory for float32."""

from collections.abc import Sequence
from typing import Any

from blocks.errors import OutOfMemory
from blocks.inference.runtime import Unit
from blocks.speech.whisper_runtime import WhisperRuntime


class NarrowWhisper(WhisperRuntime):
    """Loads float32, but cannot compute in it."""

    def run(self, batch: Sequence[Unit]) -> list[Any]:
        """Only int8 fits."""
        if self._compute_type == "float32":
            raise OutOfMemory("it does not fit", fix="set WHISPER_COMPUTE_TYPE=int8")
        return super().run(batch)
