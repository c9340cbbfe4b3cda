"""The dialect of Anthropic; its client is not installed here, so the documented bodies over plain HTTP."""

import json

import pytest

from deployments.simulator.asked import tokens_in
from tests.deployments.simulator.calling import HTTP, SAID, account, events, message
from tests.deployments.simulator.conftest import Serve

TOOL = {"name": "find", "input_schema": {"type": "object", "properties": {"age": {"type": "integer", "minimum": 3}}}}


def claude(**fields: object) -> object:
    return account(provider="anthropic", **fields)


def test_a_message_echoes_and_says_what_it_used(serve: Serve) -> None:
    answer = message(serve(claude(), cached_share=0.5), system=[{"type": "text", "text": "Be kind."}]).json()
    assert answer["content"] == [{"type": "text", "text": SAID}]
    assert (answer["type"], answer["role"], answer["stop_reason"]) == ("message", "assistant", "end_turn")
    whole = tokens_in("Be kind." + SAID)
    assert answer["usage"]["cache_read_input_tokens"] == whole // 2
    assert answer["usage"]["input_tokens"] == whole - whole // 2
    assert answer["usage"]["output_tokens"] == tokens_in(SAID)


def test_a_stream_has_the_events_in_their_order(serve: Serve) -> None:
    response = message(serve(claude()), stream=True)
    told = [json.loads(data) for data in events(response)]
    names = [line.removeprefix("event: ") for line in response.text.splitlines() if line.startswith("event: ")]
    assert names == [one["type"] for one in told]
    deltas = [one for one in told if one["type"] == "content_block_delta"]
    assert "".join(one["delta"]["text"] for one in deltas) == SAID
    assert [name for name in names if name != "content_block_delta"] == [
        "message_start",
        "content_block_start",
        "ping",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert told[0]["message"]["usage"]["input_tokens"] == tokens_in(SAID)
    assert told[-2]["usage"]["output_tokens"] == tokens_in(SAID)
    assert told[-2]["delta"]["stop_reason"] == "end_turn"


def test_a_tool_is_used_and_its_result_answered(serve: Serve) -> None:
    simulator = serve(claude())
    answer = message(simulator, tools=[TOOL]).json()
    [block] = answer["content"]
    assert (block["type"], block["name"], block["input"]) == ("tool_use", "find", {"age": 3})
    assert answer["stop_reason"] == "tool_use"
    result = [{"type": "tool_result", "tool_use_id": block["id"], "content": "Ann"}]
    said = [{"role": "user", "content": SAID}, {"role": "assistant", "content": [block]}]
    again = message(simulator, messages=[*said, {"role": "user", "content": result}], tools=[TOOL]).json()
    assert again["content"] == [{"type": "text", "text": "Ann"}]
    told = [json.loads(data) for data in events(message(simulator, tools=[TOOL], stream=True))]
    parts = [one["delta"]["partial_json"] for one in told if one["type"] == "content_block_delta"]
    assert json.loads("".join(parts)) == {"age": 3}


def test_a_schema_is_satisfied(serve: Serve) -> None:
    form = {"format": {"type": "json_schema", "schema": {"type": "object", "properties": {"yes": {"const": True}}}}}
    answer = message(serve(claude()), output_config=form).json()
    assert json.loads(answer["content"][0]["text"]) == {"yes": True}


def test_headers_tell_limits_with_resets_in_utc(serve: Serve) -> None:
    simulator = serve(claude(quota={"rpm": 1, "tpm": 1000}))
    headers = message(simulator).headers
    assert headers["anthropic-ratelimit-requests-limit"] == "1"
    assert headers["anthropic-ratelimit-requests-remaining"] == "0"
    assert headers["anthropic-ratelimit-tokens-remaining"] == str(1000 - 2 * tokens_in(SAID))
    assert headers["anthropic-ratelimit-requests-reset"].endswith("Z")
    refused = message(simulator)
    assert refused.status_code == 429
    assert 55 <= int(refused.headers["retry-after"]) <= 60
    assert refused.json()["error"]["type"] == "rate_limit_error"
    assert "1 requests per minute" in refused.json()["error"]["message"]
    assert refused.json()["request_id"] == refused.headers["request-id"]


@pytest.mark.parametrize(
    ("fields", "status", "kind", "said"),
    [
        ({"model": "large"}, 404, "not_found_error", "model: large"),
        ({"max_tokens": None}, 400, "invalid_request_error", "max_tokens: Field required"),
        ({"max_tokens": 501}, 400, "invalid_request_error", "501 > 500"),
        ({"messages": [{"role": "user", "content": "x" * 4004}]}, 400, "invalid_request_error", "1001 tokens > 1000"),
        ({"messages": [{"role": "user", "content": "x" * 3604}]}, 400, "invalid_request_error", "901 + 100 > 1000"),
    ],
)
def test_errors_have_the_providers_shape(
    serve: Serve, fields: dict[str, object], status: int, kind: str, said: str
) -> None:
    answer = message(serve(claude()), **fields)
    assert answer.status_code == status
    assert answer.json()["type"] == "error"
    assert answer.json()["error"]["type"] == kind
    assert said in answer.json()["error"]["message"]


def test_key_and_version_are_needed(serve: Serve) -> None:
    simulator = serve(claude())
    body = {"model": "small", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}
    version = {"anthropic-version": "2023-06-01"}

    def status(**headers: str) -> int:
        return HTTP.post(f"{simulator.url}/v1/messages", json=body, headers=headers).status_code

    assert status(**version) == 401
    assert status(**version, **{"x-api-key": "sk-ant-wrong"}) == 401
    assert status(**version, **{"x-api-key": "sim-first"}) == 200
    assert status(**{"x-api-key": "sim-first"}) == 400


def test_overload_is_529_and_no_money_is_400(serve: Serve) -> None:
    simulator = serve(claude(), next_faults={"overloaded": 1, "out_of_quota": 1})
    overloaded, poor = message(simulator), message(simulator)
    assert (overloaded.status_code, overloaded.json()["error"]["type"]) == (529, "overloaded_error")
    assert (poor.status_code, "credit balance" in poor.json()["error"]["message"]) == (400, True)


def test_models_are_listed_in_the_providers_shape(serve: Serve) -> None:
    listed = HTTP.get(f"{serve(claude()).base_url('first')}/models").json()
    assert (listed["data"][0]["id"], listed["has_more"]) == ("small", False)
