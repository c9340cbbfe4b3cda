"""Proposals as people read them."""

import difflib
from typing import Any

from blocks.plain_text import json_lines, plain
from blocks.reviews.review import Review


def text_of(content: Any) -> str:
    """A content as text: texts as they are, other JSON over several lines."""
    return content if isinstance(content, str) else json_lines(content)


def shown_lines(content: Any) -> list[str]:
    """A content for a terminal, without what would move the cursor or hide something."""
    return [plain(line) for line in text_of(content).split("\n")]


def difference(review: Review) -> list[str]:
    """What is proposed against what it would replace, as a unified diff; the whole content where that is nothing."""
    before, after = review.proposal.previous, review.content
    if before is None:
        return shown_lines(after)
    return list(difflib.unified_diff(shown_lines(before), shown_lines(after), "before", review.state, lineterm=""))
