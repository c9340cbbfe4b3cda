"""The words of a text, for searching: no case, no accents, no punctuation."""

import re
import unicodedata
from functools import lru_cache
from hashlib import sha256

from blocks.language.words import STOP_WORDS_EN, STOP_WORDS_VI

WORD = re.compile(r"[^\W_]+")


def folded(text: str) -> str:
    """Small letters without accents: whoever asks for `cau hinh` finds `Cấu hình`."""
    if text.isascii():
        return text.lower()
    parts = unicodedata.normalize("NFKD", text.casefold())
    return "".join(char for char in parts if not unicodedata.combining(char)).replace("đ", "d")


def words(text: str) -> list[str]:
    """All words, in order; `db-3.internal` is three."""
    return WORD.findall(folded(text))


@lru_cache(maxsize=1)
def stop_words() -> frozenset[str]:
    """Words that say nothing about the topic, English and Vietnamese, folded."""
    return frozenset(folded(word) for word in STOP_WORDS_EN | STOP_WORDS_VI)


def topic_words(text: str) -> list[str]:
    """The distinct words that say something, in order; all distinct words when there are no others."""
    distinct = list(dict.fromkeys(words(text)))
    return [word for word in distinct if word not in stop_words()] or distinct


def text_hash(text: str) -> str:
    """The same for texts that differ only in blanks and in how accents are encoded. Case counts: paths have it."""
    return sha256(" ".join(unicodedata.normalize("NFC", text).split()).encode()).hexdigest()
