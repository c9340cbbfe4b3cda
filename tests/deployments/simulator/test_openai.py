"""The dialect of OpenAI, called by OpenAI's own client."""

import json

import openai
import pytest

from deployments.simulator.asked import tokens_in
from tests.deployments.simulator.calling import HTTP, SAID, account, chat
from tests.deployments.simulator.conftest import Serve

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 18}},
    "required": ["name", "age"],
}
TOOL = {"type": "function", "function": {"name": "find", "parameters": PERSON}}


def client(url: str, key: str = "sim-first") -> openai.OpenAI:
    return openai.OpenAI(base_url=url, api_key=key, max_retries=0, http_client=HTTP)


def test_a_completion_echoes_and_says_what_it_used(serve: Serve) -> None:
    simulator = serve(cached_share=0.5, reasoning_tokens=7)
    answer = client(simulator.base_url("first")).chat.completions.create(
        model="small", messages=[{"role": "system", "content": "Be kind."}, {"role": "user", "content": SAID}]
    )
    assert answer.choices[0].message.content == SAID
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.prompt_tokens == tokens_in("Be kind." + SAID)
    assert answer.usage.completion_tokens == tokens_in(SAID) + 7
    assert answer.usage.prompt_tokens_details.cached_tokens == answer.usage.prompt_tokens // 2
    assert answer.usage.completion_tokens_details.reasoning_tokens == 7


def test_a_stream_is_the_same_in_pieces_and_ends_with_the_usage(serve: Serve) -> None:
    simulator = serve()
    pieces = list(
        client(simulator.base_url("first")).chat.completions.create(
            model="small",
            messages=[{"role": "user", "content": SAID}],
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    assert "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices) == SAID
    assert [piece.choices[0].finish_reason for piece in pieces if piece.choices][-1] == "stop"
    assert pieces[-1].choices == []
    assert pieces[-1].usage.completion_tokens == tokens_in(SAID)
    assert simulator.books()["total"]["charged"]["calls"] == 1


def test_a_schema_is_satisfied(serve: Serve) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "person", "schema": PERSON, "strict": True}}
    answer = chat(serve(), response_format=form).json()
    person = json.loads(answer["choices"][0]["message"]["content"])
    assert person == {"name": SAID, "age": 18}
    assert answer["usage"]["prompt_tokens"] == tokens_in(SAID + json.dumps(PERSON, separators=(",", ":")))


@pytest.mark.parametrize("stream", [False, True])
def test_a_tool_is_called_once_and_its_result_answered(serve: Serve, stream: bool) -> None:
    api = client(serve().base_url("first")).chat.completions
    asked = {"role": "user", "content": "Who?"}
    if stream:
        pieces = list(api.create(model="small", messages=[asked], tools=[TOOL], stream=True))
        calls = [call for piece in pieces for call in piece.choices[0].delta.tool_calls or ()]
        assert (calls[0].function.name, calls[0].type) == ("find", "function")
        assert json.loads("".join(call.function.arguments for call in calls)) == {"name": "Who?", "age": 18}
        assert pieces[-1].choices[0].finish_reason == "tool_calls"
        return
    called = api.create(model="small", messages=[asked], tools=[TOOL]).choices[0]
    assert called.finish_reason == "tool_calls"
    [call] = called.message.tool_calls
    assert json.loads(call.function.arguments) == {"name": "Who?", "age": 18}
    result = {"role": "tool", "tool_call_id": call.id, "content": "Ann"}
    answer = api.create(model="small", messages=[asked, called.message.model_dump(), result], tools=[TOOL]).choices[0]
    assert (answer.message.content, answer.finish_reason) == ("Ann", "stop")


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_an_answer_ends_at_the_most_tokens(serve: Serve, field: str) -> None:
    answer = chat(serve(), **{field: 5}).json()
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["choices"][0]["message"]["content"] == SAID[:20]
    assert answer["usage"]["completion_tokens"] == 5


def test_models_are_listed_and_vectors_are_of_length_one(serve: Serve) -> None:
    simulator = serve()
    api = client(simulator.base_url("first"))
    assert [model.id for model in api.models.list()] == ["small"]
    made = api.embeddings.create(model="small", input=["one", "two", "one"], dimensions=8)
    one, two, again = (item.embedding for item in made.data)
    assert one == again != two
    assert sum(value * value for value in one) == pytest.approx(1, abs=1e-6)
    assert made.usage.prompt_tokens == tokens_in("onetwoone")
    assert simulator.books()["total"]["charged"]["completion_tokens"] == 0


def test_errors_are_those_the_client_knows(serve: Serve) -> None:
    simulator = serve(account(model={"context_tokens": 100, "max_output_tokens": 60}))
    with pytest.raises(openai.AuthenticationError) as unauthorised:
        client(f"{simulator.url}/v1", "sk-wrong").models.list()
    assert unauthorised.value.code == "invalid_api_key"
    assert "sk-wrong" not in str(unauthorised.value)
    api = client(f"{simulator.url}/v1").chat.completions
    with pytest.raises(openai.NotFoundError) as missing:
        api.create(model="large", messages=[{"role": "user", "content": "hi"}])
    assert missing.value.code == "model_not_found"
    for said, most in (("word " * 100, None), ("word " * 60, 50)):
        with pytest.raises(openai.BadRequestError) as long:
            api.create(model="small", messages=[{"role": "user", "content": said}], max_tokens=most or openai.omit)
        assert long.value.code == "context_length_exceeded"
        assert "maximum context length is 100 tokens" in long.value.message
    with pytest.raises(openai.BadRequestError) as much:
        api.create(model="small", messages=[{"role": "user", "content": "hi"}], max_tokens=61)
    assert much.value.param == "max_tokens"
    books = simulator.books()["total"]
    assert books["refused"] == {"no_model": 1, "context": 1, "context_with_answer": 1, "output": 1}
    assert (books["accepted"], books["charged"]["calls"]) == (0, 0)


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b"null", b'{"model": "small"}', b'{"model": "small", "messages": ["hi"]}', b"\xff"]
)
def test_a_body_of_the_wrong_shape_is_a_bad_request(serve: Serve, body: bytes) -> None:
    answer = HTTP.post(f"{serve().base_url('first')}/chat/completions", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_what_is_not_there_is_not_found(serve: Serve) -> None:
    simulator = serve()
    for path in ("/health", "/v1/responses", "/a/first/v1/completions", "/a/first/v1/messages"):
        answer = HTTP.post(f"{simulator.url}{path}", json={})
        assert answer.status_code == 404
    assert answer.json()["type"] == "error"  # in the words of the API that was called


def test_a_server_may_not_know_a_format(serve: Serve) -> None:
    simulator = serve(refused_formats=["json_schema"])
    form = {"type": "json_schema", "json_schema": {"schema": PERSON}}
    refused = chat(simulator, response_format=form)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "response_format")
    assert chat(simulator, response_format={"type": "json_object"}).status_code == 200


def test_a_key_opens_its_account_and_can_be_withdrawn(serve: Serve) -> None:
    simulator = serve(account("first"), account("second"))
    simulator.change("first", keys=["old"])
    first = client(f"{simulator.url}/v1", "old")
    assert [model.id for model in first.models.list()] == ["small"]
    simulator.change("first", keys=["new"])
    with pytest.raises(openai.AuthenticationError):
        first.models.list()
    assert chat(simulator).status_code == 401  # under its path too, once it has keys
    assert simulator.books()["accounts"]["first"]["refused"] == {"no_key": 1}
    assert chat(simulator, account="second").status_code == 200
    assert chat(simulator, account="third").status_code == 401
