"""The speech engines there are; a new one is a row here and a file beside."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

from blocks.errors import C500Error, Unsupported
from blocks.models.locate import locate
from blocks.settings import settings
from blocks.speech.protocol import SpeechEngine
from blocks.vram import gpu_count


@dataclass(frozen=True, kw_only=True)
class SpeechEntry:
    """One engine.

    Attributes:
        name: What `--engine` takes.
        description: One line for people.
        languages: ISO 639-1 codes it speaks; None for any.
        missing: What makes it available, None when it is.
        build: Makes the engine; imports nothing heavy before.
    """

    name: str
    description: str
    languages: frozenset[str] | None
    missing: Callable[[], str | None]
    build: Callable[[], SpeechEngine]

    def speaks(self, language: str | None) -> bool:
        """Whether it takes this language; None asks for nothing in particular."""
        return language is None or self.languages is None or language in self.languages

    def suits(self, language: str | None) -> bool:
        """Whether `auto` may choose it: an engine of one language only where that is asked for, or English."""
        return self.speaks(language) and (language is not None or self.languages in (None, frozenset({"en"})))


def _whisper() -> SpeechEngine:
    from blocks.speech.whisper import WhisperEngine

    return WhisperEngine()


def _chunkformer() -> SpeechEngine:
    from blocks.speech.chunkformer import ChunkFormerEngine

    return ChunkFormerEngine()


def _whisper_missing() -> str | None:
    chosen = settings()
    if find_spec("faster_whisper") is None:
        return "pip install faster-whisper"
    if chosen.whisper_device == "cuda" and not gpu_count():
        return "there is no GPU: set WHISPER_DEVICE=cpu (slow)"
    return _model_missing(chosen.whisper_model_variant)


def _chunkformer_missing() -> str | None:
    chosen = settings()
    if find_spec("chunkformer") is None:
        return "pip install 'c500[gpu]'"
    if chosen.chunkformer_device == "cuda" and not gpu_count():
        return "there is no GPU: set CHUNKFORMER_DEVICE=cpu (slow)"
    return _model_missing(chosen.chunkformer_model_name)


def _model_missing(name: str) -> str | None:
    try:
        locate(name)
    except C500Error as error:
        return error.fix
    return None


def _sphinx() -> SpeechEngine:
    from blocks.speech.sphinx import SphinxEngine

    return SphinxEngine()


def _openai() -> SpeechEngine:
    from blocks.speech.openai import OpenAISpeechEngine

    return OpenAISpeechEngine()


ENTRIES = (
    SpeechEntry(
        name="openai",
        description="any server with /v1/audio/transcriptions, in any language its model speaks",
        languages=None,
        missing=lambda: None if settings().openai_speech_url else "set OPENAI_SPEECH_URL (and its key and model)",
        build=_openai,
    ),
    SpeechEntry(
        name="chunkformer",
        description="ChunkFormer on a GPU: long-form Vietnamese",
        languages=frozenset({"vi"}),
        missing=_chunkformer_missing,
        build=_chunkformer,
    ),
    SpeechEntry(
        name="whisper",
        description="Whisper on a GPU (or a patient CPU): a hundred languages, word times",
        languages=None,
        missing=_whisper_missing,
        build=_whisper,
    ),
    SpeechEntry(
        name="sphinx",
        description="PocketSphinx on the CPU: English, no download, modest accuracy",
        languages=frozenset({"en"}),
        missing=lambda: None if find_spec("pocketsphinx") else "pip install pocketsphinx",
        build=_sphinx,
    ),
)
"""In order of preference for `auto`."""


def entries() -> tuple[SpeechEntry, ...]:
    """All engines, installed or not."""
    return ENTRIES


def choose(name: str, language: str | None) -> SpeechEngine:
    """The engine of that name, or with `auto` the first that is there and speaks the language.

    Raises:
        Unsupported: no such engine, it is not there, or none speaks the language.
    """
    wanted = settings().speech_engine if name == "auto" else name
    if wanted == "auto":
        for entry in ENTRIES:
            if entry.missing() is None and entry.suits(language):
                return entry.build()
        raise Unsupported(f"no installed speech engine speaks {language!r}", fix=_ways(language), field="language")
    entry = next((entry for entry in ENTRIES if entry.name == wanted), None)
    if entry is None:
        known = ", ".join(entry.name for entry in ENTRIES)
        raise Unsupported(f"there is no speech engine {wanted!r}", fix=f"choose auto or one of {known}", field="engine")
    if (how := entry.missing()) is not None:
        raise Unsupported(f"speech engine {wanted!r} is not there", fix=how, field="engine")
    if not entry.speaks(language):
        raise Unsupported(f"{wanted} does not speak {language!r}", fix=_ways(language), field="language")
    return entry.build()


def _ways(language: str | None) -> str:
    ways = [f"{entry.name}: {entry.missing()}" for entry in ENTRIES if entry.speaks(language) and entry.missing()]
    return "; ".join(ways) or "choose another engine: c500 engines"
