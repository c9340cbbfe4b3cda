"""What our HTTP clients share."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx

LONGEST_WAIT_S = 20.0
"""A `Retry-After` up to this is waited for once; a longer one is left to the step's retries."""


def wait_asked_s(response: "httpx.Response") -> float | None:
    """Seconds a busy server asks us to wait before the next try; None when it does not, or too long."""
    if response.status_code not in (429, 503):
        return None
    try:
        wait_s = max(0.0, float(response.headers.get("retry-after", "")))
    except ValueError:
        return None
    return wait_s if wait_s <= LONGEST_WAIT_S else None
