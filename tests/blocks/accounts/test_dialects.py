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


ECHOED = "Invalid schema for function 'get_billing': insufficient_quota, credit balance, api key not valid"


@pytest.mark.parametrize("provider", ["openai", "anthropic", "gemini"])
@pytest.mark.parametrize(("status", "kind"), [(400, "bug"), (401, "auth"), (429, "quota"), (500, "transient")])
def test_words_that_the_caller_wrote_make_no_other_kind(provider: str, status: int, kind: str) -> None:
    failure = DIALECTS[account("one", provider).dialect].failure(status, {}, {"error": {"message": ECHOED}})
    assert failure.kind == kind


@pytest.mark.parametrize(
    ("provider", "status", "error", "kind"),
    [
        ("openai", 429, {"type": "insufficient_quota"}, "exhausted"),
        ("openai", 403, {"code": "billing_not_active"}, "exhausted"),
        ("openai", 400, {"code": "billing_hard_limit_reached"}, "exhausted"),
        ("kimi", 429, {"type": "exceeded_current_quota_error"}, "exhausted"),
        ("qwen", 400, {"code": "Arrearage"}, "exhausted"),
        ("gemini", 429, {"message": "You exceeded your current quota, please check your plan and billing"}, "quota"),
    ],
)
def test_an_account_without_money_is_told_by_its_code(provider: str, status: int, error: Any, kind: str) -> None:
    assert DIALECTS[account("one", provider).dialect].failure(status, {}, {"error": error}).kind == kind


@pytest.mark.parametrize("provider", ["openai", "anthropic", "gemini"])
def test_a_server_that_failed_may_have_run_the_model(provider: str) -> None:
    dialect = DIALECTS[account("one", provider).dialect]
    reached = [
        status for status in (400, 401, 408, 429, 500, 502, 503, 504, 529) if dialect.failure(status, {}, {}).reached
    ]
    assert reached == [500, 502, 504]


@pytest.mark.parametrize(
    ("provider", "headers", "body"),
    [
        ("openai", {"retry-after": "9" * 400}, {}),
        ("anthropic", {"retry-after-ms": "9" * 400}, {}),
        ("gemini", {}, {"error": {"details": [{"retryDelay": f"{'9' * 400}s"}]}}),
    ],
)
def test_nobody_is_asked_to_stay_away_for_longer_than_a_day(provider: str, headers: Any, body: Any) -> None:
    failure = DIALECTS[account("one", provider).dialect].failure(429, headers, body)
    assert failure.retry_after_s == 86_400


def test_a_stream_of_anthropic_without_usage_tells_none() -> None:
    events = [
        {"type": "message_start", "message": {"id": "m"}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}},
    ]
    assert [DIALECTS["anthropic"].piece(event).usage for event in events] == [None, None]


def test_a_signature_of_gemini_goes_back_with_its_tool_call() -> None:
    part = {"functionCall": {"name": "look", "args": {"far": True}}, "thoughtSignature": "c2ln"}
    other = {"functionCall": {"name": "look", "args": {}}}
    reply = DIALECTS["gemini"].decode({"candidates": [{"content": {"parts": [part, other]}}]})
    assert len({call["id"] for call in reply.tool_calls}) == 2
    turn = {"role": "assistant", "content": None, "tool_calls": list(reply.tool_calls)}
    messages = ({"role": "user", "content": "Look!"}, turn)
    assert encoded("gemini", messages=messages)["contents"][1]["parts"] == [part, other]
    # Google's own endpoint in OpenAI's form wants it too; OpenAI refuses what it does not know.
    assert encoded("openai-compatible", messages=messages)["messages"][1] == turn
    sent = encoded("openai", messages=messages)["messages"]
    assert sent[0] == messages[0]
    assert [sorted(call) for call in sent[1]["tool_calls"]] == 2 * [["function", "id", "type"]]
    assert "extra_content" in turn["tool_calls"][0]
