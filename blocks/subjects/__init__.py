"""Whose data something is: a person or a job, the traces they leave, and legal holds on them."""

from blocks.subjects.holds import Hold, Holds
from blocks.subjects.subject import Subject, Traces, pseudonym

__all__ = ["Hold", "Holds", "Subject", "Traces", "pseudonym"]
