"""Sentences: where they end in recognised speech, and how they are written."""

import re
from collections.abc import Sequence

from blocks.language.numbers import with_digits
from blocks.language.words import (
    AFTER_GREETING,
    CALENDAR,
    DANGLING,
    FRESH_VERBS,
    GIVEN_NAMES,
    GREETING_ENDS,
    QUESTION_STARTS,
    QUESTION_SUBJECTS,
    SOCIAL,
    SUBJECTS,
    UPPER,
    WH_WORDS,
)
from blocks.transcript import Segment

SENTENCE_PAUSE_S = 0.35
"""A pause this long within an utterance ends a sentence, unless the word before calls for more."""

LEAST_WORDS = 2
END_MARKS = ".?!…"
ALREADY_WRITTEN = re.compile(rf"[.?!,;:]|[{UPPER}]")


def split_text(text: str) -> list[str]:
    """The sentences of punctuated text, in order, marks kept. Abbreviated titles do not end one."""
    joined = re.sub(r"\b(Mr|Mrs|Ms|Dr|Prof|St|No|TS|ThS|PGS|GS|TP)\.\s", "\\1.\u00a0", " ".join(text.split()))
    parts = re.split(r"(?<=[.?!…]) +|(?<=[.?!…][\"'”’)]) +", joined)  # a plain space: \s is the \u00a0 too
    return [part.replace("\u00a0", " ") for part in parts if part]


def punctuate(segment: Segment, language: str) -> str:
    """A recognised utterance as written sentences; words stay as they are, but for numbers and capitals.

    Text that has punctuation or capitals already is taken as written, and only its end is closed.
    """
    text = " ".join(segment.text.split())
    if ALREADY_WRITTEN.search(text):
        return text if text[-1] in END_MARKS + ",;:\"'”’)" else f"{text}."
    if language != "en":
        return f"{text[:1].upper()}{text[1:]}."
    return " ".join(_written(words) for words in _sentences(segment, text.split()))


def _sentences(segment: Segment, words: Sequence[str]) -> list[list[str]]:
    """Cut the words where a pause or the start of a fresh clause says so."""
    pauses = _pauses_s(segment, words)
    sentences: list[list[str]] = [[]]
    for index, word in enumerate(words):
        current = sentences[-1]
        greeted = bool(current) and current[-1] in GREETING_ENDS and all(said in SOCIAL for said in current)
        if greeted or (len(current) >= LEAST_WORDS and current[-1] not in DANGLING):
            paused = pauses[index] >= SENTENCE_PAUSE_S and len(words) - index >= LEAST_WORDS
            if paused or _fresh_clause(words, index) or (greeted and word not in SOCIAL | AFTER_GREETING):
                sentences.append([])
        sentences[-1].append(word)
    return sentences


def _pauses_s(segment: Segment, words: Sequence[str]) -> list[float]:
    """The pause before each word, 0 where times are not known."""
    if len(segment.words) != len(words):
        return [0.0] * len(words)
    gaps = [after.start_s - before.end_s for before, after in zip(segment.words, segment.words[1:], strict=False)]
    return [0.0, *gaps]


def _fresh_clause(words: Sequence[str], index: int) -> bool:
    """Whether a question or a statement with its own subject begins here: `when can we …`, `i agree …`."""
    word, after = words[index], words[index + 1] if index + 1 < len(words) else ""
    last = words[index + 2] if index + 2 < len(words) else ""
    if word in WH_WORDS and after in QUESTION_STARTS - WH_WORDS and last in QUESTION_SUBJECTS:
        return True
    if word in ("do", "does", "did", "can", "could", "shall", "should") and after in QUESTION_SUBJECTS & SUBJECTS:
        return True
    return (word in SUBJECTS or word in GIVEN_NAMES) and after in FRESH_VERBS


def _written(words: Sequence[str]) -> str:
    """One sentence: capitals, digits, and the mark at its end."""
    is_question = words[0] in QUESTION_STARTS and len(words) > 2 and words[1] in QUESTION_SUBJECTS | QUESTION_STARTS
    text = with_digits(" ".join(words))
    text = " ".join(_capital(word) for word in text.split(" "))
    text = re.sub(r"\b(of|in|on|by|until|before|since|last|next|this|st|nd|rd|th) (march|may)\b", _month, text)
    return text[:1].upper() + text[1:] + ("?" if is_question else ".")


def _capital(word: str) -> str:
    if word == "i" or word.startswith("i'"):
        return "I" + word[1:]
    bare = word.removesuffix("'s")
    return word[:1].upper() + word[1:] if bare in CALENDAR or bare in GIVEN_NAMES else word


def _month(found: re.Match[str]) -> str:
    return f"{found[1]} {found[2].capitalize()}"


def shorten(text: str, most_chars: int) -> str:
    """The text cut to a length at the end of a sentence, else of a word; never within a word.

    A first word longer than that cannot be shortened honestly: nothing is left then.
    """
    if len(text) <= most_chars:
        return text
    kept = ""
    for sentence in split_text(text):
        longer = f"{kept} {sentence}".strip()
        if len(longer) > most_chars:
            break
        kept = longer
    if kept:
        return kept
    cut = text[: most_chars - 1]
    if " " not in cut:
        return ""
    return cut.rsplit(" ", 1)[0].rstrip(",;: ") + "…"
