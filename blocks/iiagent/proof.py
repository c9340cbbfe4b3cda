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


class Some:
    """Names within a sentence: the first of them, and how many more there are.

    Attributes:
        count: How many there are.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        self.count, self._first = 0, list[str]()
        for name in names:
            self.add(name)

    def add(self, name: str) -> None:
        """Take another one."""
        self.count += 1
        if len(self._first) < MOST_NAMED:
            self._first.append(shown(name))

    def __str__(self) -> str:
        told = ", ".join(self._first)
        return f"{told} and {self.count - MOST_NAMED} more" if self.count > MOST_NAMED else told


def some(names: Iterable[str]) -> str:
    """Names within a sentence; see `Some`."""
    return str(Some(names))


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
