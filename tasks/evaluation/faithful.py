"""Whether a summary says only what was said: its numbers, names and dates must occur in the transcript."""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, Literal, cast

from blocks.language.words import CALENDAR, GIVEN_NAMES, UPPER, stop_words
from blocks.model import Frozen
from tasks.evaluation.dates import dates_of
from tasks.evaluation.normalise import plain_words
from tasks.evaluation.numbers import numbers_of, readings, values_in

NAME_RUN = re.compile(rf"(?<!\d)[{UPPER}][\w'’&-]*(?:\s+[{UPPER}][\w'’&-]*)*")
SENTENCE_START = re.compile(r"(?:^|[.!?:;…\n]\s*|^\s*[-*•]\s*)[\"'“‘(]*$")
TITLE_SHARE = 0.8
"""Share of capitalised long words above which a text is a title, where capitals name nobody."""


class Claim(Frozen):
    """A number, a name or a date of a summary.

    Attributes:
        kind: Which of the three.
        text: As the summary has it.
        field: Where it stands, names joined by points.
        supported: Whether it occurs in the transcript.
    """

    kind: Literal["number", "name", "date"]
    text: str
    field: str
    supported: bool


class Source:
    """What was said.

    Args:
        text: The transcript.
    """

    def __init__(self, text: str) -> None:
        self._text = text

    @cached_property
    def words(self) -> frozenset[str]:
        """All words, in lower case."""
        return frozenset(plain_words(self._text).split()) | frozenset(re.findall(r"\w+", plain_words(self._text)))

    @cached_property
    def values(self) -> frozenset[float]:
        """All numbers."""
        return values_in(self._text)

    @cached_property
    def dates(self) -> Any:
        """All dates."""
        return dates_of(self._text)


def claims_of(summary: Mapping[str, Any], transcript: str, language: str | None = None) -> tuple[Claim, ...]:
    """Every number, name and date of a summary, and whether the transcript has it.

    Numbers count by value, in digits or in words; dates by what they say of day, month, year and weekday, in either
    language; names by their words. A word with a capital within a sentence is a name, as are known given names.

    Args:
        summary: Its texts and numbers are looked at; its field names are not.
        transcript: What was said.
        language: ISO 639-1 code of the summary.
    """
    source = Source(_composed(transcript))
    found: dict[tuple[str, str, str], Claim] = {}
    for field, value in _values(summary):
        for kind, text, supported in _claims(value, source, language):
            found.setdefault((kind, text, field), Claim(kind=kind, text=text, field=field, supported=supported))
    return tuple(found.values())


def names_in(text: str, language: str | None = None) -> list[str]:
    """Names: words with a capital that begin no sentence, and known given names wherever they stand."""
    names = [name for run in NAME_RUN.finditer(text) if (name := _name(run, text, language))]
    return list(dict.fromkeys(names))


def _values(value: Any, before: str = "") -> Iterator[tuple[str, str | float]]:
    if isinstance(value, Mapping):
        for name, item in cast(Mapping[str, Any], value).items():
            yield from _values(item, f"{before}.{name}" if before else name)
    elif isinstance(value, list):
        for item in cast(list[Any], value):
            yield from _values(item, before)
    elif isinstance(value, str) or (isinstance(value, int | float) and not isinstance(value, bool)):
        yield before, _composed(value) if isinstance(value, str) else value


def _composed(text: str) -> str:
    """With composed characters (NFC), as the words of numbers and dates are told here."""
    return unicodedata.normalize("NFC", text)


Found = tuple[Literal["number", "name", "date"], str, bool]


def _claims(value: str | float, source: Source, language: str | None) -> Iterator[Found]:
    if not isinstance(value, str):
        # Without its sign, as numbers within texts: a minus is said in many ways, and a hyphen is none.
        yield "number", f"{value:.15g}", abs(float(value)) in source.values
        return
    rest = value
    for date in dates_of(value):
        yield "date", date.text, any(date.is_said_by(other) for other in source.dates)
        rest = f"{rest[: date.start]}{' ' * (date.end - date.start)}{rest[date.end :]}"
    for number in numbers_of(rest):
        if number.certain:
            yield "number", number.text, bool(number.values & source.values)
    for name in names_in(rest, language):
        yield "name", name, all(_known(word, source) for word in plain_words(name).split())


def _known(word: str, source: Source) -> bool:
    """Whether a word of a name was said, be it with `'s` at its end, or as a number that is a part of it (`Q3`)."""
    bare = word.removesuffix("'s")
    digits = re.fullmatch(r"\D{0,2}(\d+)", bare)
    as_number = digits is not None and bool(readings(digits[1]) & source.values)
    return as_number or bare in source.words or word in source.words


def _name(run: re.Match[str], text: str, language: str | None) -> str:
    """The words of a run that are a name; empty where none are."""
    words = [word for word in run[0].split() if word.lower() not in CALENDAR]
    if _is_title(text):
        return " ".join(word for word in words if _is_given(word))
    if words and SENTENCE_START.search(text[: run.start()]) and len(words) == 1 and not _is_given(words[0]):
        return ""
    while words and _is_common(words[0], language) and not _is_given(words[0]):
        words = words[1:]
    return " ".join(words)


def _is_given(word: str) -> bool:
    return word.lower().removesuffix("'s").removesuffix("’s") in GIVEN_NAMES


def _is_common(word: str, language: str | None) -> bool:
    bare = re.split("['’]", word.lower())[0]
    return bare in TITLES or bare in stop_words(language or "en")


TITLES = frozenset(["mr", "mrs", "ms", "dr", "speaker", "ok", "okay", "am", "pm"])


def _is_title(text: str) -> bool:
    """Whether a text is a single phrase whose long words nearly all have a capital."""
    if re.search(r"[.!?;:]\s", text):
        return False
    words = [word for word in re.findall(r"[^\W\d_]+", text) if len(word) > 3]
    return 2 < len(words) <= 15 and sum(word[0].isupper() for word in words) >= TITLE_SHARE * len(words)
