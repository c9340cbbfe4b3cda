"""Takes secrets out of texts and JSON."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from blocks.redact.carried import carried
from blocks.redact.folding import without_hiding
from blocks.redact.kubernetes import kubernetes_secrets
from blocks.redact.literals import Literals
from blocks.redact.named import named
from blocks.redact.pem import private_keys
from blocks.redact.shapes import shaped
from blocks.redact.span import Span, marker, replaced, united
from blocks.redact.vietnamese import vietnamese_numbers
from blocks.redact.walk import cleaned

FINDERS: tuple[Callable[[str], Iterator[Span]], ...] = (private_keys, shaped, carried, named, kubernetes_secrets)

PASSES = 6
"""A secret may show only once its neighbour is gone. A text that is still not clean then was made to be so."""


class Redactor:
    """Puts `[REDACTED:kind]` in place of secrets.

    It finds what has a known shape, what is named like a secret, what protocols carry, and the values it is given. What
    looks like any other word and stands alone is not found. What is clean stays as it is, so cleaning again changes
    nothing. The time taken is in proportion to the text.

    Args:
        literals: Known secrets, found in whatever form; those shorter than 6 characters are passed over.
        vietnamese: Whether phone and citizens' numbers of Viet Nam are secrets, too.
    """

    def __init__(self, literals: Iterable[str] = (), *, vietnamese: bool = False) -> None:
        self._literals = Literals(literals)
        self._finders = (*FINDERS, vietnamese_numbers) if vietnamese else FINDERS

    def text(self, text: str) -> str:
        """The text without its secrets."""
        for _ in range(PASSES):
            spans = self._spans(text)
            if not spans:
                return text
            text = replaced(text, spans)
        return marker("text")

    def value(self, value: Any) -> Any:
        """A JSON-like value of the same shape without its secrets.

        Args:
            value: Mappings, lists, texts, numbers. A text whose key is named like a secret is taken out whole.
        """
        return cleaned(value, self.text)

    def found(self, text: str) -> list[str]:
        """The kinds of the secrets in a text, in the order in which they stand there."""
        return [span.kind for span in self._spans(text)]

    def _spans(self, text: str) -> list[Span]:
        return united(self._found(text), text)

    def _found(self, text: str) -> Iterator[Span]:
        yield from self._literals.find(text)
        for find in self._finders:
            yield from find(text)
        if folded := without_hiding(text):
            for find in self._finders:
                yield from folded.unfolded(find(folded.text))
