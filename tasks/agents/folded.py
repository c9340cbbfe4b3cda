"""Texts without what a loop may hide behind: numbers, ids, times, case, blanks, characters that look alike."""

import json
import re
import unicodedata
from hashlib import sha256
from typing import Any

from blocks.action import canonical

MOST_CHARS = 8192
"""Longer texts are alike only when they are equal: to compare them costs milliseconds."""
MOST_FOLDED_CHARS = 32_768
"""What is behind in a longer text stands there as its hash."""

LOOK_ALIKES = str.maketrans(
    "авекмнорстухіїјѕԁһԛԝѵӏ" + "αβγενικορτυχω",
    "abekmhopctyxiijsdhqwvl" + "abyevikoptuxw",
)
"""Small Cyrillic and Greek letters that look like Latin ones (Unicode Technical Standard 39, confusables)."""

TIME = re.compile(
    r"\d{4}-\d\d-\d\d(?:[t ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:z|[+-]\d\d:?\d\d)?)?|\d\d?:\d\d:\d\d(?:[.,]\d+)?"
)
UUID = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
HEX_ID = re.compile(r"\b[vt]?(?=[a-f]*\d)(?=\d*[a-f])[0-9a-f]{7,}\b")
NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
BLANKS = re.compile(r"\s+")


def folded(text: str) -> str:
    """The text with all that taken out: two texts that differ only in it come out the same.

    Times, ids and numbers become `#`; letters become small, and Latin where they look so; invisible characters go.
    """
    head, tail = text[:MOST_FOLDED_CHARS], text[MOST_FOLDED_CHARS:]
    plain = head.lower() if head.isascii() else _latin(head)
    for pattern in (TIME, UUID, HEX_ID, NUMBER):
        plain = pattern.sub("#", plain)
    plain = BLANKS.sub(" ", plain).strip()
    return f"{plain} {sha256(tail.encode('utf-8', 'surrogatepass')).hexdigest()}" if tail else plain


def _latin(text: str) -> str:
    plain = unicodedata.normalize("NFKC", text).casefold()
    plain = "".join(char for char in plain if unicodedata.category(char) != "Cf").translate(LOOK_ALIKES)
    return unicodedata.normalize("NFKC", plain)


def as_text(value: Any) -> str:
    """A value as text, the same for the same value; what is no JSON by its representation."""
    if isinstance(value, str):
        return value
    try:
        return canonical(value)
    except (TypeError, ValueError):
        return json.dumps(value, sort_keys=True, default=repr, ensure_ascii=False)


def alike(first: str, second: str, *, least: float, most_chars: int) -> bool:
    """Whether two folded texts are nearly the same.

    Args:
        first, second: The texts.
        least: Likeness that they need, 0 to 1: the share of characters that both have in the same order, as
            `difflib` gives it and rapidfuzz computes in microseconds.
        most_chars: Characters in which they may differ at most, however long they are: two versions of a long file
            are alike by their share, and yet not the same step.
    """
    from rapidfuzz.distance import Indel

    if first == second:
        return True
    if max(len(first), len(second)) > MOST_CHARS:
        return False
    distance = Indel.distance(first, second, score_cutoff=most_chars)
    return distance <= most_chars and distance <= (1 - least) * (len(first) + len(second))
