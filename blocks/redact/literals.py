"""Secrets that are known by their value, in the forms that programs write them in."""

import base64
import html
import json
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

from blocks.redact.folding import Folded, without_breaks
from blocks.redact.span import Span

SHORTEST = 6
"""Characters; a shorter value would be found all over ordinary texts."""

SHORTEST_FORM = 8
"""Characters of an encoded form."""


class Literals:
    """Finds known values.

    Args:
        values: The secrets; those shorter than `SHORTEST` are passed over.
    """

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._forms = sorted({form for value in values for form in forms(value.strip())}, key=len, reverse=True)
        self._folded = sorted({_folded(form) for form in self._forms}, key=len, reverse=True)

    def find(self, text: str) -> Iterator[Span]:
        """All in the text, also those with line breaks or invisible characters within."""
        if not self._forms:
            return
        yield from _found(text, self._forms)
        if folded := without_breaks(text):
            yield from _unfolded(folded, self._folded)


def forms(value: str) -> Iterator[str]:
    """The ways a value is written: as it is, and as JSON, URLs, HTML, base64 and hexadecimal have it."""
    if len(value) < SHORTEST:
        return
    yield value
    content = value.encode("utf-8", "surrogatepass")
    quoted = (quote(content, safe=""), quote(content), quote_plus(content))
    written = [*_escaped(value), *quoted, *(_lower_percent(one) for one in quoted), html.escape(value)]
    hexadecimal = content.hex()
    written += [hexadecimal, hexadecimal.upper(), *_base64(content), *_base64(value.encode("utf-16-le", "replace"))]
    yield from (form for form in written if len(form) >= min(len(value), SHORTEST_FORM))


def _escaped(value: str) -> Iterator[str]:
    """As JSON in ASCII or not, once and twice, and with slashes escaped as PHP does."""
    for ascii_only in (True, False):
        once = json.dumps(value, ensure_ascii=ascii_only)[1:-1]
        yield from (once, json.dumps(once, ensure_ascii=ascii_only)[1:-1], once.replace("/", r"\/"))


def _lower_percent(quoted: str) -> str:
    """With `%2f` for `%2F`."""
    head, *others = quoted.split("%")
    return "%".join((head, *(part[:2].lower() + part[2:] for part in others)))


def _base64(content: bytes) -> Iterator[str]:
    """What every base64 text has in it whose content has the value in it, whatever stands before and after.

    Three bytes make four characters, so there are three ways to fall into step; characters at either end that also hold
    bits of the neighbours are left out.
    """
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + content).decode().rstrip("=")
        whole = encoded if (before + len(content)) % 3 == 0 else encoded[:-1]
        inner = whole[(0, 2, 3)[before] :]
        if len(inner) >= SHORTEST_FORM:
            yield inner
            yield inner.replace("+", "-").replace("/", "_")


def _found(text: str, wanted: Iterable[str]) -> Iterator[Span]:
    for form in wanted:
        at = text.find(form)
        while at >= 0:
            yield Span(at, at + len(form), "known-secret")
            at = text.find(form, at + len(form))


def _folded(form: str) -> str:
    folded = without_breaks(form)
    return folded.text if folded and len(folded.text) >= SHORTEST else form


def _unfolded(folded: Folded, wanted: Iterable[str]) -> Iterator[Span]:
    return folded.unfolded(_found(folded.text, wanted))
