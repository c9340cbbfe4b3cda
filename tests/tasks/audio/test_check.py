"""The contract of segments catches each planted defect by row and column, and nothing in clean data."""

from typing import Any

import pytest

from blocks.errors import EngineFailed
from blocks.transcript import EngineInfo, Segment, Transcript, Word
from tasks.audio.check import check_segments


def segment(start_s: float, end_s: float, **fields: Any) -> Segment:
    word = Word(start_s=start_s, end_s=end_s, text="word", probability=0.9)
    given = {"text": "word", "words": (word,), "avg_logprob": -0.1} | fields
    return Segment(start_s=start_s, end_s=end_s, **given)


def transcript(*segments: Segment, duration_s: float = 10.0) -> Transcript:
    return Transcript(language="en", segments=segments, engine=EngineInfo(name="x", version="1"), duration_s=duration_s)


CLEAN = (segment(0, 1), segment(1, 2, speaker="A"), segment(1.5, 3, speaker="B"), segment(3, 10.05, speaker="A"))


def test_clean_segments_pass() -> None:
    check_segments(transcript(*CLEAN))
    check_segments(transcript())
    many = [segment(number, number + 1) for number in range(1000)]
    check_segments(transcript(*many, duration_s=1000))


@pytest.mark.parametrize(
    ("planted", "row", "column"),
    [
        ((segment(2, 2),), 0, "end_s"),
        ((segment(0, 1), segment(5, 6), segment(3, 4)), 2, "start_s"),
        ((segment(0, 2), segment(1, 3)), 1, "start_s"),
        ((segment(0, 1), segment(9, 12)), 1, "end_s"),
        ((segment(0, 1, text=" \t "),), 0, "text"),
        ((segment(0, 1), segment(2, 3, words=(Word(start_s=5, end_s=6, text="x", probability=1),))), 1, "words"),
    ],
)
def test_a_planted_defect_is_named_by_row_and_column(planted: tuple[Segment, ...], row: int, column: str) -> None:
    with pytest.raises(EngineFailed) as caught:
        check_segments(transcript(*planted))
    assert f"row {row}" in caught.value.message
    assert column in caught.value.message


def test_impossible_probabilities_cannot_even_be_written() -> None:
    for wrong in ({"avg_logprob": 0.5}, {"no_speech_prob": 1.2}):
        planted = segment(0, 1).model_copy(update=wrong)
        with pytest.raises(EngineFailed, match=next(iter(wrong))):
            check_segments(transcript(planted))


def test_many_defects_are_counted_and_the_first_named() -> None:
    faulty = [segment(number, number) for number in range(5)]
    with pytest.raises(EngineFailed, match="row 0") as caught:
        check_segments(transcript(*faulty))
    assert len(caught.value.details["faults"]) >= 5
