"""Requests and refusals in each provider's own form; answers over real HTTP are in `test_pool`."""

import json
from typing import Any

import pytest

from blocks.accounts.account import Model
from blocks.accounts.chat import ChatRequest
from blocks.accounts.dialects.openai import retry_after_s
from blocks.accounts.dialects.registry import DIALECTS
from tests.blocks.accounts.conftest import account

TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
CONVERSATION = (
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Look!"},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"far": true}'}}],
    },
    {"role": "tool", "tool_call_id": "c1", "content": "a tree"},
    {"role": "user", "content": "And now?"},
)


def encoded(provider: str, **given: Any) -> dict[str, Any]:
    one = account("one", provider)
    fields = {"messages": CONVERSATION, "max_output_tokens": 9, "tools": (TOOL,), **given}
    call = DIALECTS[one.dialect].encode(one, "small", Model(), ChatRequest(**fields), "secret", stream=False)
    json.dumps(call.body)
    return {"url": call.url, "headers": call.headers, **call.body}


def test_a_conversation_for_openai_stays_as_it_is() -> None:
    sent = encoded("openai", stop=("end",), seed=3, temperature=0)
    assert sent["url"].endswith("/v1/chat/completions")
    assert sent["headers"] == {"authorization": "Bearer secret"}
    assert sent["messages"] == list(CONVERSATION)
    assert (sent["max_tokens"], sent["stop"], sent["seed"], sent["temperature"]) == (9, ["end"], 3, 0)


def test_a_conversation_for_anthropic_has_turns_of_two() -> None:
    sent = encoded("anthropic", tool_choice="required")
    assert sent["url"].endswith("/v1/messages")
    assert sent["headers"]["x-api-key"] == "secret"
    assert sent["system"] == "Be brief."
    assert [turn["role"] for turn in sent["messages"]] == ["user", "assistant", "user"]
    assert sent["messages"][1]["content"] == [{"type": "tool_use", "id": "c1", "name": "look", "input": {"far": True}}]
    assert [block["type"] for block in sent["messages"][2]["content"]] == ["tool_result", "text"]
    assert sent["tool_choice"] == {"type": "any"}


def test_a_conversation_for_gemini_has_contents_of_two() -> None:
    sent = encoded("gemini")
    assert sent["url"].endswith("/v1beta/models/small:generateContent")
    assert sent["headers"] == {"x-goog-api-key": "secret"}
    assert sent["systemInstruction"] == {"parts": [{"text": "Be brief."}]}
    assert [turn["role"] for turn in sent["contents"]] == ["user", "model", "user"]
    assert sent["contents"][2]["parts"][0]["functionResponse"]["name"] == "look"
    assert sent["generationConfig"]["maxOutputTokens"] == 9


@pytest.mark.parametrize("provider", ["openai", "anthropic", "gemini"])
def test_a_key_stands_in_headers_alone(provider: str) -> None:
    sent = encoded(provider)
    assert "secret" not in json.dumps({name: value for name, value in sent.items() if name != "headers"})


@pytest.mark.parametrize(
    ("provider", "status", "body", "kind"),
    [
        ("openai", 429, {"error": {"code": "rate_limit_exceeded", "message": "Rate limit reached"}}, "quota"),
        ("openai", 429, {"error": {"code": "insufficient_quota", "message": "exceeded your quota"}}, "exhausted"),
        ("openai", 401, {"error": {"code": "invalid_api_key", "message": "Incorrect API key"}}, "auth"),
        ("openai", 400, {"error": {"code": "context_length_exceeded", "message": "maximum"}}, "context"),
        ("openai", 400, {"error": {"code": "content_policy_violation", "message": "no"}}, "content"),
        ("openai", 400, {"error": {"message": "unknown parameter"}}, "bug"),
        ("openai", 502, "<html>Bad Gateway</html>", "transient"),
        ("deepseek", 402, {"error": {"message": "Insufficient Balance"}}, "exhausted"),
        (
            "anthropic",
            529,
            {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
            "transient",
        ),
        ("anthropic", 400, {"error": {"type": "invalid_request_error", "message": "prompt is too long: 9"}}, "context"),
        ("anthropic", 400, {"error": {"message": "Your credit balance is too low"}}, "exhausted"),
        ("gemini", 400, {"error": {"message": "API key not valid. Please pass a valid API key."}}, "auth"),
        ("gemini", 429, {"error": {"status": "RESOURCE_EXHAUSTED", "message": "Quota exceeded"}}, "quota"),
        (
            "gemini",
            400,
            {"error": {"message": "The input token count exceeds the maximum number of tokens"}},
            "context",
        ),
    ],
)
def test_a_refusal_is_of_its_kind(provider: str, status: int, body: Any, kind: str) -> None:
    failure = DIALECTS[account("one", provider).dialect].failure(status, {}, body)
    assert (failure.kind, failure.status) == (kind, status)
    assert len(failure.message) <= 300


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"x-ratelimit-reset-requests": "6m0s", "x-ratelimit-remaining-requests": "0"}, 360.0),
        ({"x-ratelimit-reset-tokens": "120ms", "x-ratelimit-remaining-tokens": "0"}, 0.12),
        ({"x-ratelimit-reset-tokens": "1s", "x-ratelimit-remaining-tokens": "5"}, None),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
        ({}, None),
    ],
)
def test_how_long_to_wait_is_read_from_headers(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_s(headers) == seconds


def test_gemini_tells_in_the_body_how_long_to_wait() -> None:
    details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.5s"}]
    failure = DIALECTS["gemini"].failure(429, {}, {"error": {"message": "Quota exceeded", "details": details}})
    assert failure.retry_after_s == 34.5


@pytest.mark.parametrize("provider", ["openai", "anthropic", "gemini"])
@pytest.mark.parametrize("body", [None, [], "text", {}, {"choices": []}, {"content": [{}]}, {"candidates": "x"}, 7])
def test_what_is_no_answer_is_a_value_error(provider: str, body: Any) -> None:
    with pytest.raises(ValueError, match="answer"):
        DIALECTS[account("one", provider).dialect].decode(body)
