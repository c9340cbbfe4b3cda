"""The account pool as a model of pydantic-ai, against the simulator over HTTP."""

from pathlib import Path

import pytest
from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.messages import ModelRequest, ModelResponse, ToolReturnPart, UserPromptPart

from blocks.accounts.chat import Caller
from blocks.accounts.open import open_pool
from blocks.errors import BudgetExceeded, Unsupported
from blocks.limits.limit import Limit
from tasks.agents.exchange import as_json, chat_messages, from_json
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
