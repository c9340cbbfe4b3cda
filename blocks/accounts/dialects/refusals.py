"""What providers' refusals have in common."""

from typing import Any

from blocks.accounts.failure import Kind

CONTEXT = (
    "context_length",
    "context length",
    "context window",
    "too many tokens",
    "prompt is too long",
    "exceeds the maximum number of tokens",
    "input token count",
)
EXHAUSTED = ("insufficient_quota", "insufficient balance", "credit balance", "billing", "payment required")
CONTENT = ("content_filter", "content_policy", "content policy", "safety", "data_inspection_failed")


def kind_of(status: int, told: str) -> Kind:
    """What a refusal means.

    Args:
        status: HTTP status.
        told: Code, type and message, as one text.
    """
    text = told.lower()
    if status == 402 or any(word in text for word in EXHAUSTED):
        return "exhausted"
    if status in (401, 403):
        return "auth"
    if status == 429:
        return "quota"
    if status in (408, 409, 425) or status >= 500:
        return "transient"
    if status == 413 or any(word in text for word in CONTEXT):
        return "context"
    if any(word in text for word in CONTENT):
        return "content"
    return "bug"


def as_dict(value: Any) -> dict[str, Any]:
    """The value where it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}  # pyright: ignore[reportUnknownVariableType]


def said(body: Any) -> str:
    """What a body without the provider's form says."""
    return body if isinstance(body, str) else str(as_dict(body).get("message") or as_dict(body).get("detail") or "")
