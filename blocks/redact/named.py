"""Secrets that are known by the name they stand after, in all the ways programs and people write a name and a value."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from blocks.redact.harmless import (
    SHORT_WORD,
    STOPS,
    WHOLE_NUMBER,
    is_code,
    is_place,
    is_sentence,
    is_variable,
    is_word,
    looks_random,
    names_no_secret,
)
from blocks.redact.names import LONGEST_NAME, NUMBER, STEMS, Stem
from blocks.redact.span import Span

BLANK = r"[ \t]{0,64}"
SHUT = r"(?:(?:\\{0,3}[\"'`]|&quot;|&#3[49];|%2[27])?(?:\]|\))?)"
"""What may close the name: a quote, escaped or not, and a bracket."""

TYPES = (
    r"(?:optional\[)?(?:secretstr|str|string|bytes|text|&str|&'static str)\]?\??"
    rf"(?:{BLANK}\|{BLANK}(?:none|null|undefined))?"
)
LINK = (
    rf"(?P<equals>{BLANK}(?:=>|:=|\?=|\|\|=|=(?![=~])|%3d){BLANK}|{BLANK}:{BLANK}{TYPES}{BLANK}=(?!=){BLANK})"
    rf"|(?P<colon>{BLANK}:(?!:|//){BLANK})"
    r"|(?P<tag>>)"
    rf"|(?P<field>{BLANK},?\s{{0,64}}\\?[\"']?value\\?[\"']?{BLANK}[:=]{BLANK})"
    rf"|(?P<item>{BLANK},\s{{0,64}}(?=\\{{0,3}}[\"']))"
    rf"|(?P<said>[ \t]{{1,8}}(?:is|was|là)\b{BLANK}:?{BLANK}|{BLANK}\|{BLANK})"
    r"|(?P<blank>[ \t]{1,64})"
)
"""What leads from the name to the value: `=`, `:`, `>` of XML, `"value":`, a comma, «is», blanks."""

OPEN = re.compile(r"(?:[bBrRuUfF]{1,2}(?=[\"']))?(\\{0,3}[\"'`]|&quot;|&#3[49];|%2[27])")
BACKSLASH = r"\\(?!\\{0,2}[nr\"'`])"
"""Its own, not of a line break or a quote that JSON has escaped."""

BARE = rf"[^\s\\\"'`<>,;&)}}\]]|{BACKSLASH}"
IN_LINE = re.compile(rf"(?:[^\s\\\"'`]|{BACKSLASH}|[\"'`](?=[^\s,;:)}}\]\"'`\\]))+")
"""A value that has a line or an argument for itself: signs are its own, too."""

IN_TEXT = re.compile(f"(?:{BARE})+")
IN_TAG = re.compile(r"[^<\n]+(?=</)")
LINE_START = re.compile(r"[ \t]*(?:[-#>*+|][ \t]+)*(?:(?:export|set|setx|env|ENV|ARG|-e)[ \t]+)?\\?[\"']?")
BLOCK = re.compile(r"[|>][+\-]?[0-9]?[ \t]*\n([ \t]+)[^\n]*(?:\n\1[^\n]*)*")
"""A block of YAML: the lines after `|` that are set in as the first is."""

SHORTEST = 3
LONGEST_HARMLESS = 256
MORE_WORDS = re.compile(r"[ \t]+[^\W\d_]{2,}")


@dataclass(frozen=True)
class Named:
    """A name of a secret where it stands.

    Attributes:
        kind: What is secret.
        name: The whole name as written.
        start: Where it begins.
        how: What leads to the value; a group of `LINK`.
        is_quoted: Whether the name stands in quotes.
        is_query: Whether it is a parameter of a URL.
        value: Where the value begins.
    """

    kind: str
    name: str
    start: int
    how: str
    is_quoted: bool
    is_query: bool
    value: int


TAILS = tuple((stem, re.compile(f"({stem.pattern}){NUMBER}{SHUT}(?:{LINK})")) for stem in STEMS)


def named(text: str) -> Iterator[Span]:
    """The values of what is named like a secret."""
    lowered = text.lower()
    if len(lowered) != len(text):  # a few capitals have longer small letters, and places must stay
        lowered = "".join(char.lower() if len(char.lower()) == 1 else char for char in text)
    for stem, tail in TAILS:
        if stem.anchor in lowered:
            yield from _values(text, lowered, stem, tail)


def _values(text: str, lowered: str, stem: Stem, tail: re.Pattern[str]) -> Iterator[Span]:
    at = lowered.find(stem.anchor)
    while at >= 0:
        after = at + len(stem.anchor)
        if (match := tail.match(lowered, at)) and (found := _name(text, lowered, stem, match)):
            start, end, is_secret = _value(text, found)
            if is_secret:
                yield Span(start, end, stem.kind)
            if is_secret or end - start > LONGEST_HARMLESS:
                after = max(after, end)  # what is long is looked at once: that keeps the time linear
        at = lowered.find(stem.anchor, after)


def _name(text: str, lowered: str, stem: Stem, match: re.Match[str]) -> Named | None:
    """The name that ends here, None when it is no secret's."""
    start = _start(lowered, match.start())
    name = lowered[start : match.end(1)]
    if not stem.fits(name.lstrip("-")) and not _fits_with_word_before(lowered, start, stem, name):
        return None
    how, is_flag = match.lastgroup or "blank", name.startswith("-")
    if how == "item" and is_flag:
        how = "blank"
    before = lowered[max(0, start - 1) : start]
    if not _leads(how, before, is_bare=not is_flag and name not in ("requirepass", "masterauth")):
        return None
    is_quoted = any(quote in text[match.end(1) : match.start(match.lastgroup or 0)] for quote in "\"'`")
    return Named(stem.kind, text[start : match.end(1)], start, how, is_quoted, before in ("?", "&"), match.end())


def _leads(how: str, before: str, *, is_bare: bool) -> bool:
    """Whether there is a value: a tag has been opened, a flag precedes a blank, and no path goes before."""
    if how == "tag":
        return before in ("<", ":")
    return not (how == "blank" and is_bare) and (how == "equals" or before != "/")


def _start(lowered: str, stem: int) -> int:
    """Where the name begins that ends in the stem."""
    start, least = stem, max(0, stem - LONGEST_NAME)
    while start > least and (lowered[start - 1].isalnum() or lowered[start - 1] in "_-."):
        start -= 1
    if start < stem and lowered[max(0, start - 1) : start + 1] in ("\\n", "\\r", "\\t"):
        start += 1  # a line break or a tab of JSON
    return start


def _fits_with_word_before(lowered: str, start: int, stem: Stem, name: str) -> bool:
    """Whether it is the second of two words, as in `API key:`."""
    words = lowered[max(0, start - 12) : start]
    return words.endswith(" ") and bool(words.split()) and stem.fits(f"{words.split()[-1]}_{name}")


def _value(text: str, found: Named) -> tuple[int, int, bool]:
    """Where the value stands, and whether it is a secret."""
    if (quote := OPEN.match(text, found.value)) is not None:
        start = quote.end()
        shut = _closing(quote.group(1)).search(text, start)
        end = shut.start() if shut else len(text)
        if not found.is_quoted and text[start : start + 1] in (" ", ",", ")", "]"):
            return start, start, False  # the quote ends what the name stands in, as in `password=`
        return start, end, _is_secret_quoted(text[start:end], found)
    if found.how in ("equals", "colon") and (block := BLOCK.match(text, found.value)):
        return block.start(1), block.end(), True
    bare = _bare(text, found).match(text, found.value)
    if bare is None:
        return found.value, found.value, False
    is_prose = MORE_WORDS.match(text, bare.end()) is not None
    return *bare.span(), _is_secret_bare(bare.group(), found, is_prose=is_prose)


@cache
def _closing(quote: str) -> re.Pattern[str]:
    """What ends a quoted value: the same quote, as often escaped; at the latest the end of the line."""
    return re.compile(rf"(?<!\\){re.escape(quote)}|\n")


def _bare(text: str, found: Named) -> re.Pattern[str]:
    """How far a value without quotes goes: in a line or an argument of its own to a blank, else to a sign."""
    if found.how == "tag":
        return IN_TAG
    if found.how == "said":
        return IN_LINE
    if found.how not in ("equals", "colon") or found.is_query:
        return IN_TEXT
    is_argument = text[found.value - 1] == "=" and (found.name.isupper() or found.name.startswith("-"))
    return IN_LINE if is_argument or _begins_line(text, found.start) else IN_TEXT


def _begins_line(text: str, start: int) -> bool:
    least = max(0, start - LONGEST_NAME)
    before = text[max(least, text.rfind("\n", least, start) + 1) : start]
    escaped = max(before.rfind("\\n"), before.rfind("\\r"))
    return LINE_START.fullmatch(before[escaped + 2 :] if escaped >= 0 else before) is not None


def _is_secret_quoted(value: str, found: Named) -> bool:
    if len(value) < SHORTEST or names_no_secret(value) or is_word(value) or is_place(value, found.kind, found.name):
        return False
    if found.how in ("item", "said"):
        return looks_random(value)
    return found.kind == "password" or not (value == found.name or is_variable(value) or is_sentence(value))


def _is_secret_bare(whole: str, found: Named, *, is_prose: bool) -> bool:
    """Whether a value without quotes is one; the less the way it is written says, the more it must look like one."""
    value = whole.rstrip(".,;:)}]")
    if len(value) < SHORTEST or names_no_secret(whole) or names_no_secret(value) or is_word(value):
        return False
    if is_place(value, found.kind, found.name) or _simple(value) == _simple(found.name):
        return False
    if found.how in ("said", "item") or (found.how == "colon" and (is_prose or found.is_quoted)):
        return looks_random(value)  # what has its name alone in quotes is a variable: JSON quotes both
    if len(value) <= LONGEST_HARMLESS and is_code(value, is_constant=found.name.isupper()):
        return False
    if found.name == "PASS" or (found.name.lower().endswith("pass") and WHOLE_NUMBER.fullmatch(value)):
        return False  # results of tests
    return (found.kind == "password" and found.how != "blank") or _is_no_word(value, found)


def _simple(name: str) -> str:
    return name.rpartition(".")[2].lower().replace("_", "").replace("-", "")


def _is_no_word(value: str, found: Named) -> bool:
    """Whether the value of a token, or of a flag, is more than a word, a number or a variable."""
    if found.how == "blank":
        return STOPS.fullmatch(value) is None and not value.startswith("-")
    if WHOLE_NUMBER.fullmatch(value):
        return False
    if found.how == "colon" and found.kind != "api-key":
        return SHORT_WORD.fullmatch(value) is None
    return found.name.isupper() or found.is_query or not is_variable(value)
