"""The language engines there are; a new one is a row here and a file beside."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

from blocks.errors import Unsupported
from blocks.language.protocol import LanguageEngine
from blocks.settings import settings


@dataclass(frozen=True, kw_only=True)
class LanguageEntry:
    """One engine.

    Attributes:
        name: What `--language-engine` takes.
        description: One line for people.
        missing: What makes it available, None when it is.
        build: Makes the engine; imports nothing heavy before.
    """

    name: str
    description: str
    missing: Callable[[], str | None]
    build: Callable[[], LanguageEngine]


def _openai() -> LanguageEngine:
    from blocks.language.openai import OpenAILanguageEngine

    return OpenAILanguageEngine()


def _extractive() -> LanguageEngine:
    from blocks.language.extractive import ExtractiveEngine

    return ExtractiveEngine()


def _extractive_missing() -> str | None:
    missing = [name for name in ("sumy", "rake_nltk") if find_spec(name) is None]
    return f"pip install {' '.join(missing)}" if missing else None


ENTRIES = (
    LanguageEntry(
        name="openai",
        description="any server with /v1/chat/completions: vLLM, a gateway, a provider",
        missing=lambda: None if settings().openai_language_url else "set OPENAI_LANGUAGE_URL (and its key and model)",
        build=_openai,
    ),
    LanguageEntry(
        name="extractive",
        description="no model: punctuation by rules, sentences ranked and copied, nothing made up",
        missing=_extractive_missing,
        build=_extractive,
    ),
)
"""In order of preference for `auto`."""


def entries() -> tuple[LanguageEntry, ...]:
    """All engines, installed or not."""
    return ENTRIES


def choose(name: str) -> LanguageEngine:
    """The engine of that name, or with `auto` the first that is there.

    Raises:
        Unsupported: no such engine, or it is not there.
    """
    wanted = settings().language_engine if name == "auto" else name
    if wanted == "auto":
        wanted = next((entry.name for entry in ENTRIES if entry.missing() is None), ENTRIES[-1].name)
    entry = next((entry for entry in ENTRIES if entry.name == wanted), None)
    if entry is None:
        known = ", ".join(entry.name for entry in ENTRIES)
        raise Unsupported(
            f"there is no language engine {wanted!r}",
            fix=f"choose auto or one of {known}",
            field="language_engine",
        )
    if (how := entry.missing()) is not None:
        raise Unsupported(f"language engine {wanted!r} is not there", fix=how, field="language_engine")
    return entry.build()
