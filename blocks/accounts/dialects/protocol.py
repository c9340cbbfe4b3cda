"""What every dialect does. All of it is pure: no I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson

from blocks.accounts.account import Account, Model
from blocks.accounts.chat import ChatReply, ChatRequest, FinishReason, Headers, TokenUsage
from blocks.accounts.failure import Failure

MALFORMED = (KeyError, IndexError, TypeError, AttributeError, ValueError)
"""What reading JSON of another form than the provider's own raises."""

EXTRA = "extra_content"
"""Field of a tool call with what its provider wants back, as in Google's OpenAI-compatible API."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """An HTTP request.

    Attributes:
        url: Where to.
        headers: With the secret.
        body: What is sent, as JSON.
        secret: The account's key, to be left out of all that is told; empty for none.
        content: The body, encoded. Made here, so that what is no JSON is known before anything is sent.

    Raises:
        TypeError: the body is no JSON.
    """

    url: str
    headers: dict[str, str] = field(repr=False)
    body: dict[str, Any]
    secret: str = field(default="", repr=False)
    content: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "content", orjson.dumps(self.body))


@dataclass(frozen=True, kw_only=True)
class Learned:
    """What a provider's headers say of one limit.

    Attributes:
        amount: The most there may be.
        remaining: What is left of it.
    """

    amount: int | None = None
    remaining: int | None = None


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A part of a streamed answer.

    Attributes:
        text: More text.
        tool_calls: Parts of tool calls, in OpenAI's form of deltas; from `wire.Pieces` on counted from 0.
        finish_reason: Why it ended, in the last piece.
        usage: Tokens so far, where the provider says.
    """

    text: str = ""
    tool_calls: tuple[dict[str, Any], ...] = ()
    finish_reason: FinishReason | None = None
    usage: TokenUsage | None = None


class Dialect(Protocol):
    """One HTTP API."""

    def encode(
        self, account: Account, name: str, model: Model, request: ChatRequest, secret: str, stream: bool
    ) -> Call:
        """The HTTP request of a call.

        Args:
            account: Whose.
            name: The model's name in `accounts.yaml`.
            model: Its entry.
            request: What is asked; `max_output_tokens` is set.
            secret: The account's key; empty for none.
            stream: Whether the answer comes in pieces.

        Raises:
            BadInput: a message cannot be put in the provider's form.
            MALFORMED: likewise.
        """
        ...

    def decode(self, body: Any) -> ChatReply:
        """The answer of a response's JSON. Raises `ValueError` when it is none."""
        ...

    def piece(self, event: Any) -> Piece | None:
        """A piece of a streamed answer, of an event's JSON; None where it says nothing new. Raises `MALFORMED`."""
        ...

    def failure(self, status: int, headers: Headers, body: Any) -> Failure:
        """What a refusal means.

        Args:
            status: HTTP status, 400 or more, or that of an error within a stream.
            headers: Of the response.
            body: JSON of the response, or its text.
        """
        ...

    def learned(self, headers: Headers) -> Mapping[str, Learned]:
        """What the headers of a response say of limits, by field of `Quota`; empty when they say nothing."""
        ...
