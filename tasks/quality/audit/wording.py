"""What a text shows of itself: that it goes round in circles, and which language it is in."""

import re
import zlib
from collections import Counter
from collections.abc import Sequence
from unicodedata import normalize

WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")

LEAST_WORDS_OF_A_REPEAT = 4
"""Shorter segments come back in any conversation: "yes", "thank you", "all right then"."""

PIECE_CHARS = 1000
"""Whisper measures the compression ratio on windows of 30 s, about as much text as this."""

LEAST_CHARS = 100
"""Below this zlib's own bytes decide the ratio."""

LEAST_WORDS = 20
"""Fewer words than this tell no language."""

LEAST_SHARE = 0.12
"""Share of words that are function words of a language, below which a text is not said to be in it. The words below
make up a fourth to a half of running text in their language, and less than a tenth of that in the others."""

LEAD = 1.3
"""So many times the share of the next language, else it is not said: Spanish and Portuguese share many words."""

FUNCTION_WORDS = {
    language: frozenset(words.split())
    for language, words in {
        "en": "the and of to a in is that it for was on are with as be at this have from or you we they not but what "
        "all were when there can will would so if about which do their has he she i my your our been no",
        "vi": "và là của có không được cho các một trong đã với những này thì đó để tôi anh chị em mình ở rất cũng như "
        "khi nên làm gì người mà ra vào lại còn sẽ đang phải đến từ về theo nhưng vì hay chúng ta ạ dạ vâng",
        "de": "der die das und ist in zu den nicht von mit sich auf für ein eine einen dem des im auch es an werden "
        "aus er sie wir ich haben hat dass als wie bei oder aber nach noch nur war sind kann wird",
        "fr": "le la les de des du et est un une dans que qui pour pas sur au avec ce cette il elle nous vous je ne "
        "se sont par plus mais ou été on être fait aux leur même comme son sa ses",
        "es": "el la los las de del y es en que un una por con no para se su al lo como más pero sus le ya o este sí "
        "porque esta entre cuando muy sin sobre también me hasta hay donde quien",
        "it": "il lo la i gli le di del della e è in che un una per non con si da come anche sono ma nel alla più al "
        "dei questo ha ho abbiamo quando molto cosa essere",
        "pt": "o a os as de do da dos das e é em um uma que para com não por se na no mais como mas foi ao ele ela "
        "seu sua ou ser quando muito nos já está também você isso",
        "nl": "de het een en van in is dat op te zijn met voor niet aan er die maar om ook als dan bij naar uit nog "
        "wel heeft hebben was wij ik je deze door over kan",
    }.items()
}

SCRIPTS = (
    ("ja", re.compile(r"[\u3040-\u30ff]")),
    ("ko", re.compile(r"[\uac00-\ud7af\u1100-\u11ff]")),
    ("zh", re.compile(r"[\u4e00-\u9fff]")),
    ("th", re.compile(r"[\u0e00-\u0e7f]")),
)
"""Of languages that are told by their letters. Cyrillic, Arabic and Devanagari are each of several languages."""

SCRIPT_SHARE = 0.2
"""Share of letters in a script from which on the text is in its language: product names are Latin everywhere."""

TOLD = frozenset(FUNCTION_WORDS) | {name for name, _ in SCRIPTS}
"""Languages that `language_of` can tell."""


def words_of(text: str) -> list[str]:
    """The words, in small letters."""
    return WORD.findall(normalize("NFC", text.lower()))  # Vietnamese comes in letters and marks, too


def repeated_share(segments: Sequence[Sequence[str]]) -> float:
    """Share of words that lie in segments of the same words as an earlier one; short segments do not count.

    Args:
        segments: The words of each, in order; see `words_of`.
    """
    seen: set[tuple[str, ...]] = set()
    total = repeated = 0
    for words in map(tuple, segments):
        total += len(words)
        if len(words) >= LEAST_WORDS_OF_A_REPEAT:
            repeated += len(words) if words in seen else 0
            seen.add(words)
    return repeated / total if total else 0.0


def compression_ratio(text: str) -> float | None:
    """How much zlib saves, bytes before / after: the most over pieces of the text; None for text too short to tell.

    Source: the measure is that of openai/whisper, `whisper/utils.py`.
    """
    if len(text) < LEAST_CHARS:
        return None
    size = -(-len(text) // -(-len(text) // PIECE_CHARS))
    pieces = [text[first : first + size].encode() for first in range(0, len(text), size)]
    return max(len(piece) / len(zlib.compress(piece)) for piece in pieces)


def language_of(text: str, words: Sequence[str]) -> str | None:
    """The language of a text, None when it is too short, or of none that we know.

    By its letters, or else by its function words, which stand in every sentence and differ between languages.

    Source: the method of common words: Grefenstette, "Comparing two language identification schemes", JADT 1995.

    Args:
        text: The text.
        words: Its words; see `words_of`.
    """
    letters = sum(map(len, words))
    if letters < LEAST_WORDS:
        return None
    for language, script in () if text.isascii() else SCRIPTS:
        if len(script.findall(text)) >= SCRIPT_SHARE * letters:
            return language
    if len(words) < LEAST_WORDS:
        return None
    counted = Counter(words)
    shares = sorted(
        (sum(counted[word] for word in known) / len(words), language) for language, known in FUNCTION_WORDS.items()
    )
    (next_best, _), (best, language) = shares[-2:]
    return language if best >= LEAST_SHARE and best >= LEAD * next_best else None
