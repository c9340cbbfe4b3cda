"""What a request asks and what it gets, whatever the provider's dialect."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

BYTES_PER_TOKEN = 4


def tokens_in(text: str) -> int:
    """Tokens of a text: its UTF-8 bytes divided by four, rounded up. No tokenizer, so that tests know it exactly."""
    return -(-len(text.encode(errors="surrogatepass")) // BYTES_PER_TOKEN)


def mapping(value: Any) -> dict[str, Any]:
    """A field that may be missing or null, as a mapping."""
    return value or {}


def as_json(*parts: Any) -> list[str]:
    """What a model reads of tools and schemas: their JSON, of those that there are."""
    return [orjson.dumps(part).decode() for part in parts if part]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A function the model may call.

    Attributes:
        name: Its name.
        schema: JSON Schema of its arguments.
    """

    name: str
    schema: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request.

    Attributes:
        model: As the provider calls it.
        texts: Every text that the model reads, in order: system prompt, messages, tools and schema as JSON.
        last: The last message's text.
        max_tokens: The most to answer, when given.
        schema: JSON Schema the answer must satisfy.
        wants_json: Whether the answer must be JSON of whatever schema.
        tools: What may be called.
        tool_choice: `auto`, `none`, `any`, or the tool to call.
        has_tool_result: Whether the last message is the result of a tool.
        stream: Whether the answer comes in pieces.
        include_usage: Whether the stream of an OpenAI server ends with the usage.
        dimensions: Of each vector, for embeddings; None for everything else.
        body: As it came.
        prompt_tokens: `tokens_in` all texts together.
    """

    model: str
    texts: tuple[str, ...]
    last: str = ""
    max_tokens: int | None = None
    schema: dict[str, Any] | None = None
    wants_json: bool = False
    tools: tuple[Tool, ...] = ()
    tool_choice: str = "auto"
    has_tool_result: bool = False
    stream: bool = False
    include_usage: bool = False
    dimensions: int | None = None
    body: dict[str, Any] = field(default_factory=dict[str, Any])
    prompt_tokens: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "prompt_tokens", tokens_in("".join(self.texts)))

    @property
    def prompt(self) -> str:
        """All texts."""
        return "\n".join(self.texts)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A function the model calls.

    Attributes:
        name: Of the function.
        arguments: JSON.
    """

    name: str
    arguments: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a request gets.

    Attributes:
        text: The content.
        calls: Tools called.
        finish: Why it ends.
        prompt_tokens: Tokens read, cached ones included.
        cached_tokens: How many of them the provider had in its cache.
        completion_tokens: Tokens answered, thought ones included.
        reasoning_tokens: How many of them were thought.
    """

    text: str
    calls: tuple[ToolCall, ...] = ()
    finish: Literal["stop", "length", "tool", "filtered"] = "stop"
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        """Tokens read and answered."""
        return self.prompt_tokens + self.completion_tokens

    def pieces(self, tokens: int) -> Iterator[str]:
        """The content in pieces of so many tokens; of text that is not ASCII, of somewhat more."""
        step = tokens * BYTES_PER_TOKEN
        for start in range(0, len(self.text), step):
            yield self.text[start : start + step]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limited:
    """The limit that a call would pass.

    Attributes:
        window: `rpm`, `tpm`, `rpd`, `tpd` or `concurrency`.
        model: The model whose limit it is; None when it is the account's.
        limit: The most there may be.
        used: What there is.
        requested: What the call would add.
        wait_s: When it may be tried again, in seconds; None when it never fits.
    """

    window: str
    model: str | None
    limit: int
    used: int
    requested: int
    wait_s: float | None


Why = Literal[
    "no_key",
    "unauthorised",
    "not_found",
    "no_model",
    "invalid",
    "context",
    "context_with_answer",
    "output",
    "limited",
    "rate_limited",
    "out_of_quota",
    "overloaded",
    "error",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a request gets no answer.

    Attributes:
        why: The kind.
        model: That was asked for.
        message: What is wrong, of an `invalid` request; the path, of one `not_found`.
        param: The field that is wrong.
        limited: The limit in the way, of a `limited` one.
        tokens: Prompt, most to answer, and the most the model takes, where they are too many.
        status: Of an `error`.
    """

    why: Why
    model: str = ""
    message: str = ""
    param: str | None = None
    limited: Limited | None = None
    tokens: tuple[int, int, int] = (0, 0, 0)
    status: int = 500

    def put_into(self, wording: str) -> str:
        """A provider's wording, with what it names put in."""
        prompt, most, limit = self.tokens
        words = {"prompt": prompt, "most": most, "both": prompt + most, "limit": limit, "over": limit + 1}
        return wording.format(model=self.model, message=self.message, **words)


class BadRequest(Exception):
    """A request is not of the provider's form.

    Args:
        message: What is wrong.
        param: Where.
    """

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a limit stands after a call, for the provider's headers.

    Attributes:
        limit: The most there may be.
        remaining: What is left.
        reset_s: Until nothing of it is used, in seconds.
    """

    limit: int
    remaining: int
    reset_s: float
