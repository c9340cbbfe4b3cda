"""The job flows: `from flows import process_audio`."""

from flows.audio import process_audio, process_batch, process_text

__all__ = ["process_audio", "process_batch", "process_text"]
