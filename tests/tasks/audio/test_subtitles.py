"""Subtitles: parsed by others, lines short, nothing lost, nothing out of order."""

import io
from datetime import timedelta
from itertools import pairwise

import srt
import webvtt
from hypothesis import given
from hypothesis import strategies as st

from blocks.transcript import Segment, Word
from tasks.audio.subtitles import CUE_LINES, LINE_CHARS, cues_of, to_srt, to_vtt

LONG = (
    "We decided to move the release to the twentieth of March because the payment page is still too slow, "
    "and Maria will call the customer before noon to explain the new date."
)


def spoken(text: str, start_s: float = 1.0, end_s: float = 9.0, speaker: str | None = None) -> Segment:
    words = text.split()
    step_s = (end_s - start_s) / len(words)
    timed = tuple(
        Word(start_s=start_s + index * step_s, end_s=start_s + (index + 1) * step_s, text=word, probability=1)
        for index, word in enumerate(words)
    )
    return Segment(start_s=start_s, end_s=end_s, text=text, words=timed, speaker=speaker)


def test_long_speech_is_cut_into_readable_cues() -> None:
    cues = cues_of([spoken(LONG)])
    assert len(cues) >= 2
    assert all(len(cue.lines) <= CUE_LINES and all(len(line) <= LINE_CHARS for line in cue.lines) for cue in cues)
    assert " ".join(line for cue in cues for line in cue.lines) == LONG
    assert cues[0].start_s == 1.0
    assert abs(cues[-1].end_s - 9.0) < 0.01


def test_srt_is_read_by_an_independent_parser() -> None:
    parsed = list(srt.parse(to_srt(cues_of([spoken(LONG, speaker="Speaker 1"), spoken("Yes --> no", 10, 11)]))))
    assert parsed[0].content.startswith("Speaker 1: We decided")
    assert parsed[0].start == timedelta(seconds=1)
    assert parsed[-1].content == "Yes → no"
    assert [cue.index for cue in parsed] == list(range(1, len(parsed) + 1))


def test_vtt_is_read_by_an_independent_parser() -> None:
    text = to_vtt(cues_of([spoken("Profit & loss <today> đã tăng", speaker="Chị Lan")]))
    [cue] = webvtt.from_buffer(io.StringIO(text))
    assert cue.voice == "Chị Lan"
    assert "Profit &amp; loss &lt;today&gt; đã tăng" in text
    assert (cue.start, cue.end) == ("00:00:01.000", "00:00:09.000")


def test_no_speech_gives_valid_empty_files() -> None:
    assert list(srt.parse(to_srt([]))) == []
    assert list(webvtt.from_buffer(io.StringIO(to_vtt([])))) == []


def test_times_go_past_an_hour() -> None:
    assert "01:01:01,500 --> " in to_srt(cues_of([spoken("late", 3661.5, 3662)]))


words = st.lists(st.text(st.characters(categories=("L", "N", "P")), min_size=1, max_size=60), min_size=1, max_size=60)


@given(texts=st.lists(words, min_size=1, max_size=6), named=st.booleans(), timed=st.booleans())
def test_every_word_is_kept_in_order_and_cues_never_overlap(texts: list[list[str]], named: bool, timed: bool) -> None:
    speaker = "Speaker 1" if named else None
    segments = [spoken(" ".join(text), index * 10.0, index * 10.0 + 9.5, speaker) for index, text in enumerate(texts)]
    if not timed:
        segments = [segment.model_copy(update={"words": ()}) for segment in segments]
    cues = cues_of(segments)
    said = [word for cue in cues for line in cue.lines for word in line.split()]
    assert said == [word for segment in segments for word in segment.text.split()]
    for cue in cues:
        assert len(cue.lines) <= CUE_LINES
        assert all(len(line) <= LINE_CHARS or len(line.split()) == 1 for line in cue.lines)
        assert cue.start_s < cue.end_s
    assert all(first.end_s <= second.start_s + 1e-6 for first, second in pairwise(cues))
    assert len(list(srt.parse(to_srt(cues)))) == len(cues)
