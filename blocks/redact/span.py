"""Where a secret stands in a text, and what stands there afterwards."""

import re
from collections.abc import Iterable
from typing import NamedTuple

KINDS = (
    "known-secret",
    "private-key",
    "anthropic-key",
    "openai-key",
    "aws-key",
    "github-token",
    "gitlab-token",
    "slack-token",
    "google-key",
    "stripe-key",
    "c500-key",
    "prefect-key",
    "jwt",
    "webhook",
    "vendor-key",
    "url-password",
    "authorization",
    "cookie",
    "password",
    "secret",
    "api-key",
    "credentials",
    "token",
    "phone",
    "id-number",
    "text",
)
"""What is told of a secret, the most telling first; `text` is a text that could not be cleaned part by part."""

RANK = {kind: rank for rank, kind in enumerate(KINDS)}
OPENING = "[REDACTED:"
MARKER = re.compile(re.escape(OPENING) + f"(?:{'|'.join(KINDS)})" + re.escape("]"))


class Span(NamedTuple):
    """A secret: from `start` up to `end`, and its kind; characters of the text."""

    start: int
    end: int
    kind: str


def marker(kind: str) -> str:
    """What stands in place of a secret."""
    return f"{OPENING}{kind}]"


def united(spans: Iterable[Span], text: str) -> list[Span]:
    """Spans without overlaps, in order; those that would only replace a marker by a marker are left out."""
    marks = {match.span() for match in MARKER.finditer(text)} if OPENING in text else set[tuple[int, int]]()
    groups: list[Span] = []
    for span in sorted([*spans, *(Span(*mark, "") for mark in marks)]):
        last = groups[-1] if groups else None
        if last is not None and span.start < last.end:
            kind = min(last.kind, span.kind, key=lambda one: RANK.get(one, len(RANK)))
            groups[-1] = Span(last.start, max(last.end, span.end), kind)
        elif span.start < span.end:
            groups.append(span)
    return [group for group in groups if (group.start, group.end) not in marks]


def replaced(text: str, spans: Iterable[Span]) -> str:
    """The text with a marker in place of each span; spans in order and without overlaps."""
    parts: list[str] = []
    end = 0
    for span in spans:
        parts += (text[end : span.start], marker(span.kind))
        end = span.end
    return "".join((*parts, text[end:]))
