"""The numbers of a text, in digits or in words, English and Vietnamese: every value that a number may mean."""

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import NamedTuple

from tasks.evaluation.spoken import JOINS, MAY_FOLLOW_A, SCALES_VI, WORDS_EN, WORDS_VI, values_en, values_vi

Values = Callable[[Sequence[str]], frozenset[float]]
"""What number words that stand together may mean."""

WRITTEN = re.compile(r"\d+(?:[.,]\d+)*")
WORD = re.compile(r"[^\W\d_]+")

SCALES = {
    **{"k": 1_000, "thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000},
    **{"m": 1_000_000, "bn": 1_000_000_000, "tr": 1_000_000, **SCALES_VI},
}
SCALED = re.compile(rf"({WRITTEN.pattern})\s?({'|'.join(SCALES)})\b", re.IGNORECASE)

FIRST_TO_NINTH = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth")
TENTH_ON = (
    *("tenth", "eleventh", "twelfth", "thirteenth", "fourteenth", "fifteenth"),
    *("sixteenth", "seventeenth", "eighteenth", "nineteenth", "twentieth"),
)
ORDINALS = {
    **{word: value for value, word in enumerate([*FIRST_TO_NINTH, *TENTH_ON], start=1)},
    **{f"twenty {word}": 20 + value for value, word in enumerate(FIRST_TO_NINTH, start=1)},
    **{"thirtieth": 30, "thirty first": 31},
}
ORDINAL_WORDS = "|".join(sorted(ORDINALS, key=len, reverse=True)).replace(" ", "[ -]")
ORDINAL = re.compile(rf"\b(?:{ORDINAL_WORDS})\b", re.IGNORECASE)

ALSO_OTHER_WORDS = {
    *("one", "zero", "một", "không", "năm", "ba", "tư", "chín"),
    *("trăm", "nghìn", "ngàn", "triệu", "tỷ", "tỉ"),
}
"""Number words that alone are often something else: «one of us», «năm» (year), «phần trăm», «tỷ lệ» (share)."""


class Number(NamedTuple):
    """A number of a text.

    Attributes:
        text: As it stands there.
        values: What it may mean: `1.500` is 1500 in Vietnamese, and 1.5 in English.
        start, end: Where it stands.
        certain: Whether it surely is a number, and no word that is also something else.
    """

    text: str
    values: frozenset[float]
    start: int
    end: int
    certain: bool = True


def numbers_of(text: str) -> list[Number]:
    """All numbers of a text, in order."""
    found: list[Number] = []
    spoken = (*_spoken(text, WORDS_EN, values_en), *_spoken(text, WORDS_VI, values_vi))
    for one in (*_scaled(text), *_ordinals(text), *_written(text), *spoken):
        if not any(other.start < one.end and one.start < other.end for other in found):
            found.append(one)
    return sorted(found, key=lambda one: one.start)


def values_in(text: str) -> frozenset[float]:
    """Every value that a number of the text may mean; parts of spoken ones too, as `twenty` of `twenty five`."""
    english, vietnamese = _parts(text, WORDS_EN, values_en), _parts(text, WORDS_VI, values_vi)
    return frozenset[float]().union(*(one.values for one in numbers_of(text)), *english, *vietnamese)


def readings(digits: str) -> frozenset[float]:
    """What digits with points and commas may mean, in English and in Vietnamese."""
    return frozenset(
        float(read)
        for thousands, decimal in ((",", "."), (".", ","))
        if (read := _read(digits, thousands, decimal)) is not None
    ) or frozenset(float(part) for part in re.split("[.,]", digits))


def _read(digits: str, thousands: str, decimal: str) -> str | None:
    whole, _, rest = digits.partition(decimal)
    groups = whole.split(thousands)
    if (rest and not rest.isdigit()) or (len(groups) > 1 and any(len(group) != 3 for group in groups[1:])):
        return None
    return f"{''.join(groups)}.{rest or 0}"


def _scaled(text: str) -> Iterator[Number]:
    """`2 million`, `45k`, `$1.5M`, «1,5 triệu»."""
    for found in SCALED.finditer(text):
        scale = SCALES[found[2].lower()]
        plain = readings(found[1])
        values = frozenset(round(value * scale, 6) for value in plain)
        values |= plain if found[2].lower() == "m" else frozenset()  # or metres
        yield Number(found[0], values, found.start(), found.end())


def _written(text: str) -> Iterator[Number]:
    for found in WRITTEN.finditer(text):
        yield Number(found[0], readings(found[0]), found.start(), found.end())


def _ordinals(text: str) -> Iterator[Number]:
    for found in ORDINAL.finditer(text):
        value = ORDINALS[found[0].lower().replace("-", " ")]
        # «first» and «second» are often no numbers.
        yield Number(found[0], frozenset({float(value)}), found.start(), found.end(), certain=value > 3)


def _spoken(text: str, words: Collection[str], values: Values) -> list[Number]:
    numbers: list[Number] = []
    for run in _runs(text, words):
        first, last = run[0], run[-1]
        spoken = text[first.start() : last.end()]
        if means := values([one[0].lower() for one in run]):
            certain = len(run) > 1 or spoken.lower() not in ALSO_OTHER_WORDS
            numbers.append(Number(spoken, means, first.start(), last.end(), certain))
    return numbers


def _runs(text: str, words: Collection[str]) -> Iterator[list[re.Match[str]]]:
    """Number words that only spaces and hyphens part; joining words count within only."""
    run: list[re.Match[str]] = []
    for word in [*WORD.finditer(text), None]:
        joins = word is not None and (not run or not text[run[-1].end() : word.start()].strip(" -"))
        if word is not None and joins and word[0].lower() in words:
            run.append(word)
            continue
        yield from _whole(run)
        run = [word] if word is not None and word[0].lower() in words else []
    yield from _whole(run)


def _whole(run: list[re.Match[str]]) -> Iterator[list[re.Match[str]]]:
    while run and run[0][0].lower() in JOINS and not _begins_with_a(run):
        run = run[1:]
    while run and run[-1][0].lower() in JOINS:
        run = run[:-1]
    if run:
        yield run


def _begins_with_a(run: Sequence[re.Match[str]]) -> bool:
    """Whether it is `a hundred`, and not `a twenty`."""
    return run[0][0].lower() == "a" and len(run) > 1 and run[1][0].lower() in MAY_FOLLOW_A


def _parts(text: str, words: Collection[str], values: Values) -> Iterator[frozenset[float]]:
    for run in _runs(text, words):
        spoken = [one[0].lower() for one in run][:12]
        for first in range(len(spoken)):
            for last in range(first + 1, len(spoken) + 1):
                yield values(spoken[first:last])
