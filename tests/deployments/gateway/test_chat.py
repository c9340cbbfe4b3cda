"""The account pool as one endpoint: OpenAI's own client library against real gateways and simulated providers."""

# ruff: noqa: F811 - fixtures are imported

import http.client
import json
from typing import Any

import httpx
import openai
import pytest
from pydantic import BaseModel

from tests.deployments.gateway.chatting import CHAT, HTTP, SAID, Service, client, service, told  # noqa: F401 - fixtures
from tests.processes import until

WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather in a town.",
        "parameters": {"type": "object", "properties": {"town": {"type": "string"}}, "required": ["town"]},
    },
}


def test_a_question_is_answered_with_its_tokens_and_cost(service: Service, client: openai.OpenAI) -> None:
    service.simulator.reset()
    answer = client.chat.completions.create(
        model="small", messages=SAID, temperature=0.2, stop="never", seed=7, user="u"
    )
    assert answer.choices[0].message.content == SAID[0]["content"]
    assert (answer.choices[0].finish_reason, answer.model, answer.object) == ("stop", "small", "chat.completion")
    charged = service.simulator.books()["total"]["charged"]
    assert answer.usage.total_tokens == charged["prompt_tokens"] + charged["completion_tokens"]
    assert answer.usage.prompt_tokens_details.cached_tokens == 0
    assert answer.c500["cost_usd"] == charged["cost_units"] / 1e9
    cut = client.chat.completions.create(model="small", messages=SAID, max_completion_tokens=2)
    assert (cut.choices[0].finish_reason, cut.usage.completion_tokens) == ("length", 2)


@pytest.mark.parametrize("model", ["small", "sonnet"])
def test_a_stream_has_the_same_text_and_the_usage_when_asked(client: openai.OpenAI, model: str) -> None:
    whole = client.chat.completions.create(model=model, messages=SAID)
    chunks = list(
        client.chat.completions.create(
            model=model, messages=SAID, stream=True, stream_options={"include_usage": True}, max_tokens=400
        )
    )
    text = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(text) == whole.choices[0].message.content
    assert sum(bool(part) for part in text) > 1
    assert [one.choices[0].finish_reason for one in chunks if one.choices and one.choices[0].finish_reason] == ["stop"]
    assert [chunk.usage for chunk in chunks if chunk.usage] == [whole.usage]
    assert len({chunk.id for chunk in chunks}) == 1
    plain = list(client.chat.completions.create(model=model, messages=SAID, stream=True))
    assert all(chunk.usage is None and chunk.choices for chunk in plain)


@pytest.mark.parametrize("model", ["small", "sonnet"])
def test_tools_are_called_whole_and_in_pieces(client: openai.OpenAI, model: str) -> None:
    messages: list[Any] = [*SAID]
    asked = client.chat.completions.create(model=model, messages=messages, tools=[WEATHER], tool_choice="required")
    [call] = asked.choices[0].message.tool_calls
    assert (asked.choices[0].finish_reason, call.function.name) == ("tool_calls", "weather")
    assert json.loads(call.function.arguments).keys() == {"town"}
    with client.chat.completions.stream(model=model, messages=messages, tools=[WEATHER]) as stream:
        streamed = stream.get_final_completion()
    again = streamed.choices[0].message.tool_calls[0].function.arguments
    assert json.loads(again) == json.loads(call.function.arguments)
    messages += [asked.choices[0].message, {"role": "tool", "tool_call_id": call.id, "content": "rain"}]
    told = client.chat.completions.create(model=model, messages=messages, tools=[WEATHER])
    assert told.choices[0].message.tool_calls is None
    assert told.choices[0].message.content


class Minutes(BaseModel):
    title: str
    people: list[str]


@pytest.mark.parametrize("model", ["small", "sonnet", "c500-critical", "auto"])
def test_structured_answers_are_parsed_by_the_client(client: openai.OpenAI, model: str) -> None:
    parsed = client.chat.completions.parse(model=model, messages=SAID, response_format=Minutes)
    assert isinstance(parsed.choices[0].message.parsed, Minutes)
    some = client.chat.completions.create(model=model, messages=SAID, response_format={"type": "json_object"})
    assert isinstance(json.loads(some.choices[0].message.content), dict)


def test_models_and_tiers_are_listed_beside_the_speech_engines(service: Service, client: openai.OpenAI) -> None:
    listed = {model.id: model.owned_by for model in client.models.list()}
    assert {"whisper-1", "auto", "small", "org/large", "sonnet", "c500-simple", "c500-critical"} <= listed.keys()
    assert (listed["sonnet"], listed["auto"]) == ("anthropic", "c500")
    assert client.models.retrieve("org/large").id == "org/large"
    plain = HTTP.get(f"{service.first.url}/v1/models", headers={"X-API-Key": service.secret}).json()
    assert all(model["type"] == "ASR" for model in plain["models"])
    simple = client.chat.completions.create(model="c500-simple", messages=SAID)
    assert simple.model == "small"


@pytest.mark.parametrize(
    ("fields", "error", "code", "param"),
    [
        ({"model": "gpt-9"}, openai.NotFoundError, "model_not_found", "model"),
        (
            {"messages": [{"role": "user", "content": "word " * 4000}]},
            openai.BadRequestError,
            "context_length_exceeded",
            "messages",
        ),
        ({"n": 2}, openai.BadRequestError, None, "n"),
        ({"logprobs": True}, openai.BadRequestError, None, "logprobs"),
        ({"extra_body": {"colour": "red"}}, openai.BadRequestError, None, "colour"),
        ({"extra_body": {"c500": {"colour": "red"}}}, openai.BadRequestError, None, "c500.colour"),
        ({"user": "a\0b"}, openai.BadRequestError, None, "user"),
        ({"extra_body": {"c500": {"session": "a\0b"}}}, openai.BadRequestError, None, "c500.session"),
        ({"messages": []}, openai.BadRequestError, None, "messages"),
        ({"messages": [{"role": "user"}]}, openai.BadRequestError, None, "messages.0"),
        ({"max_tokens": 0}, openai.BadRequestError, None, "max_tokens"),
        ({"model": "broken"}, openai.InternalServerError, "provider_error", None),
        (
            {
                "model": "slow",
                "extra_body": {"c500": {"deadline_s": 0.2}},
                "messages": [{"role": "user", "content": "s"}],
            },
            openai.InternalServerError,
            "timeout",
            None,
        ),
    ],
)
def test_errors_have_openais_form(client: openai.OpenAI, fields: Any, error: Any, code: Any, param: Any) -> None:
    with pytest.raises(error) as refused:
        client.chat.completions.create(**{"model": "small", "messages": SAID, **fields})
    assert refused.value.body.keys() == {"message", "type", "param", "code"}
    assert (refused.value.code, refused.value.param) == (code, param)
    assert refused.value.status_code == {"provider_error": 502, "timeout": 504}.get(code, refused.value.status_code)
    assert "broken/broken" not in refused.value.message


def test_keys_need_the_scope_chat(service: Service) -> None:
    reader, _ = service.ring.create("reader", ["read", "submit", "admin"])
    until(lambda: service.knows(reader))
    with pytest.raises(openai.PermissionDeniedError) as refused:
        service.client(reader).chat.completions.create(model="small", messages=SAID)
    assert refused.value.code == "insufficient_permissions"
    with pytest.raises(openai.AuthenticationError) as unknown:
        service.client("x" * 40).chat.completions.create(model="small", messages=SAID)
    assert unknown.value.code == "invalid_api_key"


def test_a_limit_that_leaves_no_room_in_time_says_when_to_come_back(service: Service, client: openai.OpenAI) -> None:
    patience = {"c500": {"deadline_s": 5}}
    client.chat.completions.create(model="narrow", messages=SAID, extra_body=patience)
    with pytest.raises(openai.RateLimitError) as refused:
        client.chat.completions.create(model="narrow", messages=SAID, extra_body=patience, stream=True)
    assert refused.value.code == "rate_limit_exceeded"
    assert 5 < int(refused.value.response.headers["retry-after"]) <= 61
    assert told(service, "c500_llm_refusals_total", '"rate_limit_exceeded"') == 1


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_goes_away_gives_its_limits_back(service: Service, stream: bool) -> None:
    """The provider takes a minute: for the whole answer, or for the second token."""
    service.simulator.change("slow", latency={"kind": "fixed", "mean_ms": 0 if stream else 60_000})
    before = service.outcomes("slow")["cancelled"]
    line = http.client.HTTPConnection("127.0.0.1", httpx.URL(service.first.url).port, timeout=60)
    body = json.dumps({"model": "slow", "messages": SAID, "stream": stream})
    line.request("POST", CHAT, body, {"Authorization": f"Bearer {service.secret}"})
    until(lambda: service.held("account/slow/concurrency") == 1)
    if stream:
        answer = line.getresponse()
        assert answer.readline().startswith(b"data: ")
        answer.close()
    line.close()
    until(lambda: service.held("account/slow/concurrency") == 0)
    until(lambda: service.outcomes("slow")["cancelled"] == before + 1)


def test_the_one_number_of_answers_that_there_is_is_named(client: openai.OpenAI) -> None:
    assert client.chat.completions.create(model="small", messages=SAID, n=1).choices
    with pytest.raises(openai.BadRequestError, match="only n=1 is supported"):
        client.chat.completions.create(model="small", messages=SAID, n=2)


def test_a_client_with_a_bearer_key_is_told_of_both_headers(service: Service) -> None:
    for headers in ({}, {"Authorization": "Bearer " + "x" * 40}, {"Authorization": "Bearer a", "X-API-Key": "b"}):
        said = HTTP.get(f"{service.first.url}/v1/models", headers=headers).text
        assert "Authorization: Bearer" in said, said
        assert "X-API-Key" in said, said


def test_metrics_tell_what_the_books_and_limits_say(service: Service, client: openai.OpenAI) -> None:
    client.chat.completions.create(model="sonnet", messages=SAID)
    until(lambda: service.outcomes("claude")["ok"] == told(service, "c500_llm_calls_total", 'account="claude"', '"ok"'))
    assert told(service, "c500_llm_up") == 1
    assert told(service, "c500_llm_tokens_total", 'account="claude"', '"completion"') > 0
    assert told(service, "c500_llm_cost_usd_total", 'account="claude"') > 0
    assert told(service, "c500_llm_latency_seconds_count", 'account="claude"') > 0
    assert 0 < told(service, "c500_llm_limit_used_ratio", "account/slow/rpd") <= 1
    assert told(service, "c500_llm_wait_seconds_count") > 0
