"""The dialect of Gemini."""

from collections.abc import Iterable, Iterator
from math import ceil
from typing import Any

import orjson

from deployments.simulator.asked import (
    Answer,
    Asked,
    BadRequest,
    Limited,
    Refusal,
    Standing,
    Tool,
    Why,
    as_json,
    mapping,
)

FINISH = {"stop": "STOP", "length": "MAX_TOKENS", "tool": "STOP", "filtered": "SAFETY"}
CHOICES = {"AUTO": "auto", "ANY": "any", "NONE": "none"}
ACTIONS = ("generateContent", "streamGenerateContent")
METRIC = "generativelanguage.googleapis.com/generate_content_"
WINDOWS = {
    "rpm": ("requests", "GenerateRequestsPerMinutePerProjectPerModel"),
    "tpm": ("input_token_count", "GenerateContentInputTokensPerModelPerMinute"),
    "rpd": ("requests", "GenerateRequestsPerDayPerProjectPerModel"),
    "tpd": ("input_token_count", "GenerateContentInputTokensPerModelPerDay"),
    "concurrency": ("requests", "ConcurrentRequestsPerProjectPerModel"),
}
TYPE = "type.googleapis.com/google.rpc."


class Gemini:
    """`/v1beta/models/{model}:generateContent`, `:streamGenerateContent`, `/v1beta/models`."""

    needs_header: str | None = None

    def parse(self, body: dict[str, Any], model: str, action: str) -> Asked:
        """See `Dialect`."""
        if action not in ACTIONS:
            raise BadRequest(f"{action} is not simulated; {' and '.join(ACTIONS)} are")
        contents: list[dict[str, Any]] = body.get("contents") or []
        if not contents:
            raise BadRequest("* GenerateContentRequest.contents: contents is not specified\n")
        how = mapping(_either(body, "generationConfig", "generation_config"))
        schema = how.get("responseJsonSchema") or how.get("responseSchema") or how.get("response_schema")
        tools = [_tool(one) for tool in body.get("tools") or () for one in _either(tool, *DECLARATIONS) or ()]
        system = mapping(_either(body, "systemInstruction", "system_instruction"))
        said = [text for content in contents for text in _texts(content)]
        extra = as_json(body.get("tools"), schema)
        most = _either(how, "maxOutputTokens", "max_output_tokens")
        mime = _either(how, "responseMimeType", "response_mime_type")
        return Asked(
            model=model,
            texts=(*_texts(system), *said, *extra),
            last=said[-1] if said else "",
            max_tokens=None if most is None else int(most),
            schema=schema,
            wants_json=mime == "application/json",
            tools=tuple(tools),
            tool_choice=_choice(mapping(_either(body, "toolConfig", "tool_config"))),
            has_tool_result=any("functionResponse" in part for part in contents[-1].get("parts") or ()),
            stream=action == "streamGenerateContent",
            body=body,
        )

    def answer(self, asked: Asked, answer: Answer, name: str, created_s: int) -> bytes:
        """See `Dialect`."""
        return orjson.dumps(_response(asked, answer, name, _parts(answer), FINISH[answer.finish]))

    def stream(
        self, asked: Asked, answer: Answer, name: str, created_s: int, pieces: Iterable[str]
    ) -> Iterator[tuple[bytes, bool]]:
        """See `Dialect`; the last piece has the reason why it ends."""
        parts = [[{"text": piece}] for piece in pieces] or [_parts(answer)]
        for place, part in enumerate(parts, start=1):
            finish = FINISH[answer.finish] if place == len(parts) else None
            yield b"data: " + orjson.dumps(_response(asked, answer, name, part, finish)) + b"\r\n\r\n", True

    def refusal(self, refusal: Refusal, name: str) -> tuple[int, bytes]:
        """See `Dialect`."""
        if refusal.limited is not None:
            return 429, orjson.dumps({"error": _limited(refusal.limited, refusal.model)})
        code, status, wording = ERRORS[refusal.why]
        code = refusal.status if refusal.why == "error" else code
        error: dict[str, Any] = {"code": code, "message": refusal.put_into(wording), "status": status}
        if refusal.why == "unauthorised":
            error["details"] = [BAD_KEY]
        return code, orjson.dumps({"error": error})

    def headers(self, requests: Standing | None, tokens: Standing | None, wall_s: float) -> dict[str, str]:
        """See `Dialect`; Gemini sends none."""
        return {}

    def retry_headers(self, wait_s: float) -> dict[str, str]:
        """See `Dialect`; Gemini says it in the body."""
        return {}

    def request_id(self, name: str) -> dict[str, str]:
        """See `Dialect`; Gemini sends none."""
        return {}

    def models(self, names: list[str]) -> bytes:
        """See `Dialect`."""
        listed = [
            {"name": f"models/{name}", "displayName": name, "supportedGenerationMethods": list(ACTIONS)}
            for name in names
        ]
        return orjson.dumps({"models": listed})


DECLARATIONS = ("functionDeclarations", "function_declarations")


def _either(content: dict[str, Any], camel: str, snake: str) -> Any:
    """A field: the API takes it in both spellings."""
    return content.get(camel, content.get(snake))


def _tool(declared: dict[str, Any]) -> Tool:
    return Tool(name=declared["name"], schema=declared.get("parametersJsonSchema") or declared.get("parameters") or {})


def _choice(config: dict[str, Any]) -> str:
    calling = mapping(_either(config, "functionCallingConfig", "function_calling_config"))
    allowed: list[str] = _either(calling, "allowedFunctionNames", "allowed_function_names") or []
    choice = CHOICES.get(calling.get("mode", "AUTO"), "auto")
    return allowed[0] if choice == "any" and allowed else choice


def _texts(content: dict[str, Any]) -> list[str]:
    """The texts of a content: its parts, and what tools were called with and gave."""
    texts: list[str] = []
    parts: list[dict[str, Any]] = content.get("parts") or []
    for part in parts:
        if "text" in part:
            texts.append(part["text"])
        elif "functionCall" in part:
            texts.append(orjson.dumps(part["functionCall"].get("args") or {}).decode())
        elif "functionResponse" in part:
            texts.append(orjson.dumps(part["functionResponse"].get("response") or {}).decode())
    return texts


def _parts(answer: Answer) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = [{"text": answer.text}] if answer.text else []
    return parts + [
        {"functionCall": {"name": call.name, "args": orjson.loads(call.arguments)}} for call in answer.calls
    ]


def _response(
    asked: Asked, answer: Answer, name: str, parts: list[dict[str, Any]], finish: str | None
) -> dict[str, Any]:
    """An answer or a piece of one; an empty one has no `parts`, and thought tokens are not among the candidates'."""
    candidate: dict[str, Any] = {"content": {"parts": parts, "role": "model"}, "index": 0}
    if not parts:
        candidate["content"] = {"role": "model"}
    if finish is not None:
        candidate["finishReason"] = finish
    usage = {
        "promptTokenCount": answer.prompt_tokens,
        "candidatesTokenCount": answer.completion_tokens - answer.reasoning_tokens,
        "totalTokenCount": answer.total_tokens,
    }
    if answer.cached_tokens:
        usage["cachedContentTokenCount"] = answer.cached_tokens
    if answer.reasoning_tokens:
        usage["thoughtsTokenCount"] = answer.reasoning_tokens
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": asked.model, "responseId": name}


INVALID = "INVALID_ARGUMENT"
ERRORS: dict[Why, tuple[int, str, str]] = {
    "no_key": (
        403,
        "PERMISSION_DENIED",
        "Method doesn't allow unregistered callers (callers without established identity). Please use API Key or other "
        "form of API consumer identity to call this API.",
    ),
    "unauthorised": (400, INVALID, "API key not valid. Please pass a valid API key."),
    "not_found": (404, "NOT_FOUND", "Requested entity was not found."),
    "no_model": (
        404,
        "NOT_FOUND",
        "models/{model} is not found for API version v1beta, or is not supported for generateContent. Call ListModels "
        "to see the list of available models and their supported methods.",
    ),
    "context": (
        400,
        INVALID,
        "The input token count ({prompt}) exceeds the maximum number of tokens allowed ({limit}).",
    ),
    "output": (
        400,
        INVALID,
        "Unable to submit request because it has a maxOutputTokens value of {most} but the supported range is from 1 "
        "(inclusive) to {over} (exclusive). Update the value and try again.",
    ),
    "invalid": (400, INVALID, "{message}"),
    "rate_limited": (429, "RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota)."),
    "out_of_quota": (429, "RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota)."),
    "overloaded": (503, "UNAVAILABLE", "The model is overloaded. Please try again later."),
    "error": (500, "INTERNAL", "An internal error has occurred. Please retry."),
}
"""Code, status and message; all but the limits. A wrong key is 400 here, not 401."""

BAD_KEY = {
    "@type": f"{TYPE}ErrorInfo",
    "reason": "API_KEY_INVALID",
    "domain": "googleapis.com",
    "metadata": {"service": "generativelanguage.googleapis.com"},
}


def _limited(limited: Limited, model: str) -> dict[str, Any]:
    metric, quota = WINDOWS[limited.window]
    violation = {
        "quotaMetric": METRIC + metric,
        "quotaId": quota,
        "quotaDimensions": {"location": "global", "model": model},
        "quotaValue": str(limited.limit),
    }
    text = (
        "You exceeded your current quota, please check your plan and billing details. For more information on this "
        "error, head to: https://ai.google.dev/gemini-api/docs/rate-limits.\n"
        f"* Quota exceeded for metric: {METRIC + metric}, limit: {limited.limit}, model: {model}"
    )
    details: list[dict[str, Any]] = [{"@type": f"{TYPE}QuotaFailure", "violations": [violation]}]
    if limited.wait_s is not None:
        delay = f"{ceil(limited.wait_s * 1000) / 1000:g}s"
        text += f"\nPlease retry in {delay}."
        details.append({"@type": f"{TYPE}RetryInfo", "retryDelay": delay})
    return {"code": 429, "message": text, "status": "RESOURCE_EXHAUSTED", "details": details}
