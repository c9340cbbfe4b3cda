"""What a client asks of the account pool: the body of OpenAI's chat completions, as a request of ours."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from blocks.accounts.account import TIERS, Tier
from blocks.accounts.chat import Caller, ChatRequest, Label, Priority
from blocks.errors import BadInput, Unsupported
from blocks.keys import ApiKey
from deployments.gateway.intake.fields import read_fields

AUTO = "auto"
TIER_MODELS: dict[str, Tier] = {f"c500-{tier}": tier for tier in TIERS}
"""Names that stand for the best free model of a tier; `auto` leaves the tier to the rules of accounts.yaml."""

PASSED_ON = frozenset(
    {
        "frequency_penalty",
        "logit_bias",
        "parallel_tool_calls",
        "presence_penalty",
        "prompt_cache_key",
        "reasoning_effort",
        "top_p",
        "verbosity",
        # of vLLM, DeepSeek, Qwen and Kimi
        "chat_template_kwargs",
        "enable_thinking",
        "min_p",
        "repetition_penalty",
        "thinking",
        "top_k",
    }
)
"""Fields that go to the provider as they are; one that does not know a field refuses it."""

PASSED_OVER = frozenset({"metadata", "safety_identifier", "service_tier", "stream_options", "user"})
"""Fields that say nothing to a provider of ours; `user` and `stream_options` are read here."""

WITHOUT_EFFECT: Mapping[str, tuple[Any, ...]] = {
    "logprobs": (False,),
    "modalities": (["text"],),
    "n": (1,),
    "store": (False,),
    "top_logprobs": (0,),
}
"""Fields of OpenAI's that we have not, and the values with which they ask for nothing."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,99}")
"""As in accounts.yaml."""

IMAGE = r"^(https?://\S+|data:image/[\w.+-]+;base64,[A-Za-z0-9+/=_-]+)$"


class Loose(BaseModel):
    """Part of a body; what it does not name goes to the provider as it came."""

    model_config = ConfigDict(extra="allow", frozen=True)


class ImageUrl(Loose):
    """Where a picture is: on the web, or within."""

    url: Annotated[str, Field(pattern=IMAGE)]


class Part(Loose):
    """A part of a message: text or a picture."""

    type: Literal["text", "image_url"]
    text: str | None = None
    image_url: ImageUrl | None = None

    @model_validator(mode="after")
    def _is_there(self) -> "Part":
        if getattr(self, self.type) is None:
            raise ValueError(f"a part of type {self.type} needs {self.type}")
        return self


class Called(Loose):
    """The function of a tool call."""

    name: str
    arguments: str


class ToolCall(Loose):
    """A call that a model asked for."""

    id: str
    type: Literal["function"] = "function"
    function: Called


class MessageAsked(Loose):
    """A message; see OpenAI's."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[Part] | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> "MessageAsked":
        if self.content is None and not (self.role == "assistant" and self.tool_calls):
            raise ValueError("content is needed, but in an assistant's message with tool_calls")
        if self.role == "tool" and self.tool_call_id is None:
            raise ValueError("tool_call_id is needed in a message of role tool")
        return self


class FunctionAsked(Loose):
    """A function that a model may call."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    description: str | None = None
    parameters: dict[str, Any] | None = None


class ToolAsked(Loose):
    """A tool: we have functions only."""

    type: Literal["function"]
    function: FunctionAsked


class NamedFunction(Loose):
    """The name of a function."""

    name: str


class ChosenTool(Loose):
    """The tool that must be called."""

    type: Literal["function"]
    function: NamedFunction


class NamedSchema(Loose):
    """A JSON Schema with a name."""

    name: str
    schema_: dict[str, Any] = Field(alias="schema")


class ResponseFormat(Loose):
    """The form of the answer."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: NamedSchema | None = None

    @model_validator(mode="after")
    def _has_schema(self) -> "ResponseFormat":
        if self.type == "json_schema" and self.json_schema is None:
            raise ValueError("json_schema is needed with the type json_schema")
        return self

    @property
    def wanted(self) -> dict[str, Any] | None:
        """The schema of the answer; any object for `json_object`."""
        if self.json_schema is not None:
            return self.json_schema.schema_
        return {"type": "object"} if self.type == "json_object" else None


class StreamOptions(Loose):
    """How a streamed answer is told."""

    include_usage: bool = False


class Extension(BaseModel):
    """Our own field, `c500`, in `extra_body` of OpenAI's client: for whom the call is, and how.

    Attributes: see `Caller`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    session: Label | None = Field(default=None, max_length=200)
    job: Label | None = Field(default=None, max_length=200)
    priority: Priority = "normal"
    deadline_s: float | None = Field(default=None, gt=0, le=86_400)
    labels: tuple[str, ...] = ()
    cache_ttl_s: float | None = Field(default=None, gt=0)
    similar: float | None = Field(default=None, gt=0, le=1)


class ChatAsked(BaseModel):
    """Body of `POST /v1/chat/completions`."""

    model_config = ConfigDict(extra="allow", frozen=True)

    model: str = Field(description="a name in accounts.yaml, `auto`, or `c500-simple` to `c500-critical`")
    messages: list[MessageAsked] = Field(min_length=1, description="the conversation; text and pictures")
    max_completion_tokens: int | None = Field(default=None, ge=1, description="the most tokens to answer")
    max_tokens: int | None = Field(default=None, ge=1, description="its older name")
    temperature: float | None = Field(default=None, ge=0, le=2)
    response_format: ResponseFormat | None = None
    tools: list[ToolAsked] = Field(default=[])
    tool_choice: Literal["none", "auto", "required"] | ChosenTool | None = None
    stop: Annotated[list[str], BeforeValidator(lambda given: [given] if isinstance(given, str) else given)] = Field(
        default=[], max_length=4, description="a text that ends the answer, or up to four"
    )
    seed: int | None = None
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()
    user: Label | None = Field(default=None, max_length=200, description="the session, unless `c500` names one")
    c500: Extension = Field(default=Extension(), description="for whom and how; for the field extra_body")

    def request(self) -> ChatRequest:
        """As a request of the pool. Raises `Unsupported` for a name that no model can have."""
        is_tier = self.model == AUTO or self.model in TIER_MODELS
        if not NAME.fullmatch(self.model):
            raise Unsupported(
                f"there is no model {self.model[:100]!r}", fix="choose one of GET /v1/models", field="model"
            )
        return ChatRequest(
            messages=tuple(message.model_dump(exclude_unset=True) for message in self.messages),
            model=None if is_tier else self.model,
            tier=TIER_MODELS.get(self.model),
            max_output_tokens=self.max_completion_tokens or self.max_tokens,
            temperature=self.temperature,
            response_schema=self.response_format.wanted if self.response_format else None,
            tools=tuple(tool.model_dump(exclude_unset=True) for tool in self.tools),
            tool_choice=(
                self.tool_choice.model_dump(exclude_unset=True)
                if isinstance(self.tool_choice, ChosenTool)
                else self.tool_choice
            ),
            stop=tuple(self.stop),
            seed=self.seed,
            more={name: value for name, value in (self.model_extra or {}).items() if name in PASSED_ON},
        )

    def caller(self, key: ApiKey, longest_s: float) -> Caller:
        """For whom: the key pays; sessions of two keys are never the same.

        Args:
            key: The key that the request came with.
            longest_s: The longest a call may take.
        """
        chosen = self.c500
        session = chosen.session or self.user
        return Caller(
            user=key.key_id,
            session=f"{key.key_id}:{session}" if session else None,
            job=chosen.job,
            priority=chosen.priority,
            deadline_s=min(longest_s, chosen.deadline_s or longest_s),
            labels=chosen.labels,
            cache_ttl_s=chosen.cache_ttl_s,
            similar=chosen.similar,
        )


def read_chat(body: bytes) -> ChatAsked:
    """The body of a request.

    Raises:
        BadInput: it is no JSON object, or a field is wrong, unknown, or asks for what we have not; `field` names it.
    """
    try:
        given: Any = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadInput(f"the body is no JSON: {error}", fix="send a JSON object") from None
    if not isinstance(given, dict):
        raise BadInput("the body is no JSON object", fix="send a JSON object")
    fields: dict[str, Any] = {name: value for name, value in given.items() if value is not None}  # pyright: ignore[reportUnknownVariableType]
    known = ChatAsked.model_fields.keys() | PASSED_ON | PASSED_OVER
    for name, value in fields.items():
        if name in known:
            continue
        if name not in WITHOUT_EFFECT:
            raise BadInput(f"Unrecognized request argument supplied: {name[:64]}", fix="leave it out", field=name[:64])
        if value not in WITHOUT_EFFECT[name]:
            only = " or ".join(orjson.dumps(one).decode() for one in WITHOUT_EFFECT[name])
            raise BadInput(f"only {name}={only} is supported here", fix="leave it out", field=name)
    return read_fields(ChatAsked, fields)
