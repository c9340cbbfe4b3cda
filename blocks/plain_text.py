"""Text from outside as people see it: nothing in it that only a model reads, or that moves a terminal's cursor."""

import codecs
import json
import re
from typing import Any

MOST_CHARS = 4000
"""Of something long on a page for people."""

INVISIBLE = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters but tab and line feed
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0"
    "\ufff0-\ufffb\ufffe\uffff\ufe00-\ufe0f\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
    "]"
)
"""Zero-width, direction, variation and tag characters: instructions have been hidden from people in all of them."""

SLOW_CODECS = {"punycode", "idna", "utf-7", "unicode-escape", "raw-unicode-escape", "undefined"}
"""Charsets that no page is written in; some take quadratic time."""


def visible(text: str) -> str:
    """For models: the text without characters that nobody sees; line ends become line feeds."""
    return INVISIBLE.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def plain(text: str) -> str:
    """For people: the text with everything that is not printed written as an escape; line breaks too."""
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def json_lines(value: Any) -> str:
    """JSON over several lines, with nothing in it that a terminal or a reader's eye would take for something else."""
    return "\n".join(plain(line) for line in json.dumps(value, indent=2, ensure_ascii=False).split("\n"))


def cut(text: str, most_chars: int = MOST_CHARS) -> str:
    """The text, or its beginning and how much was left out."""
    return text if len(text) <= most_chars else f"{text[:most_chars]}… ({len(text) - most_chars} characters left out)"


def decoded(content: bytes, charset: str | None) -> str:
    """Bytes as text, in the charset that they are said to be in, or UTF-8; what does not decode is replaced."""
    try:
        found = codecs.lookup(charset or "utf-8").name
        if found not in SLOW_CODECS:
            return content.decode(found, "replace")
    except (LookupError, ValueError):  # no such charset, or none of texts, as `zip`
        pass
    return content.decode("utf-8", "replace")


def _escape(char: str) -> str:
    return char.encode("unicode_escape", "surrogatepass").decode("ascii")
