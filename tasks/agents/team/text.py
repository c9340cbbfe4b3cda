"""Texts of models and command lines, which may hold halves of characters that no file can."""

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator


def storable(text: str) -> str:
    """The text with question marks for halves of surrogate pairs: JSON may hold them, UTF-8 may not."""
    return text.encode(errors="replace").decode()


def _storable(value: object) -> object:
    return storable(value) if isinstance(value, str) else value


Storable = BeforeValidator(_storable)
"""For constrained texts: before pydantic looks at them."""

Clean = Annotated[str, AfterValidator(storable)]
"""A text that can be stored."""
