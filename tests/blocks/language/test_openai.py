"""The engine for OpenAI-compatible servers, against a simulated one over HTTP."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from blocks.errors import EngineFailed, EngineUnavailable
from blocks.language.openai import OpenAILanguageEngine
from blocks.language.protocol import Completion, Prompt
from blocks.settings import settings
from tests.fakes.llm import LlmServer, serve_llm

KEY = "sk-secret-of-this-test"
SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["title"],
    "properties": {"title": {"type": "string", "minLength": 1, "maxLength": 40}},
}
ASKED = Prompt(
    task="summarise",
    system="You summarise.",
    user=f"{SCHEMA}\n<transcript>\nThe budget was approved.\n</transcript>".replace("'", '"').replace("False", "false"),
    text="The budget was approved.",
)


@pytest.fixture
def llm_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[LlmServer]:
    with serve_llm() as server:
        monkeypatch.setenv("OPENAI_LANGUAGE_URL", server.url)
        monkeypatch.setenv("OPENAI_LANGUAGE_API_KEY", KEY)
        monkeypatch.setenv("OPENAI_LANGUAGE_MODEL", "small")
        monkeypatch.setenv("ENGINE_TIMEOUT_S", "5")
        settings.cache_clear()
        yield server


async def ask(schema: dict[str, Any] | None = SCHEMA) -> Completion:
    [answer] = await OpenAILanguageEngine().complete([ASKED], schema)
    return answer


async def test_an_answer_fits_the_schema_and_is_counted(llm_server: LlmServer) -> None:
    answer = await ask()
    assert answer.parsed == {"title": "The budget was approved."}
    assert answer.problems == ()
    assert answer.usage.prompt_tokens > 0
    assert answer.usage.completion_tokens > 0
    assert answer.model == "small"
    assert answer.latency_s > 0


async def test_the_request_is_deterministic_and_structured(llm_server: LlmServer) -> None:
    await ask()
    [request] = llm_server.requests
    assert request.authorization == f"Bearer {KEY}"
    assert request.body["temperature"] == 0
    assert request.body["response_format"]["json_schema"]["schema"]["required"] == ["title"]


@pytest.mark.parametrize("shape", ["prose", "fence"])
async def test_json_is_found_in_wrapped_answers(llm_server: LlmServer, shape: Any) -> None:
    llm_server.behaves(faults={shape: 1})
    assert (await ask()).parsed == {"title": "The budget was approved."}
    assert len(llm_server.requests) == 1


async def test_a_wrong_answer_is_repaired_once(llm_server: LlmServer) -> None:
    llm_server.behaves(next_faults={"wrong_schema": 1})
    answer = await ask()
    assert answer.parsed == {"title": "The budget was approved."}
    first, second = llm_server.requests
    assert "title" in second.body["messages"][-1]["content"]
    assert answer.usage.prompt_tokens > len(str(first.body["messages"]).split()) // 2


@pytest.mark.parametrize("shape", ["wrong_schema", "length"])
async def test_an_answer_that_stays_wrong_is_reported_not_passed_off(llm_server: LlmServer, shape: Any) -> None:
    llm_server.behaves(faults={shape: 1})
    answer = await ask()
    assert answer.problems
    assert len(llm_server.requests) == 2


@pytest.mark.parametrize("refused", [{"json_schema"}, {"json_schema", "json_object"}])
async def test_a_refused_response_format_is_remembered(llm_server: LlmServer, refused: set[str]) -> None:
    llm_server.behaves(refused_formats=refused)
    engine = OpenAILanguageEngine()
    [first] = await engine.complete([ASKED], SCHEMA)
    before = len(llm_server.requests)
    [second] = await engine.complete([ASKED], SCHEMA)
    assert first.problems == second.problems == ()
    assert before == 1 + len(refused)
    assert len(llm_server.requests) == before + 1


async def test_a_wrong_key_names_the_setting_and_never_the_key(llm_server: LlmServer) -> None:
    llm_server.behaves(keys=["another"])
    with pytest.raises(EngineFailed) as caught:
        await ask()
    assert "OPENAI_LANGUAGE_API_KEY" in caught.value.fix
    assert KEY not in f"{caught.value.message} {caught.value.fix} {caught.value.details}"


async def test_an_unknown_model_is_named(llm_server: LlmServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_LANGUAGE_MODEL", "large")
    settings.cache_clear()
    with pytest.raises(EngineFailed, match="large"):
        await ask()


async def test_a_text_too_long_for_the_model_is_said(llm_server: LlmServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve_llm(context_tokens=3) as narrow:
        monkeypatch.setenv("OPENAI_LANGUAGE_URL", narrow.url)
        settings.cache_clear()
        with pytest.raises(EngineFailed, match="too long"):
            await ask()


async def test_retry_after_is_waited_for(llm_server: LlmServer) -> None:
    llm_server.behaves(quota={"rpm": 1}, window_s=0.5)
    engine = OpenAILanguageEngine()
    await engine.complete([ASKED], SCHEMA)
    start = time.monotonic()
    [answer] = await engine.complete([ASKED], SCHEMA)
    assert answer.problems == ()
    assert 0.9 < time.monotonic() - start < 5
    assert [request.status for request in llm_server.requests] == [200, 429, 200]


async def test_a_long_retry_after_is_left_to_the_step(llm_server: LlmServer) -> None:
    llm_server.behaves(quota={"rpm": 1}, window_s=3600)
    await ask()
    with pytest.raises(EngineUnavailable):
        await ask()


async def test_a_failing_server_is_transient(llm_server: LlmServer) -> None:
    llm_server.behaves(next_faults={"error": 5})
    with pytest.raises(EngineUnavailable) as caught:
        await ask()
    assert caught.value.transient


async def test_a_cut_connection_is_transient(llm_server: LlmServer) -> None:
    llm_server.behaves(next_faults={"half_body": 5})
    with pytest.raises(EngineUnavailable):
        await ask()


async def test_a_hanging_server_ends_with_the_timeout(llm_server: LlmServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGINE_TIMEOUT_S", "0.3")
    settings.cache_clear()
    llm_server.behaves(next_faults={"hang": 5})
    with pytest.raises(EngineUnavailable):
        await ask()


async def test_an_absent_server_is_transient_and_named(llm_server: LlmServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_LANGUAGE_URL", "http://127.0.0.1:9/v1")
    settings.cache_clear()
    with pytest.raises(EngineUnavailable, match=r"127\.0\.0\.1:9"):
        await ask()


async def test_many_prompts_keep_their_order_and_a_limit(llm_server: LlmServer) -> None:
    llm_server.behaves(latency={"mean_ms": 50})
    prompts = [ASKED.model_copy(update={"user": ASKED.user.replace("budget", f"plan {n}")}) for n in range(12)]
    answers = await OpenAILanguageEngine().complete(prompts, SCHEMA)
    assert [answer.parsed for answer in answers] == [{"title": f"The plan {n} was approved."} for n in range(12)]
    assert 1 < llm_server.busiest <= 4


async def test_plain_text_needs_no_schema(llm_server: LlmServer) -> None:
    answer = await ask(schema=None)
    assert answer.text
    assert answer.parsed is None
    assert "response_format" not in llm_server.requests[0].body
