"""What can go wrong with a call, and what is done about it."""

from dataclasses import dataclass
from typing import Literal

from blocks.errors import C500Error

Kind = Literal["transient", "quota", "exhausted", "auth", "context", "content", "bug"]

LONGEST_REST_S = 86_400.0
"""However long a server asks us to stay away: it is asked again after a day."""


@dataclass(frozen=True, kw_only=True)
class Action:
    """What is done about a kind of failure.

    Attributes:
        retries: Whether the call is sent again, to another account where there is one.
        breaks: Whether it counts against the account's health.
        rests_s: For how long the account gets no calls, in seconds, where the server does not say.
        meaning: In a few words.
    """

    retries: bool
    breaks: bool
    rests_s: float = 0.0
    meaning: str


ACTIONS: dict[Kind, Action] = {
    "transient": Action(retries=True, breaks=True, meaning="the provider or the way to it failed"),
    "quota": Action(retries=True, breaks=False, rests_s=2.0, meaning="a rate limit of the provider is reached"),
    "exhausted": Action(retries=True, breaks=False, rests_s=900.0, meaning="the account has no credit left"),
    "auth": Action(
        retries=True, breaks=False, rests_s=60.0, meaning="the provider refuses the account's key, or it cannot be read"
    ),
    "context": Action(retries=False, breaks=False, meaning="the request is too long for the model"),
    "content": Action(retries=False, breaks=False, meaning="the provider refuses the content"),
    "bug": Action(retries=False, breaks=False, meaning="the provider does not understand the request"),
}
"""One row for every kind."""


@dataclass(kw_only=True, eq=False)
class Failure(Exception):
    """A call that did not succeed; stays within the pool.

    Attributes:
        kind: Which row of `ACTIONS`.
        message: What the provider said, shortened; never with the account's key.
        status: HTTP status; None when there was no answer.
        retry_after_s: How long the provider asks to wait, up to `LONGEST_REST_S`.
        reached: Whether the request may have reached the model, so that it may have been charged.
        error: What kept it from being sent, as a key that cannot be read; None when it was sent.
    """

    kind: Kind
    message: str
    status: int | None = None
    retry_after_s: float | None = None
    reached: bool = False
    error: C500Error | None = None

    def __post_init__(self) -> None:
        if self.retry_after_s is not None:
            self.retry_after_s = min(self.retry_after_s, LONGEST_REST_S)

    @property
    def is_sent(self) -> bool:
        """Whether a request went out: then the account's limits count it, even when it was refused."""
        return self.error is None

    def __str__(self) -> str:
        return f"{self.status or ('no answer' if self.is_sent else 'not sent')}: {self.message}"
