"""Settings of fixtures that many tests share: those of a single test are gone before and not there yet."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

from blocks.environment import variables
from blocks.settings import settings


@contextmanager
def settings_from(values: Mapping[str, str]) -> Generator[None]:
    """Within, the settings are those of the environment with these variables."""
    try:
        with variables(values):
            settings.cache_clear()
            yield
    finally:
        settings.cache_clear()


def tiny_whisper_settings(model: Path) -> dict[str, str]:
    """A tiny Whisper: greedy, on the CPU."""
    return {
        "WHISPER_MODEL_VARIANT": str(model),
        "WHISPER_DEVICE": "cpu",
        "WHISPER_COMPUTE_TYPE": "float32",
        "WHISPER_BEAM_SIZE": "1",
    }


def tiny_chunkformer_settings(model: Path) -> dict[str, str]:
    """A tiny ChunkFormer, on the CPU."""
    return {"CHUNKFORMER_MODEL_NAME": str(model), "CHUNKFORMER_DEVICE": "cpu"}
