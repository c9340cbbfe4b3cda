"""The other forms of a transcript: text, table, report, pictures."""

import csv
import io
import wave
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from blocks.audio import Span, Speech
from blocks.enhanced import Enhanced, Summary
from blocks.job import Notice
from blocks.metrics import confidence, peak_rss_bytes, real_time_factor
from blocks.transcript import EngineInfo, Segment, Transcript
from tasks.audio.export import clock, to_markdown, to_tsv, to_txt
from tasks.audio.pictures import step_timing, waveform

ENGINE = EngineInfo(name="sphinx", version="1")
SEGMENTS = (
    Segment(start_s=0.5, end_s=2, text="good morning", speaker="Speaker 1"),
    Segment(start_s=3723, end_s=3724, text="=cmd\ttab", speaker=None),
)
TRANSCRIPT = Transcript(language="en", segments=SEGMENTS, engine=ENGINE, duration_s=3725)


def test_text_has_a_line_a_segment() -> None:
    assert to_txt(SEGMENTS) == "Speaker 1: good morning\n=cmd\ttab\n"


def test_tsv_is_a_table_of_four_columns() -> None:
    rows = list(csv.reader(io.StringIO(to_tsv(SEGMENTS)), delimiter="\t", quoting=csv.QUOTE_NONE))
    assert rows[0] == ["start_ms", "end_ms", "speaker", "text"]
    assert rows[1:] == [["500", "2000", "Speaker 1", "good morning"], ["3723000", "3724000", "", "=cmd tab"]]


def test_the_report_labels_engines_and_tells_notices() -> None:
    extractive = EngineInfo(name="extractive", version="1")
    notice = Notice(step="enhance", code="window_kept_raw", message="The window was kept raw.")
    better = Enhanced(transcript=TRANSCRIPT, engine=extractive, edit_rate=0, windows=1, notices=(notice,))
    summary = Summary(template="t", content={"tóm_tắt": "Ngắn", "việc": [{"ai": "Lan"}]}, engine=extractive)
    report = to_markdown("Cuộc họp.wav", TRANSCRIPT, better, summary)
    assert report.startswith("# Cuộc họp.wav\n")
    for part in ("`sphinx`", "`extractive`", "Tóm tắt", "Ngắn", "Ai: Lan", "kept raw", "**Speaker 1:**", "`1:02:03`"):
        assert part in report


def test_the_report_of_silence_says_so() -> None:
    silent = TRANSCRIPT.model_copy(update={"segments": ()})
    assert "No speech was found" in to_markdown("x", silent, None, None)


@pytest.mark.parametrize(("seconds", "shown"), [(0, "0:00"), (59.9, "0:59"), (61, "1:01"), (3600, "1:00:00")])
def test_clock(seconds: float, shown: str) -> None:
    assert clock(seconds) == shown


def picture(content: bytes) -> np.ndarray:
    return matplotlib.image.imread(io.BytesIO(content), format="png")


@pytest.mark.parametrize("channels", [1, 2])
def test_the_waveform_shows_sound_and_speech(tmp_path: Path, channels: int) -> None:
    path = tmp_path / "x.wav"
    with wave.open(str(path), "wb") as wav:
        wav.setparams((channels, 2, 16_000, 0, "NONE", ""))
        loud = (np.sin(np.arange(16_000 * channels)) * 20_000).astype("<i2")
        wav.writeframes(loud.tobytes() + bytes(2 * 16_000 * channels))
    speech = Speech(duration_s=2, channels=channels, spans=(Span(start_s=0, end_s=1),), coverage=0.5)
    silent = Speech(duration_s=2, channels=channels)
    shown, plain = picture(waveform(path, speech)), picture(waveform(path, silent))
    assert shown.shape[1] > 800
    assert (shown != plain).any(), "the speech is shaded"


def test_an_empty_recording_can_be_drawn(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    with wave.open(str(path), "wb") as wav:
        wav.setparams((1, 2, 16_000, 0, "NONE", ""))
    assert picture(waveform(path, Speech(duration_s=0))).size
    assert picture(step_timing({})).size
    assert picture(step_timing({"decode": 0.1, "transcribe": 12.0})).size


def test_confidence_is_weighted_by_duration() -> None:
    long = Segment(start_s=0, end_s=3, text="a", avg_logprob=0.0)
    short = Segment(start_s=3, end_s=4, text="b", avg_logprob=-0.6931471805599453)
    assert confidence([long, short]) == pytest.approx((3 * 1 + 1 * 0.5) / 4)
    assert confidence([]) is None


def test_figures() -> None:
    assert real_time_factor(5, 10) == 0.5
    assert real_time_factor(5, 0) is None
    assert peak_rss_bytes() > 10_000_000
