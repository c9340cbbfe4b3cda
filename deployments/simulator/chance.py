"""Chance that comes out the same for the same seed, request and attempt, in whatever order requests arrive."""

import struct
from hashlib import blake2b
from statistics import NormalDist

DRAWS = 8
_UNPACK = struct.Struct(f"<{DRAWS}Q").unpack
_NORMAL = NormalDist()
_TINY = 2.0**-53


class Luck:
    """Independent numbers between 0 and 1 for one attempt of one request.

    Args:
        seed: Of the simulator.
        fingerprint: Of what the request asks; see `fingerprint`.
        attempt: How often the same was asked before.
    """

    __slots__ = ("_draws", "name")

    def __init__(self, seed: int, fingerprint: bytes, attempt: int) -> None:
        digest = blake2b(b"%d %d " % (seed, attempt) + fingerprint, digest_size=8 * DRAWS).digest()
        self.name = digest[:12].hex()
        self._draws = _UNPACK(digest)

    @property
    def fault(self) -> float:
        """Which fault, if any."""
        return self._draws[0] / 2.0**64

    @property
    def latency(self) -> float:
        """How slow."""
        return self._draws[1] / 2.0**64

    @property
    def size(self) -> float:
        """How long an answer."""
        return self._draws[2] / 2.0**64


def fingerprint(*parts: str) -> bytes:
    """What stands for a request: equal for equal parts."""
    return blake2b("\0".join(parts).encode(errors="surrogatepass"), digest_size=16).digest()


def normal(share: float) -> float:
    """The standard normal value that this share of all values lies below."""
    return _NORMAL.inv_cdf(min(max(share, _TINY), 1 - _TINY))
