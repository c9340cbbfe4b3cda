"""Texts without what only breaks secrets apart, and the way back to where they stood."""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator

from blocks.redact.span import Span

INVISIBLE = (
    "\x00-\x08\x0e-\x1a\x1c-\x1f\x7f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\ufe00-\ufe0f\ufeff\ufff9-\ufffb\U000e0000-\U000e0fff"
)
COLOUR = r"\[[0-9;?]{0,32}[A-Za-z]"
LINK = r"\x1b\][^\x07\x1b\n]{0,2048}(?:\x07|\x1b\\)"
IGNORED = (
    rf"[{INVISIBLE}]|\x1b{COLOUR}|{LINK}"
    rf"|\\u(?:0000|00ad|200[b-fB-F]|202[a-eA-E]|206[0-9a-fA-F]|[fF][eE][fF][fF])|\\x00|\\(?:u001b|x1b|033){COLOUR}"
)
"""What no reader sees: zero-width characters, NULs of UTF-16 read as bytes, colours and links of terminals; most of it
also as escapes."""

WRAPPED = r"(?<![ \t\"'+])[ \t\"'+]*+(?:\\{0,2}\r?\n|(?:\\{1,2}r)?\\{1,2}n)[ \t\"'>|#*]*+"
"""A line break within a word, with the signs and quotes that go on in the next line."""

HIDING = re.compile(IGNORED)
BREAKING = re.compile(f"{IGNORED}|{WRAPPED}")


class Folded:
    """A text without the parts that match.

    Args:
        text: The text.
        parts: What is left out.

    Attributes:
        text: What is left.
    """

    def __init__(self, text: str, parts: Iterable[re.Match[str]]) -> None:
        self._places, self._origins = [0], [0]
        pieces: list[str] = []
        end, length = 0, 0
        for part in parts:
            pieces.append(text[end : part.start()])
            length += part.start() - end
            end = part.end()
            self._places.append(length)
            self._origins.append(end)
        self.text = "".join((*pieces, text[end:]))

    def unfolded(self, spans: Iterable[Span]) -> Iterator[Span]:
        """The spans, as they stand in the whole text."""
        for span in spans:
            if span.start < span.end:
                yield Span(self._origin(span.start), self._origin(span.end - 1) + 1, span.kind)

    def _origin(self, position: int) -> int:
        piece = bisect_right(self._places, position) - 1
        return self._origins[piece] + position - self._places[piece]


def without_hiding(text: str) -> Folded | None:
    """The text without what no reader sees; None when there is nothing of that."""
    if text.isascii() and text.isprintable() and "\\" not in text:
        return None
    return _folded(text, HIDING)


def without_breaks(text: str) -> Folded | None:
    """The text without what no reader sees and without line breaks; None when there is nothing of that."""
    return None if text.isascii() and text.isprintable() and "\\" not in text else _folded(text, BREAKING)


def _folded(text: str, pattern: re.Pattern[str]) -> Folded | None:
    folded = Folded(text, pattern.finditer(text))
    return folded if len(folded.text) < len(text) else None
