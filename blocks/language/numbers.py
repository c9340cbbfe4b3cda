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

CENTURIES = range(17, 22)
"""First halves of years: `nineteen ninety nine`."""

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
    total = group = 0
    least_scale = max(SCALES.values()) * 1000
    last = ""
    for word in words:
        if word == "and":
            continue
        kind = _kind(word)
        if last not in MAY_FOLLOW[kind]:
            return None
        if kind == "hundred":
            group *= 100
        elif kind == "scale":
            if SCALES[word] >= least_scale or group == 0:
                return None
            total, group, least_scale = total + group * SCALES[word], 0, SCALES[word]
        else:
            group += UNITS.get(word, 0) + TENS.get(word, 0)
        last = kind
    return total + group if words else None


MAY_FOLLOW = {
    "digit": {"", "tens", "hundred", "scale"},
    "teen": {"", "hundred", "scale"},
    "tens": {"", "hundred", "scale"},
    "hundred": {"digit"},
    "scale": {"digit", "teen", "tens", "hundred"},
}
"""Which kind of number word each kind may come after, in one number; "" is the start."""


def _kind(word: str) -> str:
    if word in TENS:
        return "tens"
    if word in UNITS:
        return "digit" if 1 <= UNITS[word] <= 9 else "teen"
    return "hundred" if word == "hundred" else "scale"


def _length(words: Sequence[str], first: int) -> int:
    """How many words from here on are number words; `and` counts within `two hundred and fifty`."""
    length = 0
    while first + length < len(words):
        word = words[first + length]
        joins = word == "and" and length > 0 and words[first + length - 1] == "hundred"
        if word not in NUMBER_WORDS and not (joins and words[first + length + 1 : first + length + 2] != []):
            break
        if joins and words[first + length + 1] not in UNITS.keys() | TENS.keys():
            break
        length += 1
    return length


def _digits(value: int) -> str:
    return f"{value:,}" if value >= LEAST_WITH_COMMAS else str(value)


def numbers_in(text: str) -> list[str]:
    """All numbers of a text, spoken or written, as plain digits, in order.

    Used to see whether a rewritten text still has every number of the first one: `twenty twenty six`
    counts as 2026, and `2 million` as 2000000.
    """
    spoken = [word.strip(".,;:!?()\"'").replace("-", " ") for word in text.lower().split()]
    flat = " ".join(spoken).split()
    found: list[str] = []
    index = 0
    while index < len(flat):
        length = _length(flat, index)
        if length:
            found += _spoken(flat[index : index + length])
        else:
            after = flat[index + 1] if index + 1 < len(flat) else ""
            digits = [digits.replace(",", "") for digits in re.findall(r"\d+(?:[.,]\d+)*", flat[index])]
            if after in SCALES and re.fullmatch(r"\D?\d[\d,]*(\.\d+)?", flat[index]):
                digits, length = [f"{float(digits[0]) * SCALES[after]:.0f}"], 2
            found += digits
        index += max(length, 1)
    return found


def _spoken(words: Sequence[str]) -> list[str]:
    """The numbers of a run of number words: the longest there are, and years said in two halves as one."""
    values: list[int] = []
    first = 0
    while first < len(words):
        ends = range(len(words), first, -1)
        last = next((end for end in ends if words[end - 1] != "and" and parse(words[first:end]) is not None), 0)
        value = parse(words[first:last]) if last else None
        if value is not None and values and values[-1] in CENTURIES and 10 <= value < 100:
            values[-1] = values[-1] * 100 + value
        elif value is not None:
            values.append(value)
        first = max(last, first + 1)
    return [str(value) for value in values]
