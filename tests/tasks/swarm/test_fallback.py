"""A declared value steps in by the words of the row."""

import pytest
from pydantic import ValidationError

from blocks.errors import BadInput
from tasks.swarm.fallback import Fallback

WORDS = {"positive": ("tốt", "great"), "negative": ("xấu", "bad")}
SCHEMA = {
    "type": "object",
    "properties": {"sentiment": {"enum": ["positive", "negative", "neutral"]}},
    "required": ["sentiment"],
}


@pytest.mark.parametrize(
    ("text", "sentiment"),
    [
        ("Rất TỐT, great!", "positive"),
        ("bad, bad and great", "negative"),
        ("great but bad", "positive"),  # of equals the first
        ("greatly badly", "neutral"),  # whole words only
    ],
)
def test_the_most_words_decide(text: str, sentiment: str) -> None:
    fallback = Fallback(field="sentiment", words=WORDS, otherwise="neutral", value={"by": "words"})
    assert fallback.value_for({"a": {"b": [text]}}) == {"by": "words", "sentiment": sentiment}


def test_without_a_word_there_is_no_value() -> None:
    assert Fallback(field="sentiment", words=WORDS).value_for({"text": "nothing"}) is None


def test_a_value_may_always_be_the_same() -> None:
    assert Fallback(value={"sentiment": "neutral"}).value_for({}) == {"sentiment": "neutral"}


@pytest.mark.parametrize(
    "fallback", [Fallback(value={"sentiment": "so-so"}), Fallback(field="sentiment", words={"so-so": ("x",)})]
)
def test_a_value_that_breaks_the_schema_is_refused(fallback: Fallback) -> None:
    with pytest.raises(BadInput, match="breaks the schema"):
        fallback.check(SCHEMA)


def test_a_fallback_without_a_value_is_refused() -> None:
    with pytest.raises(ValidationError):
        Fallback()
    with pytest.raises(ValidationError):
        Fallback(field="sentiment")
