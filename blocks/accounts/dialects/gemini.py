"""Google's Gemini API, v1beta.

Source: ai.google.dev/api/generate-content and …/gemini-api/docs/function-calling.
"""

import json
import re
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from blocks.accounts.account import Account, Model
from blocks.accounts.chat import (
    ChatReply,
    ChatRequest,
    FinishReason,
    Headers,
    Message,
    TokenUsage,
    arguments_of,
    message_text,
)
from blocks.accounts.dialects.openai import retry_after_s
from blocks.accounts.dialects.protocol import EXTRA, MALFORMED, Call, Learned, Piece
from blocks.accounts.dialects.refusals import as_dict, kind_of, may_have_run, said
from blocks.accounts.failure import Failure

FINISHED: dict[str, FinishReason] = {"STOP": "stop", "MAX_TOKENS": "length"}
"""All other reasons are refusals of the content or of its form."""

CHOICES = {"auto": "AUTO", "none": "NONE", "required": "ANY"}


class Gemini:
    """See `Dialect`."""

    def encode(
        self, account: Account, name: str, model: Model, request: ChatRequest, secret: str, stream: bool
    ) -> Call:
        """See `Dialect`."""
        generation: dict[str, Any] = {"maxOutputTokens": request.max_output_tokens}
        if request.temperature is not None:
            generation["temperature"] = request.temperature
        if request.stop:
            generation["stopSequences"] = list(request.stop)
        if request.seed is not None:
            generation["seed"] = request.seed
        if request.response_schema is not None:
            generation |= {"responseMimeType": "application/json", "responseJsonSchema": request.response_schema}
        body: dict[str, Any] = {
            "contents": _contents(request.messages),
            "generationConfig": generation,
            **request.more,
        }
        systems = [message_text(one) for one in request.messages if one["role"] in ("system", "developer")]
        if systems:
            body["systemInstruction"] = {"parts": [{"text": "\n\n".join(systems)}]}
        if request.tools:
            body["tools"] = [{"functionDeclarations": [_function(tool["function"]) for tool in request.tools]}]
            if request.tool_choice is not None:
                body["toolConfig"] = {"functionCallingConfig": _tool_choice(request.tool_choice)}
        verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
        headers = {"x-goog-api-key": secret} if secret else {}
        return Call(url=f"{account.url}/models/{model.name or name}:{verb}", headers=headers, body=body, secret=secret)

    def decode(self, body: Any) -> ChatReply:
        """See `Dialect`."""
        try:
            piece = self.piece(body)
        except MALFORMED as error:
            raise ValueError("the answer is no generated content") from error
        if piece is None:
            raise ValueError("the answer holds no candidate")
        return ChatReply(
            text=piece.text,
            tool_calls=tuple(
                {key: value for key, value in call.items() if key != "index"} for call in piece.tool_calls
            ),
            finish_reason=piece.finish_reason or "stop",
            usage=piece.usage or TokenUsage(),
            is_estimate=piece.usage is None,
        )

    def piece(self, event: Any) -> Piece | None:
        """See `Dialect`. Every event of a stream has the form of a whole answer."""
        usage = _usage(as_dict(event).get("usageMetadata"))
        blocked = as_dict(as_dict(event).get("promptFeedback")).get("blockReason")
        if blocked:
            return Piece(finish_reason="content_filter", usage=usage)
        candidates = as_dict(event).get("candidates")
        if not candidates:
            return Piece(usage=usage) if usage else None
        parts: list[dict[str, Any]] = as_dict(candidates[0].get("content")).get("parts") or []
        calls = [part for part in parts if "functionCall" in part]
        ended = candidates[0].get("finishReason")
        reason = FINISHED.get(ended, "content_filter") if ended else None
        return Piece(
            text="".join(part["text"] for part in parts if "text" in part and not part.get("thought")),
            tool_calls=tuple(_call(index, part) for index, part in enumerate(calls)),
            finish_reason="tool_calls" if calls and reason == "stop" else reason,
            usage=usage,
        )

    def failure(self, status: int, headers: Headers, body: Any) -> Failure:
        """See `Dialect`. How long to wait stands in the body."""
        error = as_dict(as_dict(body).get("error"))
        message = str(error.get("message") or said(body))
        return Failure(
            # A wrong key is a 400 here.
            kind="auth" if message.lower().startswith("api key not valid") else kind_of(status, message),
            message=message[:300],
            status=status,
            retry_after_s=_retry_delay_s(error) or retry_after_s(headers),
            reached=may_have_run(status),
        )

    def learned(self, headers: Headers) -> Mapping[str, Learned]:
        """See `Dialect`. Gemini says nothing."""
        return {}


def _contents(messages: tuple[Message, ...]) -> list[dict[str, Any]]:
    names = {call["id"]: call["function"]["name"] for one in messages for call in one.get("tool_calls") or ()}
    contents: list[dict[str, Any]] = []
    for message in messages:
        if message["role"] in ("system", "developer"):
            continue
        role = "model" if message["role"] == "assistant" else "user"
        parts = _parts(message, names)
        if contents and contents[-1]["role"] == role:
            contents[-1]["parts"] += parts
        else:
            contents.append({"role": role, "parts": parts})
    return contents


def _parts(message: Message, names: Mapping[str, str]) -> list[dict[str, Any]]:
    if message["role"] == "tool":
        name = names.get(message["tool_call_id"], message["tool_call_id"])
        return [{"functionResponse": {"name": name, "response": {"result": message_text(message)}}}]
    content: Any = message.get("content")
    given: list[dict[str, Any]] = [{"type": "text", "text": content}] if isinstance(content, str) else content or []
    parts = [_image(part) if part["type"] == "image_url" else {"text": part["text"]} for part in given]
    for call in message.get("tool_calls") or ():
        function = {"name": call["function"]["name"], "args": arguments_of(call)}
        signature = as_dict(as_dict(call.get(EXTRA)).get("google")).get("thought_signature")
        parts.append({"functionCall": function} | ({"thoughtSignature": signature} if signature else {}))
    return parts


def _image(part: dict[str, Any]) -> dict[str, Any]:
    url: str = part["image_url"]["url"]
    if url.startswith("data:"):
        media_type, data = url.removeprefix("data:").split(";base64,", 1)
        return {"inlineData": {"mimeType": media_type, "data": data}}
    return {"fileData": {"fileUri": url}}


def _function(function: dict[str, Any]) -> dict[str, Any]:
    made = {"name": function["name"], "description": function.get("description", "")}
    return made | ({"parametersJsonSchema": function["parameters"]} if function.get("parameters") else {})


def _tool_choice(choice: str | dict[str, Any]) -> dict[str, Any]:
    if isinstance(choice, dict):
        return {"mode": "ANY", "allowedFunctionNames": [choice["function"]["name"]]}
    return {"mode": CHOICES.get(choice, "AUTO")}


def _call(index: int, part: dict[str, Any]) -> dict[str, Any]:
    """A tool call. Gemini's older versions give it no id; its newer ones want the signature back with the next turn."""
    call: dict[str, Any] = part["functionCall"]
    made: dict[str, Any] = {
        "index": index,
        "id": call.get("id") or f"call_{uuid4().hex}",
        "type": "function",
        "function": {"name": call["name"], "arguments": json.dumps(call.get("args") or {}, ensure_ascii=False)},
    }
    signature = part.get("thoughtSignature")
    return made | ({EXTRA: {"google": {"thought_signature": signature}}} if signature else {})


def _usage(used: Any) -> TokenUsage | None:
    if not used:
        return None
    return TokenUsage(
        prompt_tokens=used.get("promptTokenCount") or 0,
        completion_tokens=(used.get("candidatesTokenCount") or 0) + (used.get("thoughtsTokenCount") or 0),
        cached_tokens=used.get("cachedContentTokenCount") or 0,
    )


def _retry_delay_s(error: dict[str, Any]) -> float | None:
    """`RetryInfo` of the error's details, such as `"retryDelay": "34.5s"`."""
    for detail in error.get("details") or ():
        if found := re.fullmatch(r"(\d+(?:\.\d+)?)s", str(as_dict(detail).get("retryDelay", ""))):
            return float(found[1])
    return None
