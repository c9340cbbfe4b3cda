"""What a check found, and what checks of several kinds share."""

import unicodedata
from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator, StringConstraints

from blocks.iiagent.paths import UnsafeName, placed
from blocks.model import Frozen
from blocks.plain_text import cut, plain

MOST_NAMED = 20
"""Keys, columns and the like that one sentence names."""

MOST_FILE_BYTES = 64 << 20


class Proof(Frozen):
    """What one check found.

    Attributes:
        holds: Whether what was asked for is there.
        missing: What is not, as one or a few sentences to the agent; "" where it holds.
    """

    holds: bool
    missing: str = ""


HOLDS = Proof(holds=True)


def fails(missing: str) -> Proof:
    """A check that does not hold. The sentence never begins with a slash, which servers take for a command."""
    return Proof(holds=False, missing=f"The file {missing}" if missing.startswith("/") else missing)


def shown(text: str, most_chars: int = 80) -> str:
    """Something of an agent's file, within a sentence."""
    return cut(plain(text), most_chars)


def some(names: Iterable[str]) -> str:
    """Names within a sentence: the first of them, and how many more there are."""
    all_names = list(names)
    told = ", ".join(shown(name) for name in all_names[:MOST_NAMED])
    return f"{told} and {len(all_names) - MOST_NAMED} more" if len(all_names) > MOST_NAMED else told


def same_form(text: str) -> str:
    """A text as it is compared: agents write the same letters composed and decomposed, and blanks around them."""
    return unicodedata.normalize("NFC", text).strip()


def _is_path(path: str) -> str:
    try:
        return placed(path).remote
    except UnsafeName as error:
        raise ValueError(f"{error.message}; {error.fix}") from None


FilePath = Annotated[str, AfterValidator(_is_path)]
"""A path below the workspace."""

Column = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
"""A name in the first row of a table."""
