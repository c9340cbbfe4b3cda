"""The review queue of this machine's settings."""

from typing import TYPE_CHECKING

from blocks.approvals.open import seal_key
from blocks.reviews.queue import Reviews
from blocks.store import open_store

if TYPE_CHECKING:
    from blocks.store.files import Files


def open_reviews(files: "Files | None" = None) -> Reviews:
    """The queue in a store; by default that of the settings."""
    return Reviews(files or open_store(), seal_key())
