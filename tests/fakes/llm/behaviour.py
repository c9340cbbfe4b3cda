"""How the simulated server behaves; a test changes it while the server runs."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

Answers = Literal["right", "prose", "fence", "wrong_once", "always_wrong", "truncated"]


@dataclass(kw_only=True)
class Behaviour:
    """What a test can ask for; by default every request is answered at once and well.

    Attributes:
        api_key: Key that must be sent as a bearer token; None takes any.
        models: Models it knows; others are answered with 404.
        latency_s: Seconds before every answer.
        requests_per_window: Requests taken in `window_s`; the next one gets 429 and Retry-After.
        window_s: Length of that window in seconds.
        fail_times: How many of the next requests fail with `fail_status`.
        fail_status: Status of those failures.
        fail_headers: Headers of those failures, such as Retry-After.
        hang_times: How many of the next requests get no answer until the caller goes away.
        close_times: How many of the next connections are cut within the answer.
        answers: Whether the content is right, wrapped, or wrong.
        refuses: Types of `response_format` answered with 400.
        context_words: Words a request may have; longer ones get 400 about the context length.
        content: Gives the content of an answer for a request body, instead of the built-in one.
    """

    api_key: str | None = None
    models: tuple[str, ...] = ("small",)
    latency_s: float = 0.0
    requests_per_window: int | None = None
    window_s: float = 60.0
    fail_times: int = 0
    fail_status: int = 500
    fail_headers: dict[str, str] = field(default_factory=dict)
    hang_times: int = 0
    close_times: int = 0
    answers: Answers = "right"
    refuses: frozenset[str] = frozenset()
    context_words: int | None = None
    content: Callable[[dict[str, Any]], str] | None = None
