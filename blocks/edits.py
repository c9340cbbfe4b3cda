"""How much a correction changed a text, and whether it lost something that matters."""

import re
from collections import Counter

from blocks.language.numbers import NUMBER_WORDS, numbers_in
from blocks.language.words import CALENDAR, GIVEN_NAMES, UPPER


def edit_rate(raw: str, corrected: str) -> float:
    """Levenshtein distance in words / number of raw words, 0 without raw words.

    Punctuation and capitals do not count, nor whether a number is in words or in digits: these are
    what the correction is for.
    """
    from rapidfuzz.distance import Levenshtein

    before, after = _words(raw), _words(corrected)
    return Levenshtein.distance(before, after) / len(before) if before else 0.0


def loss(raw: str, corrected: str, hints: tuple[str, ...] = ()) -> str | None:
    """The first number or name of the raw text that the corrected one lacks, None when it has all.

    Names are the hints, known given names, days and months, and words written with a capital within
    a sentence.
    """
    gone = Counter(numbers_in(raw)) - Counter(numbers_in(corrected))
    if gone:
        return f"the number {next(iter(gone))}"
    after = corrected.casefold()
    for name in _names(raw, hints):
        if not re.search(rf"(?<!\w){re.escape(name.casefold())}(?!\w)", after):
            return f"the name {name!r}"
    return None


def _words(text: str) -> list[str]:
    """Words in lower case, each run of number words as one."""
    found = re.findall(r"\d[\d.,]*|[^\W_]+(?:['’][^\W_]+)*|%", text.casefold())
    words: list[str] = []
    for word, after in zip(found, [*found, ""][1:], strict=True):
        is_number = word in NUMBER_WORDS or word[0].isdigit()
        within = word == "and" and after in NUMBER_WORDS
        if (is_number or within) and words and words[-1] == "#":
            continue
        words.append("#" if is_number else "percent" if word == "%" else word)
    return words


def _names(raw: str, hints: tuple[str, ...]) -> list[str]:
    lowered = raw.casefold()
    asked = [hint for hint in hints if re.search(rf"(?<!\w){re.escape(hint.casefold())}(?!\w)", lowered)]
    known = [word for word in re.findall(r"[^\W\d_]+", lowered) if word in GIVEN_NAMES or word in CALENDAR]
    inside = re.findall(rf"(?<=[\w,] )[{UPPER}][^\W\d_]+", raw)
    return [*asked, *known, *inside]
