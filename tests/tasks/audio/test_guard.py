"""The guard removes what engines invent and nothing that people say."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blocks.audio import Span, Speech
from blocks.transcript import EngineInfo, Removal, Segment, Transcript
from tasks.audio.guard import guard
from tasks.audio.phantoms import PHRASES, normalised
from tests.tasks.audio.sentences import ENGLISH, VIETNAMESE

LENGTH_S = 3.0
ONE_TO_EIGHT = ("one", "two", "three", "four", "five", "six", "seven", "eight")
MOT_DEN_TAM = ("một", "hai", "ba", "bốn", "năm", "sáu", "bảy", "tám")


def segment(text: str, start_s: float = 0.0, length_s: float = LENGTH_S, **fields: Any) -> Segment:
    return Segment(start_s=start_s, end_s=start_s + length_s, text=text, **fields)


def row(*texts: str, **fields: Any) -> list[Segment]:
    """One segment after the other."""
    return [segment(text, index * LENGTH_S, **fields) for index, text in enumerate(texts)]


def transcript(*segments: Segment, language: str = "en", removed: tuple[Removal, ...] = ()) -> Transcript:
    engine = EngineInfo(name="x", version="1")
    return Transcript(language=language, segments=segments, engine=engine, duration_s=3600, removed=removed)


def speech(*spans: tuple[float, float]) -> Speech:
    return Speech(duration_s=3600, spans=tuple(Span(start_s=start_s, end_s=end_s) for start_s, end_s in spans))


SPEECH = speech((0, 3600))


def reasons(given: Transcript, heard: Speech = SPEECH) -> list[str]:
    return [removal.reason for removal in guard(given, heard).removed]


# Silence


def test_a_segment_where_nobody_speaks_is_removed() -> None:
    given = transcript(segment("We agreed on Tuesday."), segment("So here we go again.", 20))
    checked = guard(given, speech((0, 3)))
    assert [kept.text for kept in checked.segments] == ["We agreed on Tuesday."]
    (removal,) = checked.removed
    assert removal == Removal(
        start_s=20, end_s=23, text="So here we go again.", reason="silence", detail="0.00 s of 3.00 s in speech"
    )


def test_touching_the_padding_of_speech_is_not_speaking() -> None:
    assert reasons(transcript(segment("So here we go.", 3.0, 20)), speech((0, 3.5), (22.6, 30))) == ["silence"]


def test_a_segment_that_begins_too_early_stays() -> None:
    assert reasons(transcript(segment("Good morning.", 0, 10)), speech((8.5, 11))) == []


def test_a_server_that_gives_one_segment_for_ten_minutes_is_believed() -> None:
    assert reasons(transcript(segment("Hello? Is anyone there?", 0, 600)), speech((100, 102))) == []


def test_in_a_split_call_only_the_speakers_own_channel_counts() -> None:
    spans = (Span(start_s=0, end_s=3, channel=0), Span(start_s=10, end_s=13, channel=1))
    heard = Speech(duration_s=60, channels=2, spans=spans)
    echo = segment("I am listening to you.", speaker="Speaker 2")
    answer = segment("I am listening to you.", 10, speaker="Speaker 2")
    assert reasons(transcript(echo, answer), heard) == ["silence"]
    assert reasons(transcript(segment("Nobody knows who says this.")), heard) == []


# Repetition


@pytest.mark.parametrize(
    "text",
    [
        "no " * 40,
        "We will see. " * 12,
        "The report is here. " + "and then we go on to the next one " * 9,
        "Cảm ơn các bạn đã xem video. " * 6,
        "the plan for the second quarter is to open the new warehouse in the north of the city, " * 7,
        "我们今天的会议到此结束" * 14,
    ],
)
def test_a_loop_is_removed(text: str) -> None:
    assert reasons(transcript(segment(text.strip()))) == ["repetition"]


@pytest.mark.parametrize(
    "text",
    [
        "No, no, no, that is not what I meant.",
        "Rất rất rất tốt, em cảm ơn anh.",
        "Dạ, dạ, dạ, dạ.",
        "Thank you, thank you, thank you.",
        "Yeah yeah yeah yeah yeah, of course.",
        "Zero zero zero zero four four four seven.",
        ", ".join(f"invoice number one zero zero {n}" for n in ONE_TO_EIGHT),
        ", ".join(f"hóa đơn số một không không {n}" for n in MOT_DEN_TAM),
    ],
)
def test_emphasis_and_lists_stay(text: str) -> None:
    assert reasons(transcript(segment(text))) == []


def test_ten_minutes_of_talk_in_one_segment_are_not_a_loop() -> None:
    assert reasons(transcript(segment(" ".join(VIETNAMESE * 2), 0, 600), language="vi")) == []


def test_a_sentence_in_four_segments_in_a_row_is_said_once() -> None:
    checked = guard(transcript(*row("Hello all.", *["We'll be right there."] * 4, "Let us begin.")), SPEECH)
    assert [kept.text for kept in checked.segments] == ["Hello all.", "We'll be right there.", "Let us begin."]
    assert [kept.start_s for kept in checked.segments] == [0, 3, 15]
    assert {removal.detail for removal in checked.removed} == {"in 4 segments in a row"}


def test_short_answers_and_three_times_the_same_stay() -> None:
    assert reasons(transcript(*row(*["Yes."] * 8))) == []
    assert reasons(transcript(*row(*["Dạ vâng ạ."] * 5), language="vi")) == []
    assert reasons(transcript(*row(*["We'll be right there."] * 3))) == []


# The engine's own doubt


@pytest.mark.parametrize(
    ("no_speech_prob", "avg_logprob", "removed"),
    [(0.7, -1.2, True), (0.6, -1.2, False), (0.7, -1.0, False), (0.9, None, False), (None, -3.0, False)],
)
def test_whispers_rule_for_no_speech(no_speech_prob: float | None, avg_logprob: float | None, removed: bool) -> None:
    given = segment("The numbers are fine.", no_speech_prob=no_speech_prob, avg_logprob=avg_logprob)
    assert reasons(transcript(given)) == (["no_speech"] if removed else [])


# Phantoms


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "Subtitles by the Amara.org community"),
        ("en", "Please like and subscribe! Don’t forget to subscribe."),
        ("vi", "Hãy subscribe cho kênh Ghiền Mì Gõ Để không bỏ lỡ những video hấp dẫn"),
        ("vi", "HÃY ĐĂNG KÝ KÊNH."),
        ("de", "Untertitel der Amara.org-Community"),
        ("vi", "www.mooji.org"),
        ("en", "♪♪♪"),
        ("en", "..."),
    ],
)
def test_a_phantom_is_removed_however_sure_the_engine_is(language: str, text: str) -> None:
    given = segment(text, avg_logprob=-0.1, no_speech_prob=0.0)
    assert reasons(transcript(given, language=language)) == ["phantom"]


def test_decomposed_letters_are_the_same_phrase() -> None:
    import unicodedata

    decomposed = unicodedata.normalize("NFD", "Hãy đăng ký kênh nhé!")
    assert reasons(transcript(segment(decomposed), language="vi")) == ["phantom"]


def test_a_phantom_within_a_real_sentence_stays() -> None:
    text = "The video says please like and subscribe, and then it stops."
    assert reasons(transcript(segment(text))) == []


@pytest.mark.parametrize(
    "evidence",
    [{"avg_logprob": -0.8}, {"no_speech_prob": 0.55}, {"start_s": 8.0, "length_s": 5.0}],
    ids=["unsure", "perhaps no speech", "mostly outside speech"],
)
@pytest.mark.parametrize(("language", "text"), [("en", "Thank you. Bye."), ("vi", "Cảm ơn các bạn đã theo dõi.")])
def test_a_doubtful_phrase_needs_weak_evidence(language: str, text: str, evidence: dict[str, float]) -> None:
    heard = speech((0, 10))
    assert reasons(transcript(segment(text, **evidence), language=language), heard) == ["phantom"]
    sure = segment(text, avg_logprob=-0.3, no_speech_prob=0.1)
    assert reasons(transcript(sure, segment(text, 5.0), language=language), heard) == []


def test_the_phrases_are_of_one_language_only() -> None:
    assert reasons(transcript(segment("Hãy đăng ký kênh"), language="en")) == []


def test_no_phrase_is_listed_twice() -> None:
    listed = json.loads(PHRASES.read_text(encoding="utf-8"))
    common = [phrase for kind in listed["*"].values() for phrase in kind]
    for language in set(listed) - {"*"}:
        own = [phrase for kind in listed[language].values() for phrase in kind]
        everything = [normalised(phrase) for phrase in [*common, *own]]
        assert () not in everything
        assert len(set(everything)) == len(everything)
        assert len(own) >= 30


# What holds for any transcript


@pytest.mark.parametrize("language", ["en", "vi"])
def test_what_people_say_in_business_stays(language: str) -> None:
    said = row(*{"en": ENGLISH, "vi": VIETNAMESE}[language], avg_logprob=-0.35, no_speech_prob=0.05)
    checked = guard(transcript(*said, language=language), SPEECH)
    assert checked.removed == ()
    assert list(checked.segments) == said


def test_earlier_removals_are_kept() -> None:
    earlier = Removal(start_s=50, end_s=51, text="x", reason="phantom", detail="x")
    checked = guard(transcript(segment("www.mooji.org"), removed=(earlier,)), SPEECH)
    assert [removal.start_s for removal in checked.removed] == [50, 0]


TEXTS = st.one_of(
    st.sampled_from(["Thank you.", "Please subscribe", "We'll be right there.", "no " * 30, "♪", *ENGLISH[:4]]),
    st.text(min_size=1, max_size=40),
)
SEGMENTS = st.builds(
    segment,
    TEXTS,
    start_s=st.floats(0, 100),
    length_s=st.floats(0, 30),
    avg_logprob=st.none() | st.floats(-3, 0),
    no_speech_prob=st.none() | st.floats(0, 1),
    speaker=st.sampled_from([None, "Speaker 1", "Speaker 2"]),
)
SPANS = st.builds(
    lambda start_s, length_s, channel: Span(start_s=start_s, end_s=start_s + length_s, channel=channel),
    st.floats(0, 100),
    st.floats(0, 30),
    st.integers(0, 1),
)


@settings(deadline=None)
@given(
    st.lists(SEGMENTS, max_size=12),
    st.lists(SPANS, max_size=5),
    st.integers(1, 2),
    st.sampled_from(["en", "vi", "und"]),
)
def test_nothing_is_lost_and_a_second_pass_finds_nothing(
    segments: list[Segment], spans: list[Span], channels: int, language: str
) -> None:
    segments.sort(key=lambda segment: segment.start_s)
    heard = Speech(duration_s=200, channels=channels, spans=tuple(spans))
    checked = guard(transcript(*segments, language=language), heard)
    kept = iter(segments)
    assert all(segment in kept for segment in checked.segments), "order kept"
    parts = [*checked.segments, *checked.removed]
    assert sorted((part.start_s, part.end_s, part.text) for part in parts) == sorted(
        (segment.start_s, segment.end_s, segment.text) for segment in segments
    )
    assert guard(checked, heard) == checked
