"""Approvals as people read them: what an agent wrote cannot pretend to be part of the page or move the cursor."""

import json
from typing import Any

from blocks.approvals.request import Approval
from blocks.approvals.tally import tally

MOST_CHARS = 4000
"""Of arguments on a page; `c500 approve show ID --json` has all."""


def plain(text: str) -> str:
    """The text with everything that is not printed written as an escape; line breaks too."""
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def json_lines(value: Any) -> str:
    """JSON over several lines, with nothing in it that a terminal or a reader's eye would take for something else."""
    return "\n".join(plain(line) for line in json.dumps(value, indent=2, ensure_ascii=False).split("\n"))


def cut(text: str, most: int = MOST_CHARS) -> str:
    """The text, or its beginning with a word on what is missing."""
    return text if len(text) <= most else f"{text[:most]}… ({len(text) - most} more characters)"


def state_of(approval: Approval) -> str:
    """`open 0/1`, `approved`, `approved, edited` or `denied`."""
    decided = tally(approval)
    if decided is None:
        return f"open {len(approval.votes)}/{approval.request.persons}"
    return ("approved, edited" if decided.edited else "approved") if decided.approved else "denied"


def _escape(char: str) -> str:
    return char.encode("unicode_escape", "surrogatepass").decode("ascii")
