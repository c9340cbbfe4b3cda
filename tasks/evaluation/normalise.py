"""What counts as the same word. A normalisation has a name, which stands beside every figure that it is behind."""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

WITHIN_WORDS = re.compile("[\u00ad\u200c\u200d\u2060\ufeff]")
"""Soft hyphens, joiners and the byte order mark: nothing to see, and no end of a word."""

APOSTROPHES = re.compile("[‘’ʼ`´]")
WORD_CHARS = ("L", "M", "N")
"""Letters, the marks above and below them, and digits, by the first letter of their Unicode category."""

TONES = "\u0300\u0301\u0303\u0309\u0323"
"""The five tone marks of Vietnamese, as combining characters: huyền, sắc, ngã, hỏi, nặng."""

OLD_TONE_PLACE = re.compile(rf"(?<![qQ])([oO])([{TONES}])([aAeE])(?!\w)|(?<![qQ])([uU])([{TONES}])([yY])(?!\w)")
"""«hòa», «khỏe», «thủy»: the tone on the first of two vowels that end a syllable, as it was written before 1984."""


@dataclass(frozen=True, kw_only=True)
class Normalisation:
    """A way to make words comparable.

    Attributes:
        name: What `--normalisation` takes.
        description: What it does, for the report.
        apply: Makes of text and language (ISO 639-1, or None) words that single spaces part.
    """

    name: str
    description: str
    apply: Callable[[str, str | None], str]

    def words(self, text: str, language: str | None = None) -> list[str]:
        """The words of a text."""
        return self.apply(text, language).split()


def spaced(text: str, language: str | None = None) -> str:
    """Composed characters (NFC), single spaces; nothing else is changed."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def plain_words(text: str, language: str | None = None) -> str:
    """Lower-case words without punctuation; numbers as they are written.

    An apostrophe stays within a word, and a point, comma or colon between two digits; a hyphen parts words. In
    Vietnamese, and where no language is named, the two ways to place a tone mark (hòa, hoà) are one.
    """
    text = APOSTROPHES.sub("'", unicodedata.normalize("NFC", WITHIN_WORDS.sub("", text.casefold())))
    if language in ("vi", None):
        text = _new_tone_place(text)
    kept = [char if _belongs(text, at, char) else " " for at, char in enumerate(text)]
    return " ".join("".join(kept).split())


def _belongs(text: str, at: int, char: str) -> bool:
    """Whether a character is part of a word."""
    if unicodedata.category(char)[0] in WORD_CHARS:
        return True
    before, after = text[at - 1 : at], text[at + 1 : at + 2]
    if char == "'":
        return before.isalnum() and after.isalnum()
    return char in ".,:" and before.isdigit() and after.isdigit()


def _new_tone_place(text: str) -> str:
    loose = unicodedata.normalize("NFD", text)
    moved = OLD_TONE_PLACE.sub(lambda found: _tone_last([part for part in found.groups() if part]), loose)
    return unicodedata.normalize("NFC", moved)


def _tone_last(parts: list[str]) -> str:
    first, tone, second = parts
    return f"{first}{second}{tone}"


NORMALISATIONS = (
    Normalisation(
        name="words",
        description=(
            "case and punctuation do not count; hyphens part words; numbers are compared as they are written "
            "(“20” is not “twenty”); characters are composed (NFC), and in Vietnamese “hòa” is “hoà”"
        ),
        apply=plain_words,
    ),
    Normalisation(
        name="written",
        description="case, punctuation and numbers count as they are written; characters are composed (NFC)",
        apply=spaced,
    ),
)
"""In order of use; the first is the default."""

BY_NAME = {one.name: one for one in NORMALISATIONS}
