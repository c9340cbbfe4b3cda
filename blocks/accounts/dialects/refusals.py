"""What providers' refusals have in common."""

from collections.abc import Iterable
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
EXHAUSTED = frozenset(
    {
        "insufficient_quota",
        "billing_hard_limit_reached",
        "billing_not_active",
        "exceeded_current_quota_error",  # Kimi
        "arrearage",  # Qwen
    }
)
"""Codes and types of errors. Not looked for in messages, which repeat what the caller wrote: a tool may be named so."""

EXHAUSTED_SAYING = ("insufficient balance", "your credit balance")
"""How messages begin, of DeepSeek and Anthropic, which have no code for it."""

CONTENT = ("content_filter", "content_policy", "content policy", "safety", "data_inspection_failed")

TURNED_AWAY = (503, 529)
"""Statuses of servers that had no room: the model did not run."""


def kind_of(status: int, message: str, codes: Iterable[Any] = ()) -> Kind:
    """What a refusal means.

    Args:
        status: HTTP status.
        message: What it says.
        codes: Code and type of the error; None for those it has not.
    """
    names = [str(code).lower() for code in codes if code]
    text = " ".join([*names, message.lower()])
    if status == 402 or not EXHAUSTED.isdisjoint(names) or message.lower().startswith(EXHAUSTED_SAYING):
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


def may_have_run(status: int) -> bool:
    """Whether the model may have answered, and been charged, before the server failed with such a status."""
    return status >= 500 and status not in TURNED_AWAY


def without(value: Any, secret: str) -> Any:
    """Text or JSON without the secret, which some servers repeat when they refuse it."""
    if not secret:
        return value
    if isinstance(value, str):
        return value.replace(secret, "…")
    if isinstance(value, list):
        return [without(one, secret) for one in value]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, dict):
        return {key: without(one, secret) for key, one in value.items()}  # pyright: ignore[reportUnknownVariableType]
    return value


def as_dict(value: Any) -> dict[str, Any]:
    """The value where it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}  # pyright: ignore[reportUnknownVariableType]


def said(body: Any) -> str:
    """What a body without the provider's form says."""
    return body if isinstance(body, str) else str(as_dict(body).get("message") or as_dict(body).get("detail") or "")
