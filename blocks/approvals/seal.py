"""Seals: what tells a record that we wrote from one that somebody put into the store."""

import hmac
from typing import Any

from blocks.action import canonical
from blocks.errors import BadInput

KEY_BYTES = 32


class Seal:
    """HMAC-SHA256 under one key.

    Args:
        key: At least 32 bytes; who has it can make votes.

    Raises:
        BadInput: the key is shorter.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) < KEY_BYTES:
            raise BadInput(
                f"the key of approvals has {len(key)} bytes",
                fix=f"use {KEY_BYTES} random bytes, as `openssl rand -hex 32` prints them",
            )
        self._key = key

    def of(self, kind: str, *facts: Any) -> str:
        """The seal of some facts, hexadecimal.

        Args:
            kind: What they are: a seal of one kind is none of another.
            facts: JSON values.
        """
        text = canonical([kind, *facts]).encode("utf-8", "surrogatepass")
        return hmac.digest(self._key, text, "sha256").hex()

    def fits(self, seal: str, kind: str, *facts: Any) -> bool:
        """Whether this is their seal; the time taken does not tell how much of it fits."""
        return seal.isascii() and hmac.compare_digest(self.of(kind, *facts), seal)
