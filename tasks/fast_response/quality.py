"""Whether replies are what they should be: a few English words."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Literal, get_args

from blocks.model import Frozen
from tasks.fast_response.call import Call

Fault = Literal["empty", "too_long", "vietnamese", "foreign", "cut_off", "label"]
"""What can be wrong with a reply.

`empty`: no word in it. `too_long`: more than `MOST_WORDS`. `vietnamese`: a letter that Vietnamese has and English does
not. `foreign`: fewer ASCII letters than `ENGLISH_SHARE`. `cut_off`: it ended at the most tokens. `label`: it plays the
conversation on, with a name before it.
"""

FAULTS: tuple[Fault, ...] = get_args(Fault)

MOST_WORDS = 6
ENGLISH_SHARE = 0.98
"""Of the letters. A reply has about thirty: one that is foreign is one too many."""

MOST_EXAMPLES = 10
WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
LABEL = re.compile(r"\b(assistant|user)\s*:", re.IGNORECASE)

VOWELS = frozenset("aeiouyAEIOUY")
MARKS = frozenset("\u0300\u0301\u0302\u0303\u0306\u0309\u031b\u0323")
"""Grave, acute, circumflex, tilde, breve, hook above, horn, dot below: the marks of Vietnamese vowels."""


class Example(Frozen):
    """A reply that is not what it should be.

    Attributes:
        turn: Id of the turn.
        reply: The beginning of the reply.
        faults: What is wrong with it.
    """

    turn: str
    reply: str
    faults: tuple[Fault, ...]


class Group(Frozen):
    """Replies to turns of one intent, or all.

    Attributes:
        intent: The intent; `all`, or `unknown` where turns have none.
        replies: How many there are.
        usable: Those without a fault.
        faults: How many have each fault.
        words: Mean number of words.
        ascii_share: Mean share of ASCII letters among the letters; None where no reply has letters.
        cut_off_share: Share that ended at the most tokens.
    """

    intent: str
    replies: int
    usable: int
    faults: dict[Fault, int]
    words: float
    ascii_share: float | None
    cut_off_share: float

    @property
    def usable_share(self) -> float:
        """Share without a fault; 0 where there are no replies."""
        return self.usable / self.replies if self.replies else 0.0


class Quality(Frozen):
    """What replies are like: all, by intent, and some that are wrong."""

    whole: Group
    by_intent: tuple[Group, ...] = ()
    examples: tuple[Example, ...] = ()


def faults_of(reply: str, finish_reason: str | None = None) -> tuple[Fault, ...]:
    """What is wrong with a reply.

    Vietnamese that is written without its marks («khong sao») is not seen: its letters are those of English.
    """
    words, share = len(WORD.findall(reply)), ascii_share(reply)
    found: dict[Fault, bool] = {
        "empty": words == 0,
        "too_long": words > MOST_WORDS,
        "vietnamese": has_vietnamese(reply),
        "foreign": share is not None and share < ENGLISH_SHARE,
        "cut_off": finish_reason == "length",
        "label": LABEL.search(reply) is not None,
    }
    return tuple(fault for fault, is_so in found.items() if is_so)


def has_vietnamese(text: str) -> bool:
    """Whether it has a letter of Vietnamese that English does not have; «café» has one, too."""
    base = ""
    for char in unicodedata.normalize("NFD", text):
        if char in "đĐ" or (char in MARKS and base in VOWELS):
            return True
        if not unicodedata.combining(char):
            base = char
    return False


def ascii_share(text: str) -> float | None:
    """Share of ASCII letters among the letters; None without letters."""
    letters = [char for char in unicodedata.normalize("NFC", text) if char.isalpha()]
    return sum(char.isascii() for char in letters) / len(letters) if letters else None


def quality(calls: Iterable[Call]) -> Quality:
    """What the replies of calls are like; those without an answer are no replies."""
    answered = [call for call in calls if call.error is None]
    judged = [(call, faults_of(call.reply, call.finish_reason)) for call in answered]
    intents = sorted({call.intent or "unknown" for call in answered})
    wrong = [Example(turn=call.turn, reply=call.reply[:200], faults=faults) for call, faults in judged if faults]
    return Quality(
        whole=_group("all", judged),
        by_intent=tuple(
            _group(intent, [one for one in judged if (one[0].intent or "unknown") == intent]) for intent in intents
        ),
        examples=tuple(dict.fromkeys(wrong))[:MOST_EXAMPLES],
    )


def _group(intent: str, judged: Sequence[tuple[Call, tuple[Fault, ...]]]) -> Group:
    replies = [call.reply for call, _ in judged]
    shares = [share for share in map(ascii_share, replies) if share is not None]
    counts: dict[Fault, int] = {fault: sum(fault in faults for _, faults in judged) for fault in FAULTS}
    return Group(
        intent=intent,
        replies=len(replies),
        usable=sum(not faults for _, faults in judged),
        faults={fault: count for fault, count in counts.items() if count},
        words=sum(len(WORD.findall(reply)) for reply in replies) / max(1, len(replies)),
        ascii_share=sum(shares) / len(shares) if shares else None,
        cut_off_share=counts["cut_off"] / max(1, len(replies)),
    )
