"""The engine without a model: what it writes, what it draws out, and that it makes nothing up."""

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blocks.language.extractive import ExtractiveEngine
from blocks.language.facts import Action, Facts
from blocks.language.numbers import numbers_in, with_digits
from blocks.language.protocol import Completion, Prompt
from blocks.language.sentences import punctuate, shorten, split_text
from blocks.transcript import Segment, Transcript, Word
from tests.fakes.meetings import english, vietnamese

LINES_OF_TWO: dict[str, Any] = {"type": "object", "properties": {"lines": {"type": "array", "minItems": 2}}}


def said(text: str, pause_before: str = "", pause_s: float = 0.6) -> Segment:
    """An utterance of words of 0.3 s, with a pause before one of them."""
    words: list[Word] = []
    at_s = 0.0
    for word in text.split():
        at_s += pause_s if word == pause_before else 0.0
        words.append(Word(start_s=at_s, end_s=at_s + 0.3, text=word, probability=0.9))
        at_s += 0.3
    return Segment(start_s=0, end_s=at_s, text=text, words=tuple(words))


async def answer_to(transcript: Transcript, task: Any, schema: dict[str, Any] | None = None) -> Completion:
    prompt = Prompt(
        task=task,
        system="",
        user="",
        text=transcript.text,
        segments=transcript.segments,
        language=transcript.language,
    )
    [answer] = await ExtractiveEngine().complete([prompt], schema)
    return answer


def written(transcript: Transcript) -> list[Segment]:
    """The utterances as the engine writes them."""
    return [s.model_copy(update={"text": punctuate(s, transcript.language)}) for s in transcript.segments]


@pytest.mark.parametrize(
    ("heard", "text"),
    [
        ("we paid twenty five percent on monday", "We paid 25% on Monday."),
        ("three engineers start in may", "Three engineers start in May."),
        ("i think i'm right", "I think I'm right."),
        ("who will test it on friday", "Who will test it on Friday?"),
        ("we spent forty five thousand two hundred dollars", "We spent 45,200 dollars."),
        ("um we uh need robert", "Um we uh need Robert."),
        ("can we start", "Can we start?"),
    ],
)
def test_recognised_words_are_written_as_a_sentence(heard: str, text: str) -> None:
    assert punctuate(said(heard), "en") == text


def test_a_pause_ends_a_sentence() -> None:
    heard = said("the invoice is ready the office moves later", pause_before="office")
    assert punctuate(heard, "en").count(".") == 1  # `the` calls for more, so no sentence ends there
    moved = said("the invoice is ready all offices move later", pause_before="all")
    assert punctuate(moved, "en") == "The invoice is ready. All offices move later."


def test_written_text_is_left_as_it_is() -> None:
    text = "Good morning, Anna. We paid twenty-five euros."
    assert punctuate(Segment(start_s=0, end_s=0, text=text), "en") == text


def test_vietnamese_gets_a_capital_and_a_stop_and_no_other_change() -> None:
    heard = "chúng ta có hai mươi lăm khách hàng"
    assert punctuate(said(heard), "vi") == "Chúng ta có hai mươi lăm khách hàng."


NUMBERS = "one two five ten twelve twenty thirty ninety hundred thousand million and percent point the monday"
heard_words = st.lists(st.sampled_from(NUMBERS.split()), min_size=1, max_size=12).map(" ".join)


@given(heard_words)
def test_no_number_is_lost(heard: str) -> None:
    assert numbers_in(with_digits(heard)) == numbers_in(heard)


@given(st.integers(0, 999_999))
def test_a_written_number_is_one_number(value: int) -> None:
    assert numbers_in(f"about {value:,} euros") == [str(value)]


@given(st.lists(heard_words, min_size=1, max_size=8))
@settings(max_examples=30, deadline=None)
def test_there_is_one_line_for_each_utterance(lines: list[str]) -> None:
    made = [punctuate(said(line), "en") for line in lines]
    assert all(line and "\n" not in line for line in made)


sentences = st.lists(st.text(st.characters(categories=["L"]), min_size=1, max_size=12), min_size=1).map(" ".join)


@given(sentences, st.integers(1, 60))
def test_a_cut_is_never_within_a_word(text: str, most: int) -> None:
    cut = shorten(text, most)
    assert len(cut) <= most
    assert set(cut.removesuffix("…").split()) <= set(text.split())


def test_a_cut_keeps_whole_sentences_when_it_can() -> None:
    assert shorten("We agreed. We will move the office in June.", 20) == "We agreed."


def test_titles_do_not_end_a_sentence() -> None:
    assert split_text("Dr. Lee agreed. We pay 3.5 euros.") == ["Dr. Lee agreed.", "We pay 3.5 euros."]


def test_what_was_decided_is_found() -> None:
    decisions = Facts(written(english()), "en").decisions
    assert any("move the invoice database" in text for text in decisions)
    assert any("hire three engineers" in text for text in decisions)
    assert len(decisions) == 2


def test_who_does_what_by_when_is_found() -> None:
    actions = Facts(written(english()), "en").actions
    assert Action(who="Maria", what="call the customer", when="before noon") in actions
    assert Action(who="Robert", what="send the contract to the supplier", when="by Friday") in actions
    assert any(action.who == "David" and action.when == "on Monday" for action in actions)  # «I» by its speaker


def test_a_question_is_no_action() -> None:
    facts = Facts(written(english()), "en")
    assert facts.questions == ["Who will test the invoice service on Monday?"]
    assert all(not action.who.startswith("Who") for action in facts.actions)


def test_vietnamese_decisions_and_actions_are_found() -> None:
    facts = Facts(vietnamese().segments, "vi")
    assert len(facts.decisions) == 2
    assert Action(who="Anh Minh", what="gửi hợp đồng cho khách hàng", when="trước thứ sáu") in facts.actions
    assert any(action.who == "Chị Hương" for action in facts.actions)
    assert facts.participants == ["Lan", "Minh"]


@pytest.mark.parametrize(
    "sentence", ["We have not decided on the office move yet.", "If we agreed on that we would pay."]
)
def test_what_was_not_decided_is_no_decision(sentence: str) -> None:
    assert Facts([Segment(start_s=0, end_s=0, text=sentence)], "en").decisions == []


@pytest.mark.parametrize("meeting", [english(), vietnamese()], ids=["en", "vi"])
def test_everything_drawn_out_stands_in_the_text(meeting: Transcript) -> None:
    facts = Facts(written(meeting), meeting.language)
    assert facts.tags
    for phrase in [*facts.key_sentences(4), *facts.decisions, *facts.questions, *facts.tags]:
        assert phrase.lower() in facts.text.lower()
    words = set(re.findall(r"\w+", facts.text.lower()))
    assert set(re.findall(r"\w+", facts.title.lower())) <= words


def test_a_long_text_is_ranked_in_time() -> None:
    lines = [f"The team number {n} spoke about the plan for office {n % 37} and its budget." for n in range(1200)]
    facts = Facts([Segment(start_s=0, end_s=0, text=line) for line in lines], "en")
    assert len(facts.key_sentences(4)) == 4


async def test_the_answer_has_the_lines_asked_for() -> None:
    answer = await answer_to(english(), "enhance")
    assert answer.parsed
    assert len(answer.parsed["lines"]) == len(english().segments)
    assert json.loads(answer.text) == answer.parsed
    assert answer.model is None
    assert answer.usage.prompt_tokens == 0


async def test_sizes_of_the_schema_are_kept() -> None:
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {
            "summary": {"type": "string", "maxLength": 60},
            "tags": {"type": "array", "maxItems": 2, "items": {"type": "string", "maxLength": 20}},
            "tasks": {"type": "array", "items": {"type": "string"}},
            "decisions": {"type": "string"},
        },
    }
    answer = await answer_to(english(), "summarise", schema)
    assert answer.parsed
    assert answer.problems == ()
    assert len(answer.parsed["summary"]) <= 60
    assert len(answer.parsed["tags"]) <= 2


async def test_a_text_without_anything_leaves_optional_fields_out() -> None:
    nothing = english().model_copy(update={"segments": (Segment(start_s=0, end_s=1, text="hello"),)})
    schema: dict[str, Any] = {
        "type": "object",
        "required": ["decisions"],
        "properties": {
            "decisions": {"type": "array", "items": {"type": "string"}},
            "risks": {"type": "array", "items": {"type": "string"}},
        },
    }
    assert (await answer_to(nothing, "summarise", schema)).parsed == {"decisions": []}
