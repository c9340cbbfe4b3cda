"""The account pool as a model of pydantic-ai, against the simulator over HTTP."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.messages import ModelRequest, ModelResponse, TextPart, ToolCallPart, ToolReturnPart, UserPromptPart

from blocks.accounts.chat import Answer, Caller, ChatReply
from blocks.accounts.open import open_pool
from blocks.errors import BudgetExceeded, Unsupported
from blocks.limits.limit import Limit
from blocks.redact import default_redactor
from tasks.agents.exchange import as_json, chat_messages, from_json, response_of, without_secrets
from tasks.agents.pooled_model import PooledModel
from tests.fakes.llm.agent_model import agent_model, calls


class Weather(BaseModel):
    city: str
    degrees: int


async def test_an_agent_calls_a_tool_and_answers_through_the_pool(tmp_path: Path) -> None:
    with agent_model(tmp_path / "accounts.yaml", [("degrees", {"city": "Huế"})], "It has 31 degrees.") as model:
        async with open_pool() as pool:
            agent = Agent(PooledModel(lambda: pool, lambda: Caller(user="ann", job="j")), instructions="You are brief.")

            @agent.tool_plain
            def degrees(city: str) -> int:
                return {"Huế": 31}[city]

            made = await agent.run("How warm is it in Huế?")
        charged_usd, charged = model.charged_usd, model.running.books()["total"]["charged"]
    assert made.output == "It has 31 degrees."
    assert [one["role"] for one in model.script.asked[-1].body["messages"]] == [
        "system",
        "user",
        "assistant",
        "tool",
    ]
    assert model.script.asked[0].body["messages"][0]["content"] == "You are brief."
    costs_usd = [(one.provider_details or {})["cost_usd"] for one in made.all_messages() if one.kind == "response"]
    assert sum(costs_usd) == pytest.approx(charged_usd)
    assert made.usage.input_tokens == charged["prompt_tokens"]


async def test_a_typed_answer_comes_by_an_output_tool(tmp_path: Path) -> None:
    wanted = calls(("final_result", {"city": "Huế", "degrees": 31}))
    with agent_model(tmp_path / "accounts.yaml", lambda _: wanted):
        async with open_pool() as pool:
            agent = Agent(PooledModel(lambda: pool, Caller), output_type=Weather)
            made = await agent.run("How warm is it?")
    assert made.output == Weather(city="Huế", degrees=31)


async def test_a_wrong_call_is_told_to_the_model_in_a_form_that_providers_take(tmp_path: Path) -> None:
    turns = ([("degrees", {"town": 1})], [("degrees", {"city": "Huế"})], "Done.")
    with agent_model(tmp_path / "accounts.yaml", *turns) as model:
        async with open_pool() as pool:
            agent = Agent(PooledModel(lambda: pool, Caller), retries=2)

            @agent.tool_plain
            def degrees(city: str) -> int:
                return len(city)

            made = await agent.run("How warm is it?")
    assert made.output == "Done."
    [complaint] = [one for one in model.script.asked[1].body["messages"] if one["role"] == "tool"]
    assert "city" in complaint["content"]


async def test_a_purse_of_tokens_ends_the_run_before_it_is_passed(tmp_path: Path) -> None:
    purse = (Limit(key="agent/r/tokens", amount=10, kind="calendar", period="ever"),)
    with agent_model(tmp_path / "accounts.yaml", "Hello.") as model:
        async with open_pool() as pool:
            agent = Agent(PooledModel(lambda: pool, lambda: Caller(job="r", purse=purse)))
            with pytest.raises(BudgetExceeded):
                await agent.run("Say hello, and take your time. " * 10)
    assert not model.script.asked


def test_a_conversation_survives_being_stored() -> None:
    messages = [ModelRequest(parts=[UserPromptPart("Hi")]), ModelResponse(parts=[])]
    assert from_json(as_json(messages)) == messages


def test_a_tool_result_keeps_its_call() -> None:
    told = ModelRequest(parts=[ToolReturnPart("degrees", {"city": "Huế"}, "call-1")])
    [message] = chat_messages([told], None)
    assert message == {"role": "tool", "tool_call_id": "call-1", "content": '{"city":"Huế"}'}


def test_a_picture_is_refused() -> None:
    from pydantic_ai.messages import ImageUrl

    with pytest.raises(Unsupported, match="ImageUrl"):
        chat_messages([ModelRequest(parts=[UserPromptPart([ImageUrl("http://localhost/a.png")])])], None)


def answered(*calls: dict[str, Any]) -> ModelResponse:
    reply = ChatReply(tool_calls=calls, finish_reason="tool_calls")
    return response_of(Answer(reply=reply, model="m", account="a", cost_usd=None, latency_s=0.1))


def test_a_call_carries_back_what_its_provider_wants_with_it() -> None:
    extra = {"google": {"thought_signature": "c2lnbmVk"}}
    call = {"id": "1", "type": "function", "function": {"name": "look", "arguments": "{}"}, "extra_content": extra}
    stored = from_json(as_json([answered(call)]))
    [message] = chat_messages(stored, None)
    assert message["tool_calls"] == [call]


def test_a_call_without_an_id_is_taken() -> None:
    response = answered({"type": "function", "function": {"name": "look", "arguments": ""}})
    [call] = response.tool_calls
    assert call.args_as_dict() == {}


def test_a_stored_conversation_holds_no_secret_and_is_read_back() -> None:
    secret = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
    messages = [
        ModelRequest(parts=[UserPromptPart(f"Use {secret}.")]),
        ModelResponse(parts=[TextPart(f"I use {secret}."), ToolCallPart("look", f'{{"at": "{secret}"}}', "1")]),
        ModelRequest(parts=[ToolReturnPart("look", {"seen": [secret]}, "1")]),
    ]
    kept = without_secrets(messages, default_redactor())
    assert secret.encode() not in as_json(kept)
    assert [len(message.parts) for message in kept] == [1, 2, 1]
    [_, call] = kept[1].parts
    assert isinstance(call, ToolCallPart)
    assert call.tool_call_id == "1"
    assert list(call.args_as_dict()) == ["at"]
