"""Phrases that speech engines are known to invent, and how a text is compared with them."""

import json
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

PHRASES = Path(__file__).with_name("phantom_phrases.json")
"""By language and for all (`*`): `always` (credits, calls to subscribe) and `doubtful` (people say them too)."""


def normalised(text: str) -> tuple[str, ...]:
    """The words for comparing: NFC, case folded, without punctuation and symbols; apostrophes join ("don't")."""
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())
    joined = folded.replace("'", "").replace("’", "")
    return tuple("".join(" " if unicodedata.category(char)[0] in "PSC" else char for char in joined).split())


Phrases = frozenset[tuple[str, ...]]


@lru_cache(maxsize=32)
def phrases(language: str) -> tuple[Phrases, Phrases]:
    """The phrases that are always phantoms and those that people say too, of a language and of all (`*`)."""
    listed = json.loads(PHRASES.read_text(encoding="utf-8"))
    of_all, of_one = listed["*"], listed.get(language, {})
    always, doubtful = (
        frozenset(normalised(phrase) for phrase in [*of_all[kind], *of_one.get(kind, [])])
        for kind in ("always", "doubtful")
    )
    return always, doubtful


def consists_of(words: Sequence[str], known: Phrases) -> bool:
    """Whether the words are known phrases, one after the other."""
    longest = max(map(len, known), default=0)
    ends = [True] + [False] * len(words)
    for end in range(1, len(words) + 1):
        starts = range(max(0, end - longest), end)
        ends[end] = any(ends[start] and tuple(words[start:end]) in known for start in starts)
    return ends[-1]
