"""What a task changes, in words that can be compared: two that mean the same are done once."""

import unicodedata
from typing import Annotated

from pydantic import StringConstraints

from blocks.model import Frozen
from tasks.agents.team.text import Storable

SIMILAR = 94.0
"""Per cent of a long word's letters that must agree (rapidfuzz's ratio): a slip of the pen, no other word."""

SHORT = 5
"""Words with fewer letters must be equal: `eu` and `us` differ by one."""

ENDS = ".,;:!?"
QUOTES = "\"'`()[]{}<>«»“”‘’"
FILLERS = frozenset({"the"})
"""No others: `from` and `to` say which way, and `a` may be a name."""

Said = Annotated[str, Storable, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


class Intent(Frozen):
    """What a task is about to change.

    Attributes:
        verb: What it does, as `restart`.
        object: To what, with every name that tells it from others, as `service web on host-3`.
        shared: Whether others see the change, as of a service or a ticket; else it stays within the team's workspace.
    """

    verb: Said
    object: Said
    shared: bool = False

    def __str__(self) -> str:
        """For people."""
        return f"{self.verb} {self.object}"


def words_of(text: str) -> tuple[str, ...]:
    """The words that count, in one form of letters; a text without any is its own word."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    folded = "".join(char for char in folded if unicodedata.category(char) != "Cf")  # which nobody sees
    words = (word.strip(QUOTES).rstrip(ENDS).strip(QUOTES) for word in folded.split())
    return tuple(word for word in words if word and word not in FILLERS) or (folded.strip(),)


def is_same(one: Intent, other: Intent, similar: float = SIMILAR) -> bool:
    """Whether two intents mean the same change.

    Rather twice «no» than once «yes» too often: work that is done again costs money, work that is wrongly taken for
    done is missing. So the order of words counts, and names, numbers, paths and short words must be equal.

    Args:
        one: An intent.
        other: The other one.
        similar: From which two long words are the same, 0 to 100.
    """
    if one.shared != other.shared or words_of(one.verb) != words_of(other.verb):
        return False
    words, others = words_of(one.object), words_of(other.object)
    return len(words) == len(others) and all(_alike(*pair, similar) for pair in zip(words, others, strict=True))


def _alike(one: str, other: str, similar: float) -> bool:
    if one == other:
        return True
    if _is_name(one) or _is_name(other):
        return False
    if one.removesuffix("s") == other.removesuffix("s"):
        return True
    if one.endswith(other) or other.endswith(one):  # authenticated, unauthenticated
        return False
    from rapidfuzz import fuzz

    return fuzz.ratio(one, other) >= similar


def _is_name(word: str) -> bool:
    return len(word) < SHORT or not word.isalpha()
