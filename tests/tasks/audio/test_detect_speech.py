"""Where there is speech."""

import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from blocks.audio import Speech
from tasks.audio.detect_speech import BATCH_WINDOWS, Detector, detect_speech
from tasks.audio.spans import MAX_SPAN_S, MIN_SPEECH_S, PAD_S, WINDOW_S, WINDOW_SAMPLES, spans_of


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


def test_probabilities_are_those_of_the_reference(write_wav: Callable[..., Path], spoken: np.ndarray) -> None:
    from faster_whisper.vad import get_vad_model

    samples = np.tile(spoken, 8)  # more than one batch
    samples = samples[: len(samples) // WINDOW_SAMPLES * WINDOW_SAMPLES]
    with wave.open(str(write_wav(samples)), "rb") as wav:
        content = np.frombuffer(wav.readframes(wav.getnframes()), np.int16)
    detector = Detector()
    size = BATCH_WINDOWS * WINDOW_SAMPLES
    found = [p for at in range(0, len(content), size) for p in detector.probabilities(content[at : at + size])]
    reference = get_vad_model()(content.astype(np.float32) / 32768).ravel()
    assert len(found) > BATCH_WINDOWS
    # The reference blanks the end of the last window, so that one differs.
    assert np.abs(np.array(found) - reference)[:-1].max() < 1e-4


def windows(*stretches: tuple[float, float]) -> list[float]:
    """Probabilities, each held for so many seconds."""
    return [probability for probability, seconds in stretches for _ in range(round(seconds / WINDOW_S))]


def test_a_short_pause_does_not_end_a_span_and_a_long_one_does() -> None:
    assert len(spans_of(windows((0.9, 2), (0.1, 0.2), (0.9, 2)), 0.5, 4.2)) == 1
    assert len(spans_of(windows((0.9, 2), (0.1, 1), (0.9, 2)), 0.5, 5)) == 2


def test_a_span_ends_where_it_became_quiet() -> None:
    [(start_s, end_s)] = spans_of(windows((0, 1), (0.9, 2), (0.1, 0.1), (0.4, 0.5), (0.1, 1)), 0.5, 4.6)
    assert start_s == pytest.approx(1 - PAD_S, abs=WINDOW_S)
    assert end_s == pytest.approx(3 + PAD_S, abs=WINDOW_S)


def test_hesitating_speech_goes_on_and_clicks_are_none() -> None:
    assert len(spans_of(windows((0.9, 1), (0.4, 2), (0.9, 1)), 0.5, 4)) == 1
    assert spans_of(windows((0, 1), (0.9, 0.1), (0, 1)), 0.5, 2.1) == []


def test_cutting_leaves_no_crumbs() -> None:
    for seconds in np.arange(29, 92, 0.31):
        spans = spans_of(windows((0.9, seconds)), 0.5, seconds)
        assert all(MIN_SPEECH_S <= end_s - start_s <= MAX_SPAN_S for start_s, end_s in spans)
