"""An agent's conversation in the form of the account pool, and the pool's answer in the agent's."""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast

from pydantic_ai.messages import (
    CachePoint,
    ModelMessage,
    ModelResponse,
    ModelResponsePart,
    RetryPromptPart,
    SystemPromptPart,
    TextContent,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.tools import ToolDefinition
from pydantic_ai.usage import RequestUsage

from blocks.accounts.chat import Answer, Message
from blocks.accounts.dialects.protocol import EXTRA
from blocks.errors import Unsupported
from blocks.redact import Redactor

Part = dict[str, Any]


def chat_messages(messages: Sequence[ModelMessage], instructions: str | None) -> tuple[Message, ...]:
    """A conversation in OpenAI's form.

    Args:
        messages: The conversation, oldest first.
        instructions: What the model is told first of all; empty or None for nothing.

    Raises:
        Unsupported: a message holds what no text model takes, as a picture or a file.
    """
    first: list[Message] = [{"role": "system", "content": instructions}] if instructions else []
    return (*first, *(made for message in messages for made in _chat(message)))


def _chat(message: ModelMessage) -> Iterator[Message]:
    if isinstance(message, ModelResponse):
        yield from _spoken(message)
        return
    for part in message.parts:
        if isinstance(part, SystemPromptPart):
            yield {"role": "system", "content": part.content}
        elif isinstance(part, UserPromptPart):
            yield {"role": "user", "content": _text_of(part)}
        elif isinstance(part, ToolReturnPart):
            yield {"role": "tool", "tool_call_id": part.tool_call_id, "content": part.model_response_str()}
        elif isinstance(part, RetryPromptPart):
            yield _retry(part)


def _spoken(response: ModelResponse) -> Iterator[Message]:
    """What the model said; its thinking is not sent back, since providers refuse that of others."""
    text = "\n\n".join(part.content for part in response.parts if isinstance(part, TextPart) and part.content)
    calls = [_call(part) for part in response.parts if isinstance(part, ToolCallPart)]
    if text or calls:
        yield {"role": "assistant", "content": text or None, **({"tool_calls": calls} if calls else {})}


def _call(part: ToolCallPart) -> Part:
    """A call with what the provider wants back with it, as Gemini its signatures."""
    function = {"name": part.tool_name, "arguments": part.args_as_json_str()}
    extra = (part.provider_details or {}).get(EXTRA)
    return {"id": part.tool_call_id, "type": "function", "function": function} | ({EXTRA: extra} if extra else {})


def _retry(part: RetryPromptPart) -> Message:
    if part.tool_name is None:
        return {"role": "user", "content": part.model_response()}
    return {"role": "tool", "tool_call_id": part.tool_call_id, "content": part.model_response()}


def _text_of(part: UserPromptPart) -> str:
    if isinstance(part.content, str):
        return part.content
    return "\n\n".join(_texts(part.content))


def _texts(contents: Iterable[Any]) -> Iterator[str]:
    for content in contents:
        if isinstance(content, str):
            yield content
        elif isinstance(content, TextContent):
            yield content.content
        elif not isinstance(content, CachePoint):
            raise Unsupported(
                f"agents take text, and a message holds {type(content).__name__}",
                fix="give the agent a tool that reads the file, or its text",
                field="messages",
            )


def chat_tools(tools: Iterable[ToolDefinition]) -> tuple[dict[str, Any], ...]:
    """Tools in OpenAI's form."""
    return tuple(
        {
            "type": "function",
            "function": {
                "name": tool.name,
                "description": tool.description or "",
                "parameters": tool.parameters_json_schema,
            },
        }
        for tool in tools
    )


def response_of(answer: Answer) -> ModelResponse:
    """The pool's answer as a response; account and cost are in its `provider_details`."""
    reply = answer.reply
    parts: list[ModelResponsePart] = []
    if text := reply.text or reply.refusal:
        parts.append(TextPart(text))
    parts += [
        ToolCallPart(
            call["function"]["name"],
            call["function"]["arguments"] or "{}",
            call.get("id") or "",
            provider_details={EXTRA: call[EXTRA]} if call.get(EXTRA) else None,
        )
        for call in reply.tool_calls
    ]
    usage = RequestUsage(
        input_tokens=reply.usage.prompt_tokens,
        output_tokens=reply.usage.completion_tokens,
        cache_read_tokens=reply.usage.cached_tokens,
    )
    details = {"account": answer.account, "cost_usd": answer.cost_usd, "cached": answer.cached}
    return ModelResponse(
        parts=parts,
        usage=usage,
        model_name=answer.model,
        provider_name="c500",
        provider_details=details,
        finish_reason=_FINISHED[reply.finish_reason],
    )


_FINISHED: dict[str, Any] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_call",
    "content_filter": "content_filter",
}


def as_json(messages: Sequence[ModelMessage]) -> bytes:
    """A conversation as it is stored."""
    from pydantic_ai.messages import ModelMessagesTypeAdapter

    return ModelMessagesTypeAdapter.dump_json(list(messages))


def from_json(content: bytes) -> list[ModelMessage]:
    """A stored conversation. Raises pydantic's `ValidationError`."""
    from pydantic_ai.messages import ModelMessagesTypeAdapter

    return ModelMessagesTypeAdapter.validate_json(content)


def without_secrets(messages: Sequence[ModelMessage], redactor: Redactor) -> list[ModelMessage]:
    """A conversation for keeping: a user may have told a secret, and a model may have said it again."""
    return from_json(json.dumps(_redacted(json.loads(as_json(messages)), redactor)).encode())


def _redacted(value: Any, redactor: Redactor) -> Any:
    """Stored messages with what was said and called in them redacted, and ids, times and counts as they are."""
    if isinstance(value, list):
        return [_redacted(inner, redactor) for inner in cast("list[Any]", value)]
    if not isinstance(value, dict):
        return value
    return {
        name: redactor.value(inner)
        if name == "content"
        else _redacted_arguments(inner, redactor)
        if name == "args"
        else _redacted(inner, redactor)
        for name, inner in cast("dict[str, Any]", value).items()
    }


def _redacted_arguments(given: Any, redactor: Redactor) -> Any:
    if not isinstance(given, str):
        return redactor.value(given)
    try:
        return json.dumps(redactor.value(json.loads(given)), ensure_ascii=False)
    except ValueError:
        return redactor.text(given)


def said(response: ModelResponse) -> str:
    """What the model said or thought beside its tool calls: its reasons, as far as it tells them."""
    texts = [getattr(part, "content", "") for part in response.parts if part.part_kind in ("text", "thinking")]
    return "\n\n".join(text for text in texts if isinstance(text, str) and text)


def asked_tools(response: ModelResponse) -> list[Part]:
    """The tool calls of a response: name and arguments."""
    return [
        {"tool": part.tool_name, "call_id": part.tool_call_id, "arguments": _arguments(part)}
        for part in response.parts
        if isinstance(part, ToolCallPart)
    ]


def _arguments(part: ToolCallPart) -> Any:
    try:
        return json.loads(part.args_as_json_str())
    except ValueError:
        return part.args_as_json_str()
