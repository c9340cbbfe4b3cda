"""Every word gets its speaker, and no word, second or figure is lost on the way."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blocks.diarisation.protocol import Turn
from blocks.transcript import EngineInfo, Segment, Transcript, Word
from tasks.audio.check import check_segments
from tasks.audio.speakers import assign_speakers


def spoken(text: str, start_s: float = 0.0, word_s: float = 1.0, **fields: Any) -> Segment:
    """A segment whose words follow each other, each as long."""
    words = tuple(
        Word(start_s=start_s + index * word_s, end_s=start_s + (index + 1) * word_s, text=word, probability=0.9)
        for index, word in enumerate(text.split())
    )
    end_s = start_s + len(words) * word_s
    return Segment(start_s=start_s, end_s=end_s, text=text, words=words, avg_logprob=-0.2, **fields)


def transcript(*segments: Segment) -> Transcript:
    return Transcript(language="en", segments=segments, engine=EngineInfo(name="x", version="1"), duration_s=1000)


def turns(*parts: tuple[float, float, int]) -> list[Turn]:
    return [Turn(start_s=start_s, end_s=end_s, speaker=speaker) for start_s, end_s, speaker in parts]


def said(given: Transcript, parts: list[Turn]) -> list[tuple[str | None, str]]:
    return [(segment.speaker, segment.text) for segment in assign_speakers(given, parts).segments]


def test_a_segment_of_one_voice_stays_whole() -> None:
    segment = spoken("good morning everyone")
    (named,) = assign_speakers(transcript(segment), turns((0, 3, 7))).segments
    assert named == segment.model_copy(update={"speaker": "Speaker 1"})


def test_a_segment_is_split_where_the_voice_changes_between_words() -> None:
    given = transcript(spoken("how are you fine thanks", no_speech_prob=0.1))
    first, second = assign_speakers(given, turns((0, 3.2, 0), (3.2, 5, 1))).segments
    assert (first.speaker, first.text, first.start_s, first.end_s) == ("Speaker 1", "how are you", 0, 3)
    assert (second.speaker, second.text, second.start_s, second.end_s) == ("Speaker 2", "fine thanks", 3, 5)
    assert [word.text for word in second.words] == ["fine", "thanks"]
    assert (second.avg_logprob, second.no_speech_prob) == (-0.2, 0.1)


def test_a_word_belongs_to_the_voice_with_most_of_it_in_all_turns() -> None:
    given = transcript(spoken("yes", word_s=1.0))
    assert said(given, turns((0, 0.3, 0), (0.3, 0.7, 1), (0.7, 1, 0)))[0][1] == "yes"
    two = transcript(spoken("no", 0), spoken("yes", 1))
    assert [who for who, _ in said(two, turns((0, 1.3, 0), (1.3, 1.7, 1), (1.7, 2, 0)))] == ["Speaker 1", "Speaker 1"]


def test_a_word_outside_all_turns_belongs_to_the_nearest() -> None:
    given = transcript(spoken("early", 0), spoken("late", 6), spoken("end", 20))
    parts = turns((2, 3, 0), (9, 10, 1))
    assert [who for who, _ in said(given, parts)] == ["Speaker 1", "Speaker 2", "Speaker 2"]
    long_before = turns((0, 19, 0), (1, 2, 1))
    assert said(transcript(spoken("one", 1.2, 0.5), spoken("end", 20)), long_before)[1][0] == "Speaker 1"


def test_a_segment_without_words_belongs_to_the_voice_with_most_of_it() -> None:
    plain = Segment(start_s=0, end_s=10, text="who knows")
    first = Segment(start_s=0, end_s=1, text="me")
    parts = turns((0, 3, 0), (3, 6, 1), (6, 8, 0), (8, 10, 1))
    assert said(transcript(first, plain), parts) == [("Speaker 1", "me"), ("Speaker 1", "who knows")]
    assert said(transcript(first, plain), [*parts, *turns((4, 10, 1))])[1][0] == "Speaker 2"


def test_voices_are_numbered_by_first_appearance_in_the_transcript() -> None:
    given = transcript(spoken("hello", 5), spoken("hi", 7))
    assert said(given, turns((0, 1, 0), (5, 6, 2), (7, 8, 0))) == [("Speaker 1", "hello"), ("Speaker 2", "hi")]


def test_pieces_of_one_voice_are_joined_over_a_short_pause_only() -> None:
    parts = turns((0, 2, 0), (2, 4.8, 1), (4.8, 9, 0))
    near = transcript(spoken("are you well", 0), spoken("yes thanks good", 3.4, 0.7))
    assert said(near, parts) == [("Speaker 1", "are you"), ("Speaker 2", "well yes thanks"), ("Speaker 1", "good")]
    far = transcript(spoken("are you well", 0), spoken("yes thanks good", 3.5, 0.65))
    assert [text for _, text in said(far, parts)] == ["are you", "well", "yes thanks", "good"]


def test_whole_segments_are_not_joined() -> None:
    given = transcript(spoken("one", 0), spoken("two", 1))
    assert [text for _, text in said(given, turns((0, 2, 0)))] == ["one", "two"]


def test_the_figures_of_joined_pieces_are_means_over_their_words() -> None:
    one = spoken("a b c", 0).model_copy(update={"avg_logprob": -0.2})
    other = spoken("d e f", 3).model_copy(update={"avg_logprob": -0.8})
    joined = assign_speakers(transcript(one, other), turns((0, 2, 0), (2, 5, 1), (5, 6, 0))).segments[1]
    assert joined.text == "c d e"
    assert joined.avg_logprob == pytest.approx(-0.6)
    assert joined.no_speech_prob is None


def test_text_without_spaces_and_with_points_of_its_own_is_cut_as_it_is() -> None:
    words = tuple(Word(start_s=i, end_s=i + 1, text=text, probability=1) for i, text in enumerate("你好谢谢"))
    given = transcript(Segment(start_s=0, end_s=4, text="你好!谢谢。", words=words))
    assert [text for _, text in said(given, turns((0, 2, 0), (2, 4, 1)))] == ["你好!", "谢谢。"]


def test_words_that_are_not_those_of_the_text_are_joined_by_spaces() -> None:
    given = transcript(spoken("one two three").model_copy(update={"text": "1, 2, 3"}))
    assert [text for _, text in said(given, turns((0, 2, 0), (2, 3, 1)))] == ["one two", "three"]


def test_a_word_without_length_makes_no_segment_of_its_own() -> None:
    segment = spoken("one two three")
    words = (segment.words[0], segment.words[1].model_copy(update={"end_s": 1.0}), segment.words[2])
    given = transcript(segment.model_copy(update={"words": words}))
    assert said(given, turns((0, 0.9, 0), (0.9, 1.1, 1), (1.1, 3, 0)))[0][1] == "one two three"


def test_without_turns_the_transcript_comes_back_as_it_is() -> None:
    given = transcript(spoken("hello"))
    assert assign_speakers(given, []) is given


WORDS = st.lists(st.sampled_from(["rất", "tốt", "and", "so", "thanks."]), min_size=1, max_size=8)
SEGMENTS = st.lists(st.tuples(WORDS, st.floats(0.05, 2), st.booleans()), max_size=6)
TURNS = st.lists(st.tuples(st.floats(0, 60), st.floats(0.1, 20), st.integers(0, 3)), min_size=1, max_size=8)


@settings(deadline=None)  # the first example pays for the imports
@given(SEGMENTS, TURNS)
def test_no_word_is_lost_and_the_segments_keep_their_contract(
    drawn: list[tuple[list[str], float, bool]], parts: list[tuple[float, float, int]]
) -> None:
    segments: list[Segment] = []
    at_s = 0.0
    for words, word_s, timed in drawn:
        segment = spoken(" ".join(words), at_s, word_s)
        segments.append(segment if timed else segment.model_copy(update={"words": ()}))
        at_s = segment.end_s + 0.1
    given = transcript(*segments)
    named = assign_speakers(given, turns(*((start_s, start_s + length_s, who) for start_s, length_s, who in parts)))
    check_segments(named)
    assert named.text.split() == given.text.split()
    assert [word for segment in named.segments for word in segment.words] == [
        word for segment in segments for word in segment.words
    ]
    assert all(
        segment.text == " ".join(word.text for word in segment.words) for segment in named.segments if segment.words
    )
    names = list(dict.fromkeys(segment.speaker for segment in named.segments))
    assert names == [f"Speaker {number + 1}" for number in range(len(names))]
