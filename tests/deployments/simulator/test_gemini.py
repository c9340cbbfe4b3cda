"""The dialect of Gemini; its client is not installed here, so the documented bodies over plain HTTP."""

import json

import pytest

from deployments.simulator.asked import tokens_in
from tests.deployments.simulator.calling import HTTP, SAID, account, events, generate
from tests.deployments.simulator.conftest import Serve

TOOLS = [
    {
        "functionDeclarations": [
            {"name": "find", "parameters": {"type": "OBJECT", "properties": {"age": {"type": "INTEGER", "minimum": 3}}}}
        ]
    }
]


def gemini(**fields: object) -> object:
    return account(provider="gemini", **fields)


def test_a_generation_echoes_and_tells_thoughts_apart(serve: Serve) -> None:
    simulator = serve(gemini(), reasoning_tokens=7, cached_share=0.5)
    answer = generate(simulator, systemInstruction={"parts": [{"text": "Be kind."}]}).json()
    [candidate] = answer["candidates"]
    assert candidate["content"] == {"role": "model", "parts": [{"text": SAID}]}
    assert candidate["finishReason"] == "STOP"
    read, written = tokens_in("Be kind." + SAID), tokens_in(SAID)
    assert answer["usageMetadata"] == {
        "promptTokenCount": read,
        "candidatesTokenCount": written,
        "thoughtsTokenCount": 7,
        "cachedContentTokenCount": read // 2,
        "totalTokenCount": read + written + 7,
    }
    assert simulator.books()["total"]["charged"]["completion_tokens"] == written + 7


def test_a_stream_is_the_same_in_pieces(serve: Serve) -> None:
    response = generate(serve(gemini()), action="streamGenerateContent?alt=sse")
    pieces = [json.loads(data)["candidates"][0] for data in events(response)]
    assert "".join(piece["content"]["parts"][0]["text"] for piece in pieces) == SAID
    assert ["finishReason" in piece for piece in pieces] == [False] * (len(pieces) - 1) + [True]


def test_a_function_is_called_and_its_response_answered(serve: Serve) -> None:
    simulator = serve(gemini())
    [part] = generate(simulator, tools=TOOLS).json()["candidates"][0]["content"]["parts"]
    assert part == {"functionCall": {"name": "find", "args": {"age": 3}}}
    said = [{"role": "user", "parts": [{"text": SAID}]}, {"role": "model", "parts": [part]}]
    given = {"role": "user", "parts": [{"functionResponse": {"name": "find", "response": {"name": "Ann"}}}]}
    again = generate(simulator, contents=[*said, given], tools=TOOLS).json()
    assert again["candidates"][0]["content"]["parts"] == [{"text": '{"name":"Ann"}'}]


@pytest.mark.parametrize("field", ["responseSchema", "responseJsonSchema"])
def test_a_schema_is_satisfied(serve: Serve, field: str) -> None:
    schema = {"type": "OBJECT", "properties": {"kind": {"type": "STRING", "enum": ["call"]}}}
    how = {"responseMimeType": "application/json", field: schema, "maxOutputTokens": 50}
    answer = generate(serve(gemini()), generationConfig=how).json()
    assert json.loads(answer["candidates"][0]["content"]["parts"][0]["text"]) == {"kind": "call"}


def test_a_limit_is_told_in_the_body_alone(serve: Serve) -> None:
    simulator = serve(gemini(quota={"rpm": 1}))
    assert generate(simulator).status_code == 200
    refused = generate(simulator)
    error = refused.json()["error"]
    assert (refused.status_code, error["code"], error["status"]) == (429, 429, "RESOURCE_EXHAUSTED")
    assert not {"retry-after", "x-ratelimit-limit-requests"} & set(refused.headers)
    failure, retry = error["details"]
    assert failure["violations"][0]["quotaId"] == "GenerateRequestsPerMinutePerProjectPerModel"
    assert retry["@type"] == "type.googleapis.com/google.rpc.RetryInfo"
    assert 55 < float(retry["retryDelay"].removesuffix("s")) <= 60
    assert f"retry in {retry['retryDelay']}" in error["message"]


@pytest.mark.parametrize(
    ("fields", "status", "name", "said"),
    [
        ({"model": "large"}, 404, "NOT_FOUND", "models/large is not found for API version v1beta"),
        ({"contents": []}, 400, "INVALID_ARGUMENT", "contents is not specified"),
        ({"generationConfig": {"maxOutputTokens": 501}}, 400, "INVALID_ARGUMENT", "from 1 (inclusive) to 501"),
        ({"said": "x" * 4004}, 400, "INVALID_ARGUMENT", "input token count (1001) exceeds"),
        ({"action": "embedContent"}, 400, "INVALID_ARGUMENT", "embedContent is not simulated"),
    ],
)
def test_errors_have_the_providers_shape(
    serve: Serve, fields: dict[str, object], status: int, name: str, said: str
) -> None:
    answer = generate(serve(gemini()), **fields)
    assert answer.status_code == status
    assert answer.json()["error"]["status"] == name
    assert said in answer.json()["error"]["message"]


def test_only_what_is_read_fills_the_context(serve: Serve) -> None:
    how = {"maxOutputTokens": 500}
    assert generate(serve(gemini()), said="x" * 3604, generationConfig=how).status_code == 200


def test_a_key_is_taken_from_header_or_address_and_a_wrong_one_is_400(serve: Serve) -> None:
    simulator = serve(gemini())
    url = f"{simulator.url}/v1beta/models"
    assert HTTP.get(url, headers={"x-goog-api-key": "sim-first"}).json()["models"][0]["name"] == "models/small"
    assert HTTP.get(url, params={"key": "sim-first"}).status_code == 200
    assert HTTP.get(url).status_code == 403
    wrong = HTTP.get(url, params={"key": "AIza"})
    assert wrong.status_code == 400
    assert wrong.json()["error"]["details"][0]["reason"] == "API_KEY_INVALID"


def test_an_empty_answer_has_no_parts(serve: Serve) -> None:
    simulator = serve(gemini(), next_faults={"empty": 1, "filtered": 1})
    assert generate(simulator).json()["candidates"][0]["content"] == {"role": "model"}
    assert generate(simulator).json()["candidates"][0]["finishReason"] == "SAFETY"
