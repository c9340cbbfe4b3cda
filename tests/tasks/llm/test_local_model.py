"""A local model's context: what does not fit is split or left out, and said; one model does for both tasks."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.errors import Unsupported
from blocks.job import JobOptions
from blocks.language.budget import TokenBudget
from blocks.language.extractive import ExtractiveEngine
from blocks.language.registry import choose
from blocks.language.vllm import VllmEngine
from blocks.residency import keep_loaded, loaded
from blocks.settings import settings
from blocks.transcript import Segment
from tasks.jobs.plan import plan_job
from tasks.llm.enhance import enhance
from tasks.llm.summarise import SYSTEM, summarise
from tasks.llm.template import load_template, render
from tasks.llm.windows import ANSWER_GROWTH, fits_budget, prompt_for, windows
from tests.fakes.meetings import english, transcript_of
from tests.fakes.vllm import FakeVllm, build_language_model, install_fake_vllm

TEMPLATE = load_template("generic_summary")
LONG = transcript_of(tuple(("Anna", f"the plan number {n} is good for all of us") for n in range(10, 160)), "en")


def words(text: str) -> int:
    return len(text.split())


class Measured(ExtractiveEngine):
    """The engine without a model, as if it had a context."""

    def __init__(self, max_input_tokens: int) -> None:
        self._budget = TokenBudget(max_input_tokens=max_input_tokens, max_output_tokens=100, count=words)

    def budget(self) -> TokenBudget:  # type: ignore[override]
        return self._budget


def request_of(count: int) -> str:
    said = "\n".join(f"{segment.speaker}: {segment.text}" for segment in LONG.segments[:count])
    return SYSTEM + " " + render(TEMPLATE, said, LONG.language)


@pytest.mark.parametrize("fitting", [2, 3, 57, 149])
async def test_a_summary_is_of_exactly_the_segments_that_fit(fitting: int) -> None:
    for spare, expected in ((0, fitting), (-1, fitting - 1)):
        summary = await summarise(LONG, TEMPLATE, Measured(words(request_of(fitting)) + spare))
        [notice] = summary.notices
        assert notice.code == "input_shortened"
        assert f"the last {150 - expected} of 150" in notice.message


async def test_a_text_that_fits_is_not_shortened() -> None:
    assert (await summarise(LONG, TEMPLATE, Measured(words(request_of(150))), max_input_words=1)).notices == ()


async def test_one_segment_is_kept_even_if_it_does_not_fit() -> None:
    [notice] = (await summarise(LONG, TEMPLATE, Measured(1))).notices
    assert "the last 149 of 150" in notice.message


@given(st.lists(st.integers(1, 60), min_size=1, max_size=40), st.integers(150, 400), st.integers(10, 100))
def test_windows_and_their_answers_fit_the_budget(lengths: list[int], most_input: int, most_output: int) -> None:
    budget = TokenBudget(max_input_tokens=most_input, max_output_tokens=most_output, count=words)
    lines = [Segment(start_s=0, end_s=0, text="word " * length) for length in lengths]
    cut = windows(lines, fits=lambda window: fits_budget(budget, "en", window))
    assert [line for window in cut for line in window.lines] == lines
    for window in cut:
        prompt = prompt_for(window, "en")
        within = words(prompt.system) + words(prompt.user) <= most_input
        answered = sum(words(line.text) + 1 for line in window.lines) * ANSWER_GROWTH <= most_output
        assert len(window.lines) == 1 or (within and answered)


async def test_a_small_context_makes_more_windows() -> None:
    wide, narrow = Measured(10_000), Measured(300)
    wide._budget = TokenBudget(max_input_tokens=10_000, max_output_tokens=10_000, count=words)
    many = await enhance(LONG, narrow, max_edit_rate=0.35)
    few = await enhance(LONG, wide, max_edit_rate=0.35)
    assert many.windows > few.windows
    assert many.transcript == few.transcript


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeVllm:
    """vLLM with a GPU that nobody holds."""
    monkeypatch.setattr("blocks.language.registry.gpu_count", lambda: 1)
    monkeypatch.setattr(VllmEngine, "vram", lambda self: None)
    fake = install_fake_vllm(tmp_path, monkeypatch)
    monkeypatch.setenv("LLM_MAX_MODEL_LEN", "4000")
    monkeypatch.setenv("LLM_MAX_OUTPUT_TOKENS", "1000")
    settings.cache_clear()
    return fake


async def test_both_tasks_share_the_model_they_both_name(fake: FakeVllm) -> None:
    async with keep_loaded() as resident:
        async with loaded(choose("vllm", "enhance")) as model:
            enhanced = await enhance(english(), model, max_edit_rate=0.35)
        async with loaded(choose("vllm", "summarise")) as model:
            summary = await summarise(enhanced.transcript, TEMPLATE, model)
        assert resident.loads == 1
    assert enhanced.notices == summary.notices == ()
    assert enhanced.transcript.segments[0].text.startswith("Good morning")
    assert enhanced.engine == summary.engine
    assert enhanced.cost_usd == summary.cost_usd == 0
    assert len(fake.noted("loaded")) == 1


async def test_an_answer_that_was_cut_leaves_a_window_raw_and_a_summary_out(fake: FakeVllm) -> None:
    fake.behaves(cut=True)
    async with loaded(choose("vllm")) as model:
        enhanced = await enhance(english(), model, max_edit_rate=0.35)
        summary = await summarise(english(), TEMPLATE, model)
    assert enhanced.transcript == english()
    assert "1000 tokens" in enhanced.notices[0].message
    assert summary.content is None
    assert "1000 tokens" in summary.notices[0].message


def plan(**options: object) -> object:
    """The models that are planned; how much they may change is no part of them."""
    wanted = JobOptions.model_validate({"features": ("summary", "clean_transcript"), **options})
    planned = plan_job(wanted, audio=False, template_sha256="x").versions.language
    assert planned is not None
    assert planned.settings["max_edit_rate"] == 0.35
    models = {name: value for name, value in planned.settings.items() if name != "max_edit_rate"}
    return planned.model_copy(update={"settings": models})


def test_the_plan_names_the_models_of_both_tasks(
    fake: FakeVllm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert plan(language_engine="vllm") == choose("vllm").info()
    monkeypatch.setenv("LLM_ENHANCE_MODEL", str(build_language_model(tmp_path / "other")))
    settings.cache_clear()
    planned = plan(language_engine="vllm")
    assert planned != choose("vllm").info()
    assert str(tmp_path / "other") in str(planned)
    assert str(tmp_path / "model") in str(planned)


def test_auto_takes_an_engine_that_can_do_all_that_is_wanted(fake: FakeVllm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_ENHANCE_MODEL", "org/absent")
    settings.cache_clear()
    assert choose("auto", "summarise").info().name == "vllm"
    assert choose("auto", "enhance").info().name == "extractive"
    assert plan(language_engine="auto") == choose("extractive").info()
    with pytest.raises(Unsupported) as caught:
        plan(language_engine="vllm")
    assert caught.value.fix == "c500 models pull org/absent"


def test_a_server_of_one_model_is_refused_for_two(
    fake: FakeVllm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert plan(language_engine="vllm-server") == choose("vllm-server").info()
    monkeypatch.setenv("LLM_ENHANCE_MODEL", str(build_language_model(tmp_path / "other")))
    settings.cache_clear()
    with pytest.raises(Unsupported) as caught:
        plan(language_engine="vllm-server")
    assert "LLM_SUM_MODEL" in caught.value.fix
