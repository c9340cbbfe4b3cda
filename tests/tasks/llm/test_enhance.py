"""Enhancing: windows, the guard, and what falls back to the raw text."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.edits import edit_rate, loss
from blocks.enhanced import Enhanced
from blocks.errors import EngineFailed, EngineUnavailable
from blocks.language.budget import TokenBudget
from blocks.language.extractive import ExtractiveEngine
from blocks.language.protocol import Completion, Prompt
from blocks.transcript import EngineInfo, Segment, Transcript
from tasks.llm.enhance import enhance, prompt_for, schema_for, windows
from tests.fakes.meetings import english, transcript_of, vietnamese

texts = st.lists(
    st.lists(
        st.sampled_from(
            ["we", "paid", "twenty", "five", "dollars", "to", "maria", "on", "monday", "and", "1200", "euros"]
        ),
        min_size=1,
    ),
    min_size=1,
    max_size=40,
).map(lambda lines: [Segment(start_s=0, end_s=0, text=" ".join(words)) for words in lines])


class Scripted:
    """A language engine that answers lines by a function, or raises."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def info(self) -> EngineInfo:
        return EngineInfo(name="scripted", version="1")

    prompts_at_once = 4

    def budget(self) -> TokenBudget | None:
        return None

    def load(self) -> None: ...

    def unload(self) -> None: ...

    async def complete(self, prompts: Sequence[Prompt], schema: dict[str, Any] | None = None) -> list[Completion]:
        if isinstance(self.answer, Exception):
            raise self.answer
        return [self._one(prompt) for prompt in prompts]

    def _one(self, prompt: Prompt) -> Completion:
        answered = self.answer([segment.text for segment in prompt.segments])
        if isinstance(answered, Completion):
            return answered
        return Completion(text="", parsed={"lines": answered})


async def enhanced_by(answer: Any, *lines: str, hints: tuple[str, ...] = ()) -> Enhanced:
    transcript = transcript_of(tuple(("Anna", line) for line in lines), "en")
    return await enhance(transcript, Scripted(answer), max_edit_rate=0.35, hints=hints)


def text_of(enhanced: Enhanced) -> str:
    return enhanced.transcript.text


@given(texts, st.integers(1, 50))
def test_windows_cover_every_line_once(lines: list[Segment], most_words: int) -> None:
    cut = windows(lines, most_words)
    assert [line for window in cut for line in window.lines] == lines
    for window in cut:
        assert len(window.lines) == 1 or sum(len(line.text.split()) for line in window.lines) <= most_words


def test_windows_show_the_lines_around_them() -> None:
    lines = english().segments
    cut = windows(lines, 30)
    assert len(cut) > 2
    assert cut[0].before == ()
    assert cut[1].before[-1] == cut[0].lines[-1]
    assert cut[1].after[0] == cut[2].lines[0]
    assert schema_for(3)["properties"]["lines"]["minItems"] == 3
    assert "context only" in prompt_for(cut[1], "en").user


@given(texts)
def test_the_guard_accepts_the_text_itself(lines: list[Segment]) -> None:
    text = "\n".join(line.text for line in lines)
    assert loss(text, text) is None
    assert edit_rate(text, text) == 0


@pytest.mark.parametrize(
    ("raw", "corrected"),
    [
        ("we spent twenty five percent on monday", "We spent 25 percent on Monday."),
        ("we spent twenty five percent on monday", "We spent 25% on Monday."),
        ("maria has forty five thousand dollars", "Maria has 45,000 dollars."),
        ("it was two hundred and fifty euros", "It was 250 euros."),
        ("the year twenty twenty six was good", "The year 2026 was good."),
        ("two million customers", "2 million customers."),
        ("call anna at nine thirty", "Call Anna at 9:30."),
    ],
)
def test_writing_numbers_and_capitals_loses_nothing(raw: str, corrected: str) -> None:
    assert loss(raw, corrected) is None
    assert edit_rate(raw, corrected) <= 0.2


@pytest.mark.parametrize(
    ("raw", "corrected", "lost"),
    [
        ("we pay 1200 euros", "We pay 120 euros.", "1200"),
        ("we pay twenty five euros", "We pay 35 euros.", "25"),
        ("maria pays", "Mary pays.", "maria"),
        ("we met Nguyễn there", "We met Nguyen there.", "Nguyễn"),
        ("on monday", "On Tuesday.", "monday"),
    ],
)
def test_a_lost_number_or_name_is_found(raw: str, corrected: str, lost: str) -> None:
    assert lost in (loss(raw, corrected) or "")


def test_a_lost_hint_is_found() -> None:
    assert "ChunkFormer" in (loss("we use chunkformer here", "We use a former here.", ("ChunkFormer",)) or "")


async def test_a_good_answer_is_taken_and_times_stay() -> None:
    raw = english()
    enhanced = await enhance(raw, ExtractiveEngine(), max_edit_rate=0.35)
    assert enhanced.notices == ()
    assert len(enhanced.transcript.segments) == len(raw.segments)
    for before, after in zip(raw.segments, enhanced.transcript.segments, strict=True):
        assert before.model_copy(update={"text": after.text}) == after
    assert "25%" in text_of(enhanced) or "25 percent" in text_of(enhanced)
    assert "um" in text_of(enhanced).lower().split()
    assert enhanced.edit_rate < 0.1


async def test_vietnamese_is_left_in_peace() -> None:
    enhanced = await enhance(vietnamese(), ExtractiveEngine(), max_edit_rate=0.35)
    assert enhanced.notices == ()
    assert text_of(enhanced) == vietnamese().text


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda lines: [f"25 maria has never ever said anything like so, {line}" for line in lines], "changed"),
        (lambda lines: [line.replace("25", "35") for line in lines], "25"),
        (lambda lines: [line.replace("maria", "the lady") for line in lines], "maria"),
        (lambda lines: ["  "] * len(lines), "line"),
        (lambda lines: Completion(text="?", problems=("answer: no",)), "no"),
        (EngineFailed("the model broke", fix="mend it"), "broke"),
    ],
)
async def test_a_bad_answer_falls_back_and_says_so(answer: Any, reason: str) -> None:
    raw = ("we paid the invoice for the new office", "it was 25 euros for maria and the team")
    enhanced = await enhanced_by(answer, *raw)
    assert text_of(enhanced) == "\n".join(raw)
    assert enhanced.edit_rate == 0
    [notice] = enhanced.notices
    assert notice.step == "enhance"
    assert reason in notice.message


async def test_an_engine_out_of_reach_is_for_the_step_to_try_again() -> None:
    with pytest.raises(EngineUnavailable):
        await enhanced_by(EngineUnavailable("gone", fix="wait"), "a line")


async def test_windows_are_worked_on_together_but_not_all_at_once() -> None:
    class Slow(Scripted):
        running = busiest = 0

        async def complete(self, prompts: Sequence[Prompt], schema: dict[str, Any] | None = None) -> list[Completion]:
            self.running += 1
            self.busiest = max(self.busiest, self.running)
            await asyncio.sleep(0.01)
            self.running -= 1
            return await super().complete(prompts, schema)

    engine = Slow(lambda lines: lines)
    raw = transcript_of(tuple(("Anna", f"the plan number {n} is good") for n in range(10, 1500)), "en")
    enhanced = await enhance(raw, engine, max_edit_rate=0.35)
    assert enhanced.transcript == raw
    assert 1 < engine.busiest <= 4 < enhanced.windows


async def test_one_bad_window_does_not_spoil_the_others() -> None:
    lines = [f"the plan number {n} is good for all of us" for n in range(10, 160)]

    def answer(given_lines: list[str]) -> list[str]:
        return ["Nonsense."] * len(given_lines) if "number 10 " in given_lines[0] else given_lines

    enhanced = await enhanced_by(answer, *lines)
    assert enhanced.windows > 1
    assert len(enhanced.notices) == 1
    assert text_of(enhanced) == "\n".join(lines)


async def test_nothing_to_enhance_is_no_work() -> None:
    empty = Transcript(language="en", segments=(), engine=EngineInfo(name="x", version="1"), duration_s=0)
    enhanced = await enhance(empty, ExtractiveEngine(), max_edit_rate=0.35)
    assert enhanced.windows == 0
    assert enhanced.edit_rate == 0
