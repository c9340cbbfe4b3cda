"""An embedder that needs no model and no server: it compares letters and words, not meanings."""

from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from blocks.memory.words import stop_words, words

if TYPE_CHECKING:
    import numpy as np

DIMENSIONS = 384
GRAMS = (3, 4)
STOP_WEIGHT = 0.1
GRAMS_WEIGHT = 0.85
"""Length of what a word's letters make up in its vector of length 1; the rest is the word itself."""


class LexicalEmbedder:
    """See `blocks.accounts.cache.Embedder`: hashed words and groups of letters within them.

    `deploy` is near `deployments`, and `postgresql` near `postgres`; `car` is not near `automobile`: for that, name a
    server in EMBEDDING_URL.

    Source: feature hashing with signs, Weinberger et al. 2009; groups of letters, Bojanowski et al. 2017 (fastText).
    """

    @property
    def name(self) -> str:
        """Kind, dimensions and version."""
        return f"lexical-{DIMENSIONS}-v1"

    async def embed(self, text: str) -> "np.ndarray[Any, Any]":
        """The vector of a text, float32 of shape (384,) and length 1; zeros for a text without words."""
        return lexical_vector(text)


def lexical_vector(text: str) -> "np.ndarray[Any, Any]":
    """See `LexicalEmbedder.embed`."""
    import numpy as np

    vector = np.zeros(DIMENSIONS, dtype=np.float32)
    for word in dict.fromkeys(words(text)):
        vector += _word_vector(word)
    length = float(np.linalg.norm(vector))
    return vector / length if length else vector


@lru_cache(maxsize=20_000)
def _word_vector(word: str) -> "np.ndarray[Any, Any]":
    import numpy as np

    vector = np.zeros(DIMENSIONS, dtype=np.float32)
    marked = f"<{word}>"
    grams = {marked[start : start + size] for size in GRAMS for start in range(len(marked) - size + 1)} - {marked}
    for gram in grams:
        place, sign = _hashed(gram)
        vector[place] += sign
    length = float(np.linalg.norm(vector))
    vector *= GRAMS_WEIGHT / length if length else 0
    place, sign = _hashed(f"word {word}")
    vector[place] += sign * (1 - GRAMS_WEIGHT**2) ** 0.5
    return vector * (STOP_WEIGHT if word in stop_words() else 1.0)


def _hashed(feature: str) -> tuple[int, float]:
    number = int.from_bytes(blake2b(feature.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
    return number % DIMENSIONS, 1.0 if number >> 63 else -1.0
