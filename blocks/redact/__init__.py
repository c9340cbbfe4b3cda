"""Secrets taken out of what agents read, answer and log."""

from blocks.redact.default import default_redactor
from blocks.redact.redactor import Redactor

__all__ = ["Redactor", "default_redactor"]
