"""The review queue: what agents propose, and people approve, change or reject before it is used."""

from blocks.reviews.open import open_reviews
from blocks.reviews.queue import Feedback, Reviews
from blocks.reviews.review import Proposal, Review, State

__all__ = ["Feedback", "Proposal", "Review", "Reviews", "State", "open_reviews"]
