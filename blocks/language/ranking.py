"""Which sentences are central, and which phrases tell what a text is about."""

import re
import string
from collections.abc import Sequence
from typing import Any, cast

from blocks.language.sentences import split_text
from blocks.language.words import SOCIAL, stop_words

RANKED_AT_ONCE = 400
"""LexRank compares every sentence with every other; longer texts are ranked in parts, then their winners."""

TOKENS = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*|[^\w\s]")
PUNCTUATION = string.punctuation + "–—…“”‘’«»"

PHRASES = 8
PHRASE_WORDS = 3
LEAST_CHARS = 3


def central(sentences: Sequence[str], most: int, language: str) -> list[str]:
    """The most central sentences in their order, by LexRank (Erkan and Radev, 2004) as sumy has it."""
    distinct = list(dict.fromkeys(sentences))
    while len(distinct) > RANKED_AT_ONCE:
        parts = [distinct[at : at + RANKED_AT_ONCE] for at in range(0, len(distinct), RANKED_AT_ONCE)]
        share = max(most, RANKED_AT_ONCE // 4)
        distinct = [text for part in parts for text in _lex_rank(part, share, language)]
    return _lex_rank(distinct, most, language)


class _Words:
    """The tokenizer sumy asks for; its own wants data that NLTK would download."""

    def to_words(self, text: str) -> list[str]:
        return words_of(text)


def _lex_rank(sentences: Sequence[str], most: int, language: str) -> list[str]:
    from sumy.models.dom import (  # pyright: ignore[reportMissingTypeStubs]
        ObjectDocumentModel,
        Paragraph,
        Sentence,
    )
    from sumy.summarizers.lex_rank import LexRankSummarizer  # pyright: ignore[reportMissingTypeStubs]

    stops = stop_words(language)
    usable = [text for text in sentences if any(word not in stops for word in words_of(text))]
    if len(usable) <= most:
        return usable
    document = ObjectDocumentModel([Paragraph([Sentence(text, _Words()) for text in usable])])
    summarizer = LexRankSummarizer()
    summarizer.stop_words = stops
    chosen = cast(Sequence[object], summarizer(document, most))
    return [str(sentence) for sentence in chosen]


def key_phrases(text: str, language: str) -> list[str]:
    """Up to eight phrases of one to three words, most telling first, by RAKE (Rose et al., 2010)."""
    from rake_nltk import Rake

    stops = stop_words(language) | SOCIAL
    # Its own tokenizers want data that NLTK would download.
    extractor: Any = Rake(
        stopwords=set(stops),
        punctuations=set(PUNCTUATION),
        max_length=PHRASE_WORDS,
        sentence_tokenizer=split_text,
        word_tokenizer=lambda sentence: TOKENS.findall(sentence.lower()),
        include_repeated_phrases=False,
    )
    extractor.extract_keywords_from_text(text)
    kept: list[str] = []
    for phrase in map(str, extractor.get_ranked_phrases()):
        words = words_of(phrase)
        has_number = any(word.isdigit() for word in words)
        says_little = has_number or all(len(word) < LEAST_CHARS for word in words)
        if not says_little and not any(_covers(other, words) for other in kept):
            kept.append(_as_written(phrase, text))
    return kept[:PHRASES]


def _as_written(phrase: str, text: str) -> str:
    """The phrase with the capitals it has in the text, unless it only begins a sentence there."""
    found = [text[at.start() : at.end()] for at in re.finditer(re.escape(phrase), text, re.IGNORECASE)]
    return min(found, key=lambda written: sum(char.isupper() for char in written), default=phrase)


def _covers(phrase: str, words: Sequence[str]) -> bool:
    return set(words) <= set(words_of(phrase))


def words_of(text: str) -> list[str]:
    """Lower-case words of a text, without punctuation."""
    return re.findall(r"[^\W_]+(?:'[^\W_]+)?", text.lower())
