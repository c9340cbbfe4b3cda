"""Which sentences are central, and which phrases tell what a text is about."""

import re
from collections.abc import Sequence
from typing import cast

from blocks.language.words import SOCIAL, stop_words

RANKED_AT_ONCE = 400
"""LexRank compares every sentence with every other; longer texts are ranked in parts, then their winners."""

PHRASES = 8
LIKENESS = 0.6
"""Key phrases more alike than this are one."""


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
    """Up to eight phrases of one to three words, most telling first, by YAKE (Campos et al., 2020)."""
    from yake import KeywordExtractor  # pyright: ignore[reportMissingTypeStubs]

    if not text.strip():
        return []
    stops = stop_words(language) | SOCIAL
    extractor = KeywordExtractor(lan=language, n=3, top=PHRASES * 4, dedupLim=LIKENESS, stopwords=set(stops))
    found = [str(phrase) for phrase, _ in extractor.extract_keywords(text)]
    kept: list[str] = []
    for phrase in found:
        words = words_of(phrase)
        says_little = any(word in stops or word.isdigit() for word in words)
        if says_little or any(_covers(other, words) for other in kept):
            continue
        kept.append(phrase)
    return kept[:PHRASES]


def _covers(phrase: str, words: Sequence[str]) -> bool:
    return set(words) <= set(words_of(phrase))


def words_of(text: str) -> list[str]:
    """Lower-case words of a text, without punctuation."""
    return re.findall(r"[^\W_]+(?:'[^\W_]+)?", text.lower())
