"""A request to a chat model and its answer, in no provider's own form."""

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from blocks.accounts.account import Name, Tier
from blocks.errors import BadInput
from blocks.limits.limit import Limit
from blocks.model import Frozen

Message = dict[str, Any]
"""A message in OpenAI's form, which the field understands: `role`, `content`, `tool_calls`, `tool_call_id`."""

FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]

Priority = Literal["low", "normal", "high"]

Tokens = Annotated[int, Field(ge=0, le=2**40)]
"""More than any call has: a server that says more is wrong, and its number would not fit into the books."""


UNSTORABLE = re.compile("[\0\ud800-\udfff]")
"""What no database takes in a text."""


def _storable(text: str) -> str:
    if UNSTORABLE.search(text):
        raise ValueError("it holds a NUL or half of a surrogate pair, which databases refuse; leave that out")
    return text


Label = Annotated[str, AfterValidator(_storable)]
"""A text that goes into the books as it is."""


class ChatRequest(Frozen):
    """What a model is asked.

    Attributes:
        messages: The conversation.
        model: A model's name in `accounts.yaml`; None leaves the choice to the tier.
        tier: How hard it is; None has the rules of `accounts.yaml` decide. Not looked at when a model is named.
        max_output_tokens: The most tokens to answer; None for the model's `default_output_tokens`.
        temperature: None for the provider's default.
        response_schema: JSON Schema the answer must satisfy.
        tools: Functions the model may call, in OpenAI's form.
        tool_choice: As OpenAI's.
        stop: Texts that end the answer.
        seed: For providers that take one.
        more: Further fields for the provider, as they are.
    """

    messages: tuple[Message, ...] = Field(min_length=1)
    model: Name | None = None
    tier: Tier | None = None
    max_output_tokens: int | None = Field(default=None, gt=0)
    temperature: float | None = None
    response_schema: dict[str, Any] | None = None
    tools: tuple[dict[str, Any], ...] = ()
    tool_choice: str | dict[str, Any] | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    more: dict[str, Any] = Field(default_factory=dict)


class TokenUsage(Frozen):
    """Tokens of a call.

    Attributes:
        prompt_tokens: Sent, with those the provider had cached.
        completion_tokens: Answered, reasoning included.
        cached_tokens: How many of those sent the provider had cached.
    """

    prompt_tokens: Tokens = 0
    completion_tokens: Tokens = 0
    cached_tokens: Tokens = 0

    @property
    def total(self) -> int:
        """Sent and answered."""
        return self.prompt_tokens + self.completion_tokens


class ChatReply(Frozen):
    """What a model answered.

    Attributes:
        text: The text; empty when it only calls tools.
        tool_calls: In OpenAI's form.
        finish_reason: Why it ended.
        usage: As the provider counted, or estimated where it said nothing.
        is_estimate: Whether `usage` is estimated.
        refusal: Why the model declined, where it says so in a field of its own.
    """

    text: str = ""
    tool_calls: tuple[dict[str, Any], ...] = ()
    finish_reason: FinishReason = "stop"
    usage: TokenUsage = TokenUsage()
    is_estimate: bool = False
    refusal: str | None = None


class Answer(Frozen):
    """A reply with where it came from and what it cost.

    Attributes:
        reply: What the model answered.
        model: Its name in `accounts.yaml`.
        account: Which account; None when the answer came from a cache.
        cost_usd: Dollars; None when the model's price is unknown.
        latency_s: Wall time with waiting and retries, in seconds.
        waited_s: Of it, waiting for a limit.
        attempts: How often it was sent.
        cached: `exact` or `semantic` when it came from a cache.
    """

    reply: ChatReply
    model: str
    account: str | None
    cost_usd: float | None
    latency_s: float
    waited_s: float = 0.0
    attempts: int = 1
    cached: Literal["exact", "semantic"] | None = None


UNBOUNDED = 2**53
"""The largest amount of a limit: nobody spends nine million dollars."""


class Caller(Frozen):
    """For whom a call is made; budgets, fairness and books go by it.

    Attributes:
        user: Who pays; also the tenant of the caches.
        session: Which conversation, for its budget and for sticky routing.
        job: Which job, for the books.
        priority: Of two users that wait, the higher gets more of the turns; nobody starves.
        deadline_s: Seconds from now within which it must end, waiting and retries included; None for no deadline.
        labels: Only accounts that have one of these labels, or such a name; empty for all.
        cache_ttl_s: How old an earlier answer to the same request of this user may be, in seconds; None for none.
        similar: Also answers to requests that are as similar as this, by the cosine of their embeddings; None for none.
        purse: Limits of money or tokens, by the last part of their key, for this piece of work, beside the budgets of
            `accounts.yaml`; one of `UNBOUNDED` counts what is spent, and limits nothing.
    """

    user: Label = "anonymous"
    session: Label | None = None
    job: Label | None = None
    priority: Priority = "normal"
    deadline_s: float | None = Field(default=None, gt=0)
    labels: tuple[str, ...] = ()
    cache_ttl_s: float | None = Field(default=None, gt=0)
    similar: float | None = Field(default=None, gt=0, le=1)
    purse: tuple[Limit, ...] = ()


Headers = Mapping[str, str]
"""Headers of a response, looked up whatever the case of their names."""


def message_text(message: Message) -> str:
    """The text of a message, of all its parts that are text."""
    content: Any = message.get("content")
    if isinstance(content, str):
        return content
    parts: list[dict[str, Any]] = content or []
    return "".join(part.get("text") or "" for part in parts)


def arguments_of(call: dict[str, Any]) -> Any:
    """The arguments of a tool call in a conversation.

    Raises:
        BadInput: they are no JSON, as some models write them; providers refuse such a conversation.
    """
    text = call["function"]["arguments"] or "{}"
    try:
        return json.loads(text)
    except ValueError as error:
        raise BadInput(
            f"the arguments of the tool call {call.get('id')!r} are no JSON: {text[:100]!r}",
            fix="leave the call out, or give it arguments that are a JSON object",
            field="messages.tool_calls",
        ) from error
