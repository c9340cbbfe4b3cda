"""Texts that go round in circles, as engines produce them when they are stuck."""

import zlib
from collections.abc import Sequence

MAX_COMPRESSION_RATIO = 2.4
"""Source: openai/whisper, `whisper/transcribe.py`, default of compression_ratio_threshold."""

PIECE_CHARS = 1000
"""Whisper measures the ratio on windows of 30 s, about as much text as this; longer text compresses better by itself,
so it is measured in pieces."""

MIN_COMPRESSED_CHARS = 100
"""Below this zlib's own bytes decide the ratio."""

VERBATIM_CHARS = 40
MAX_NEW_SHARE = 0.5
"""Reading out a list ("invoice number one zero zero two, invoice ...") passes the ratio too, at 4.0; but most of its
stretches of 40 characters are new, and in a loop most have been there before. Whisper only tries again when the ratio
is passed; to remove asks for more."""

LONGEST_LOOP_WORDS = 8
LOOP_REPEATS = 5
LOOP_WORDS = 10
LOOP_SHARE = 0.6
"""A loop: up to 8 words, at least 5 times in a row, over at least 10 words and 60 % of the text. People say "no no no"
and "thank you, thank you, thank you"; engines that are stuck repeat until their window ends."""


def loop_of(words: Sequence[str]) -> str | None:
    """What shows that a text is a loop, None when it is not one.

    Args:
        words: The text's normalised words.
    """
    for length in range(1, LONGEST_LOOP_WORDS + 1):
        last, covered = _longest_run(words, length)
        repeats = covered // length
        if repeats >= LOOP_REPEATS and covered >= max(LOOP_WORDS, LOOP_SHARE * len(words)):
            return f"{' '.join(words[last - length : last])!r} {repeats} times"
    text = " ".join(words)
    ratio = compression_ratio(text)
    return f"compression ratio {ratio:.1f}" if ratio > MAX_COMPRESSION_RATIO and _is_verbatim(text) else None


def compression_ratio(text: str) -> float:
    """How much zlib saves, bytes before / after: the least over pieces of the text, 0 for text too short to tell."""
    if len(text) < MIN_COMPRESSED_CHARS:
        return 0.0
    size = -(-len(text) // -(-len(text) // PIECE_CHARS))
    pieces = [text[first : first + size].encode() for first in range(0, len(text), size)]
    return min(len(piece) / len(zlib.compress(piece)) for piece in pieces)


def _longest_run(words: Sequence[str], length: int) -> tuple[int, int]:
    """Of the longest run of words that equal the word `length` before: its end, and the words of the whole loop."""
    last = longest = run = 0
    for index in range(length, len(words)):
        run = run + 1 if words[index] == words[index - length] else 0
        if run > longest:
            longest, last = run, index + 1
    return last, longest + length if longest else 0


def _is_verbatim(text: str) -> bool:
    """Whether most of the text has been there before, letter by letter."""
    stretches = [text[first : first + VERBATIM_CHARS] for first in range(max(1, len(text) - VERBATIM_CHARS + 1))]
    return len(set(stretches)) < MAX_NEW_SHARE * len(stretches)
