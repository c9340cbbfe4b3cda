"""Embeddings without a model: unit vectors, equal for equal texts."""

from base64 import b64encode
from hashlib import shake_256
from math import sqrt
from struct import pack, unpack


def vector(text: str, dimensions: int) -> list[float]:
    """The vector of a text: random directions, so that different texts are nearly orthogonal."""
    digest = shake_256(text.encode(errors="surrogatepass")).digest(4 * dimensions)
    values = [one / 2.0**31 for one in unpack(f"<{dimensions}i", digest)]
    length = sqrt(sum(value * value for value in values)) or 1.0
    return [value / length for value in values]


def as_base64(values: list[float]) -> str:
    """As `encoding_format: base64` sends it: 32-bit floats, little endian."""
    return b64encode(pack(f"<{len(values)}f", *values)).decode()
