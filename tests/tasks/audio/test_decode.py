"""Any recording to 16 kHz PCM16, in constant memory."""

import math
import subprocess
import sys
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from blocks.errors import TooLarge
from tasks.audio.decode import Decoded, decode
from tasks.audio.loudness import measure_loudness

PEAK_RSS = """
import sys
from pathlib import Path
from blocks.metrics import peak_rss_bytes
from tasks.audio.decode import decode
from tasks.audio.detect_speech import detect_speech
from tasks.audio.pictures import waveform
source, target = Path(sys.argv[1]), Path(sys.argv[2])
decode(source, target, channels="mix", loudness_lufs=None, max_duration_s=1e6, expected_s=None, on_progress=print)
speech = detect_speech(target, threshold=0.5, on_progress=lambda share: None)
waveform(target, speech)
print(speech.duration_s, peak_rss_bytes())
"""


def decoded(source: Path, target: Path, **options: object) -> Decoded:
    chosen = {"channels": "mix", "loudness_lufs": None, "max_duration_s": 1000, "expected_s": None} | options
    return decode(source, target, on_progress=lambda share: None, **chosen)  # type: ignore[arg-type]


def lufs_of(path: Path) -> float:
    return measure_loudness(
        path, channels="mix", max_duration_s=1000, expected_s=None, on_progress=lambda share: None
    ).lufs


def samples_of(path: Path) -> np.ndarray:
    with wave.open(str(path), "rb") as wav:
        assert (wav.getframerate(), wav.getsampwidth()) == (16_000, 2)
        content = np.frombuffer(wav.readframes(wav.getnframes()), "<i2").reshape(-1, wav.getnchannels())
    return content / 32768


@pytest.mark.parametrize("name", ["wav", "mp3", "m4a", "aac", "flac", "ogg", "opus", "webm", "amr", "mp4"])
def test_every_format_becomes_the_same_audio(recordings: dict[str, Path], tmp_path: Path, name: str) -> None:
    result = decoded(recordings[name], tmp_path / "out.wav")
    samples = samples_of(tmp_path / "out.wav")
    assert result.channels == 1
    assert result.duration_s == pytest.approx(4.245, abs=0.3)
    assert len(samples) == round(result.duration_s * 16_000)
    assert 0.02 < float(np.sqrt(np.mean(samples**2))) < 0.3


def test_a_tone_keeps_its_pitch_and_level(write_wav: Callable[..., Path], tmp_path: Path) -> None:
    time = np.arange(2 * 44_100) / 44_100
    source = write_wav(0.5 * np.sin(2 * math.pi * 440 * time), 44_100)
    decoded(source, tmp_path / "out.wav")
    samples = samples_of(tmp_path / "out.wav")[:, 0]
    spectrum = np.abs(np.fft.rfft(samples[1000:17_000]))
    assert np.argmax(spectrum) == 440
    assert float(np.sqrt(np.mean(samples[1000:17_000] ** 2))) == pytest.approx(0.5 / math.sqrt(2), rel=0.02)


def test_a_call_can_keep_its_two_channels(write_wav: Callable[..., Path], tmp_path: Path) -> None:
    left = np.sin(2 * math.pi * 300 * np.arange(16_000) / 16_000) * 0.4
    source = write_wav(np.stack([left, np.zeros(16_000)], axis=1))
    split = decoded(source, tmp_path / "out.wav", channels="split")
    samples = samples_of(tmp_path / "out.wav")
    assert split.channels == 2
    assert np.abs(samples[:, 0]).max() > 0.3
    assert np.abs(samples[:, 1]).max() < 0.01
    assert decoded(source, tmp_path / "mix.wav").channels == 1


def test_one_channel_stays_one_when_split(sentence: Path, tmp_path: Path) -> None:
    assert decoded(sentence, tmp_path / "out.wav", channels="split").channels == 1


@pytest.mark.parametrize("target_lufs", [-23.0, -16.0])
def test_loudness_is_brought_to_the_target(write_wav: Callable[..., Path], tmp_path: Path, target_lufs: float) -> None:
    noise = np.random.default_rng(1).normal(0, 0.01, 5 * 16_000)
    result = decoded(write_wav(noise), tmp_path / "out.wav", loudness_lufs=target_lufs)
    assert lufs_of(tmp_path / "out.wav") == pytest.approx(target_lufs, abs=0.3)
    assert result.gain_db is not None and result.gain_db > 0


def test_loudness_agrees_with_ffmpeg(sentence: Path) -> None:
    command = ["ffmpeg", "-hide_banner", "-nostats", "-i", str(sentence), "-af", "ebur128", "-f", "null", "-"]
    report = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    theirs = float(report.rsplit("I:", 1)[1].split()[0])
    assert lufs_of(sentence) == pytest.approx(theirs, abs=0.2)


def test_gain_stops_before_it_clips(write_wav: Callable[..., Path], tmp_path: Path) -> None:
    quiet = np.random.default_rng(1).normal(0, 0.001, 5 * 16_000)
    quiet[8000] = 0.9
    decoded(write_wav(quiet), tmp_path / "out.wav", loudness_lufs=-10)
    assert np.abs(samples_of(tmp_path / "out.wav")).max() < 1.0


def test_the_duration_limit_holds_whatever_the_header_says(sentence: Path, tmp_path: Path) -> None:
    with pytest.raises(TooLarge):
        decoded(sentence, tmp_path / "out.wav", max_duration_s=1)


def test_damage_in_the_middle_is_skipped_and_counted(recordings: dict[str, Path], tmp_path: Path) -> None:
    content = bytearray(recordings["mp3"].read_bytes())
    middle = len(content) // 2
    content[middle : middle + 800] = b"\0" * 800
    broken = tmp_path / "broken.mp3"
    broken.write_bytes(content)
    assert decoded(broken, tmp_path / "out.wav").duration_s > 3


def looped(sentence: Path, target: Path, seconds: int) -> Path:
    from tests.tasks.audio.conftest import ffmpeg

    ffmpeg("-stream_loop", -1, "-i", sentence, "-t", seconds, target)
    return target


def peak_rss(source: Path, target: Path) -> tuple[float, int]:
    command = [sys.executable, "-c", PEAK_RSS, str(source), str(target)]
    output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600).stdout
    duration_s, peak = output.split()[-2:]
    return float(duration_s), int(peak)


def test_memory_does_not_grow_with_length(sentence: Path, tmp_path: Path) -> None:
    _, short = peak_rss(looped(sentence, tmp_path / "short.mp3", 30), tmp_path / "short.wav")
    duration_s, long = peak_rss(looped(sentence, tmp_path / "long.mp3", 600), tmp_path / "long.wav")
    assert duration_s == pytest.approx(600, abs=1)
    assert long < 400e6
    assert long - short < 40e6


@pytest.mark.soak
@pytest.mark.parametrize("name", ["mp3", "m4a", "flac", "wav"])
def test_an_hour_takes_under_400_mb(sentence: Path, tmp_path: Path, name: str) -> None:
    duration_s, peak = peak_rss(looped(sentence, tmp_path / f"hour.{name}", 3600), tmp_path / "out.wav")
    print(f"one hour of {name}: peak RSS {peak / 1e6:.0f} MB")
    assert duration_s == pytest.approx(3600, abs=1)
    assert peak < 400e6
