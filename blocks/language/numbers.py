"""Spoken English numbers as digits, conservatively: what is not plainly one number stays as it is."""

import re
from collections.abc import Sequence

UNITS = {
    word: value
    for value, word in enumerate(
        [
            "zero",
            "one",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
            "thirteen",
            "fourteen",
            "fifteen",
            "sixteen",
            "seventeen",
            "eighteen",
            "nineteen",
        ]
    )
}
TENS = {
    word: value
    for value, word in zip(
        range(20, 100, 10),
        ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"],
        strict=True,
    )
}
SCALES = {"thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000}
NUMBER_WORDS = frozenset({*UNITS, *TENS, *SCALES, "hundred"})

LEAST_AS_DIGITS = 10
"""Numbers below stay words in running text, as most style guides have it."""

LEAST_WITH_COMMAS = 10_000


def with_digits(text: str) -> str:
    """The text with its spoken numbers from ten up as digits, and percent as a sign."""
    words = text.split(" ")
    made: list[str] = []
    index = 0
    while index < len(words):
        length = _length(words, index)
        value = parse(words[index : index + length])
        if value is None or value < LEAST_AS_DIGITS:
            made.extend(words[index : index + max(length, 1)])
        else:
            made.append(_digits(value))
        index += max(length, 1)
    return re.sub(r"\b(\d[\d,.]*) percent\b", r"\1%", " ".join(made))


def parse(words: Sequence[str]) -> int | None:
    """The value of a run of number words; None when they are not plainly one number.

    `forty five thousand two hundred` is 45200; `twenty twenty six` is None.
    """
    if not words:
        return None
    total = group = 0
    last = "start"
    least_scale: int | None = None
    for word in words:
        if word in UNITS:
            if last == "unit" or (last == "tens" and not 1 <= UNITS[word] <= 9):
                return None
            group, last = group + UNITS[word], "unit"
        elif word in TENS:
            if last in ("unit", "tens"):
                return None
            group, last = group + TENS[word], "tens"
        elif word == "hundred":
            if last != "unit" or group >= 100 or group == 0:
                return None
            group, last = group * 100, "hundred"
        else:
            scale = SCALES[word]
            if last in ("start", "scale") or (least_scale is not None and scale >= least_scale):
                return None
            total, group, least_scale, last = total + group * scale, 0, scale, "scale"
    return total + group


def _length(words: Sequence[str], first: int) -> int:
    """How many words from here on are number words."""
    length = 0
    while first + length < len(words) and words[first + length] in NUMBER_WORDS:
        length += 1
    return length


def _digits(value: int) -> str:
    return f"{value:,}" if value >= LEAST_WITH_COMMAS else str(value)


def numbers_in(text: str) -> list[str]:
    """All numbers of a text, spoken or written, as plain digits, in order.

    Used to see whether a rewritten text still has every number of the first one.
    """
    spoken = [word.strip(".,;:!?()\"'").replace("-", " ") for word in text.lower().split()]
    flat = " ".join(spoken).split()
    found: list[str] = []
    index = 0
    while index < len(flat):
        length = _length(flat, index)
        value = parse(flat[index : index + length])
        if value is not None:
            found.append(str(value))
        elif length:
            found.extend(
                str(parse([word])) for word in flat[index : index + length] if parse([word]) is not None
            )
        else:
            found.extend(digits.replace(",", "") for digits in re.findall(r"\d+(?:[.,]\d+)*", flat[index]))
        index += max(length, 1)
    return found
