"""Summaries through a model server: valid, shortened openly, partial when the model will not."""

from collections.abc import Iterator

import pytest

from blocks.errors import EngineUnavailable
from blocks.language.registry import choose
from blocks.language.validation import problems_of
from blocks.settings import settings
from tasks.llm.enhance import enhance
from tasks.llm.summarise import summarise
from tasks.llm.template import list_templates, load_template
from tests.fakes.llm import LlmServer, serve_llm
from tests.fakes.meetings import english, vietnamese


@pytest.fixture
def llm_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[LlmServer]:
    with serve_llm() as server:
        monkeypatch.setenv("OPENAI_LANGUAGE_URL", server.url)
        monkeypatch.setenv("OPENAI_LANGUAGE_MODEL", "small")
        settings.cache_clear()
        yield server


@pytest.mark.parametrize("name", [template.name for template in list_templates()])
async def test_every_template_works_with_a_server(llm_server: LlmServer, name: str) -> None:
    template = load_template(name)
    summary = await summarise(vietnamese(), template, choose("auto"))
    assert summary.notices == ()
    assert problems_of(summary.content, template.schema_) == []
    assert summary.usage.prompt_tokens > 0
    assert summary.engine.name == "openai"
    assert summary.cost_usd is None  # not known is not free


async def test_a_server_without_structured_output_still_works(llm_server: LlmServer) -> None:
    llm_server.behaves(refused_formats=["json_schema", "json_object"])
    summary = await summarise(english(), load_template("meeting_notes"), choose("auto"))
    assert summary.content


async def test_a_model_that_cannot_is_a_notice_not_a_guess(llm_server: LlmServer) -> None:
    llm_server.behaves(faults={"wrong_schema": 1})
    summary = await summarise(english(), load_template("meeting_notes"), choose("auto"))
    assert summary.content is None
    assert [notice.code for notice in summary.notices] == ["summary_invalid"]
    assert "title" in summary.notices[0].message


async def test_a_long_text_is_shortened_by_whole_segments_and_says_so(llm_server: LlmServer) -> None:
    summary = await summarise(english(), load_template("generic_summary"), choose("auto"), max_input_words=30)
    [notice] = summary.notices
    assert notice.code == "input_shortened"
    assert "of 11" in notice.message
    [request] = llm_server.requests
    assert english().segments[0].text in request.body["messages"][1]["content"]
    assert english().segments[-1].text not in request.body["messages"][1]["content"]


async def test_a_server_out_of_reach_is_for_the_step_to_try_again(llm_server: LlmServer) -> None:
    llm_server.behaves(next_faults={"error": 9})
    with pytest.raises(EngineUnavailable):
        await summarise(english(), load_template("generic_summary"), choose("auto"))


async def test_a_transcript_is_enhanced_by_a_server(llm_server: LlmServer) -> None:
    enhanced = await enhance(english(), choose("auto"), max_edit_rate=0.35)
    assert enhanced.notices == ()
    assert enhanced.transcript.segments[0].text.startswith("Good morning")
    assert enhanced.usage.completion_tokens > 0


async def test_a_server_that_loses_lines_leaves_the_text_raw(llm_server: LlmServer) -> None:
    llm_server.behaves(script=lambda asked: '{"lines": ["One line."]}')
    enhanced = await enhance(english(), choose("auto"), max_edit_rate=0.35)
    assert enhanced.transcript == english()
    assert len(enhanced.notices) == 1
