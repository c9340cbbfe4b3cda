"""How OpenAI words its errors."""

from math import ceil

from deployments.simulator.asked import Limited, Refusal, Why


def duration(seconds: float) -> str:
    """`6m0s`, `1.5s`, `20ms`, rounded up: the form of OpenAI's reset headers (Go's)."""
    whole_ms = ceil(seconds * 1000)
    if whole_ms < 1000:
        return f"{whole_ms}ms"
    minutes, left_ms = divmod(whole_ms, 60_000)
    hours, minutes = divmod(minutes, 60)
    text = f"{left_ms / 1000:.3f}".rstrip("0").rstrip(".") + "s"
    return f"{hours}h{minutes}m{text}" if hours else f"{minutes}m{text}" if minutes else text


INVALID = "invalid_request_error"
ERRORS: dict[Why, tuple[int, str, str | None, str | None, str]] = {
    "no_key": (
        401,
        INVALID,
        None,
        None,
        "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth "
        "(i.e. Authorization: Bearer YOUR_KEY).",
    ),
    "unauthorised": (
        401,
        INVALID,
        None,
        "invalid_api_key",
        "Incorrect API key provided. You can find your API key at https://platform.openai.com/account/api-keys.",
    ),
    "not_found": (404, INVALID, None, None, "Invalid URL ({message})"),
    "no_model": (
        404,
        INVALID,
        None,
        "model_not_found",
        "The model `{model}` does not exist or you do not have access to it.",
    ),
    "context": (
        400,
        INVALID,
        "messages",
        "context_length_exceeded",
        "This model's maximum context length is {limit} tokens. However, your messages resulted in {prompt} tokens. "
        "Please reduce the length of the messages.",
    ),
    "context_with_answer": (
        400,
        INVALID,
        "messages",
        "context_length_exceeded",
        "This model's maximum context length is {limit} tokens. However, you requested {both} tokens ({prompt} in the "
        "messages, {most} in the completion). Please reduce the length of the messages or completion.",
    ),
    "output": (
        400,
        INVALID,
        "max_tokens",
        "invalid_value",
        "max_tokens is too large: {most}. This model supports at most {limit} completion tokens, whereas you provided "
        "{most}.",
    ),
    "invalid": (400, INVALID, None, None, "{message}"),
    "rate_limited": (429, "requests", None, "rate_limit_exceeded", "Rate limit reached for {model}."),
    "out_of_quota": (
        429,
        "insufficient_quota",
        None,
        "insufficient_quota",
        "You exceeded your current quota, please check your plan and billing details.",
    ),
    "overloaded": (
        503,
        "server_error",
        None,
        None,
        "The engine is currently overloaded, please try again later.",
    ),
    "error": (
        500,
        "server_error",
        None,
        None,
        "The server had an error while processing your request. Sorry about that!",
    ),
}
"""Status, type, param, code and message; all but the limits."""


def error_of(refusal: Refusal) -> tuple[int, dict[str, str | None]]:
    """Status and error, as the provider words them."""
    if refusal.limited is not None:
        kind, code, message = _limited(refusal.limited, refusal.model)
        return 429, {"message": message, "type": kind, "param": None, "code": code}
    status, kind, param, code, wording = ERRORS[refusal.why]
    status = refusal.status if refusal.why == "error" else status
    error = {"message": refusal.put_into(wording), "type": kind, "param": refusal.param or param, "code": code}
    return status, error


WINDOWS = {
    "rpm": ("requests", "requests per min (RPM)"),
    "tpm": ("tokens", "tokens per min (TPM)"),
    "rpd": ("requests", "requests per day (RPD)"),
    "tpd": ("tokens", "tokens per day (TPD)"),
}


def _limited(limited: Limited, model: str) -> tuple[str, str | None, str]:
    """Type, code and message."""
    if limited.window == "concurrency":
        # OpenAI limits none; this is Moonshot's wording.
        text = f"Your account reached max organization concurrency: {limited.limit}, please try again after 1 seconds"
        return "rate_limit_reached_error", None, text
    kind, window = WINDOWS[limited.window]
    where = f"for {model} in organization org-simulated on {window}: Limit {limited.limit}"
    if limited.wait_s is None:
        text = f"Request too large {where}, Requested {limited.requested}. The input or output tokens must be reduced."
    else:
        when = duration(limited.wait_s)
        text = (
            f"Rate limit reached {where}, Used {limited.used}, Requested {limited.requested}. "
            f"Please try again in {when}."
        )
    return kind, "rate_limit_exceeded", text
