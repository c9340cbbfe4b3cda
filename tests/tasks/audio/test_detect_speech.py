"""Where there is speech."""

import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from blocks.audio import Speech
from tasks.audio.detect_speech import detect_speech
from tasks.audio.spans import MAX_SPAN_S, WINDOW_S, spans_of


def detected(path: Path) -> Speech:
    return detect_speech(path, threshold=0.5, on_progress=lambda share: None)


@pytest.fixture
def spoken(sentence: Path) -> np.ndarray:
    with wave.open(str(sentence), "rb") as wav:
        return np.frombuffer(wav.readframes(wav.getnframes()), "<i2") / 32768


def test_silence_and_a_tone_hold_no_speech(write_wav: Callable[..., Path]) -> None:
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(3 * 16_000) / 16_000)
    for samples in (np.zeros(3 * 16_000), tone):
        found = detected(write_wav(samples))
        assert found.spans == ()
        assert found.coverage == 0


def test_speech_between_silences_is_found(write_wav: Callable[..., Path], spoken: np.ndarray) -> None:
    silence = np.zeros(2 * 16_000)
    found = detected(write_wav(np.concatenate([silence, spoken, silence])))
    assert found.spans[0].start_s == pytest.approx(2, abs=0.4)
    assert found.spans[-1].end_s == pytest.approx(2 + len(spoken) / 16_000, abs=0.5)
    assert found.coverage == pytest.approx(len(spoken) / 16_000 / found.duration_s, abs=0.1)


def test_each_channel_of_a_call_has_its_own_spans(write_wav: Callable[..., Path], spoken: np.ndarray) -> None:
    silence = np.zeros(len(spoken))
    left, right = np.concatenate([spoken, silence]), np.concatenate([silence, spoken])
    found = detected(write_wav(np.stack([left, right], axis=1)))
    assert {span.channel for span in found.spans} == {0, 1}
    turn_s = len(spoken) / 16_000
    assert all(span.end_s < turn_s + 0.5 for span in found.spans if span.channel == 0)
    assert all(span.start_s > turn_s - 0.5 for span in found.spans if span.channel == 1)


def test_an_empty_file_is_valid(write_wav: Callable[..., Path]) -> None:
    assert detected(write_wav(np.zeros(0))).duration_s == 0


def test_a_speaker_who_never_pauses_is_cut_at_the_quietest_places() -> None:
    chance = np.random.default_rng(7)
    windows = (0.8 + 0.2 * chance.random(round(100 / WINDOW_S))).tolist()
    quiet = round(25 / WINDOW_S)
    windows[quiet] = 0.6
    spans = spans_of(windows, 0.5, 100.0)
    assert all(end_s - start_s <= MAX_SPAN_S for start_s, end_s in spans)
    assert spans[0][1] == pytest.approx(quiet * WINDOW_S, abs=0.05)
    assert spans[0][0] == 0
    assert spans[-1][1] == pytest.approx(100, abs=0.05)


def test_spans_never_overlap_nor_leave_the_audio() -> None:
    chance = np.random.default_rng(3)
    for _ in range(50):
        windows = (chance.random(500) ** 2).repeat(chance.integers(1, 9)).tolist()
        duration_s = len(windows) * WINDOW_S
        spans = spans_of(windows, 0.5, duration_s)
        edges = [edge for span in spans for edge in span]
        assert edges == sorted(edges)
        assert not edges or (edges[0] >= 0 and edges[-1] <= duration_s)
