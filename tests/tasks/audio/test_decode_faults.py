"""Recordings that break off, lie about themselves or meet a full disk; and the steps around the decoder."""

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from blocks.audio import Speech
from blocks.errors import BadAudio, Stopped, StoreFailed, TooLarge
from blocks.store import open_store
from tasks.audio.decode import decode, decode_step
from tasks.audio.detect_speech import detect_speech_step
from tasks.audio.loudness import PEAK_CEILING_DBFS, measure_loudness
from tasks.audio.probe import probe
from tests.tasks.audio.conftest import ffmpeg
from tests.tasks.audio.test_decode import decoded, lufs_of


def wav_header(data_bytes: int, channels: int = 1, rate_hz: int = 16_000) -> bytes:
    """The header of a PCM16 WAV file, whatever it claims."""
    block, riff_bytes = channels * 2, min(data_bytes + 36, 2**32 - 1)
    return struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", riff_bytes, b"WAVE", b"fmt ", 16, 1, channels % 65536, rate_hz,
                       rate_hz * block % 2**32, block % 65536, 16, b"data", data_bytes)  # fmt: skip


@pytest.mark.parametrize("claim", [2**32 - 1, 2**32 - 2, 4_000_000_000, 0])
def test_what_a_header_claims_does_not_count_but_what_is_there(tmp_path: Path, claim: int) -> None:
    path = tmp_path / "claims.wav"
    path.write_bytes(wav_header(claim) + b"\1\0" * 32_000)
    info = probe(path, max_duration_s=60)
    assert info.duration_s is None or info.duration_s <= 2.01
    assert decoded(path, tmp_path / "out.wav").duration_s == pytest.approx(2)


@pytest.mark.parametrize(("channels", "rate_hz"), [(60_000, 16_000), (1, 2**31 - 1), (1, 0), (0, 16_000)])
def test_impossible_headers_are_refused(tmp_path: Path, channels: int, rate_hz: int) -> None:
    path = tmp_path / "impossible.wav"
    path.write_bytes(wav_header(64_000, channels, rate_hz) + bytes(64_000))
    with pytest.raises(BadAudio):
        probe(path, max_duration_s=60)


def test_a_rate_of_one_hertz_does_not_pass_the_duration_limit(tmp_path: Path) -> None:
    path = tmp_path / "slow.wav"
    path.write_bytes(wav_header(64_000, 1, 1) + bytes(64_000))
    with pytest.raises(TooLarge):
        probe(path, max_duration_s=60)
    with pytest.raises(TooLarge):
        decoded(path, tmp_path / "out.wav", max_duration_s=60)


@pytest.mark.parametrize("name", ["wav", "mp3", "aac", "flac", "ogg", "opus", "webm", "amr"])
def test_a_copy_that_was_interrupted_keeps_what_arrived(recordings: dict[str, Path], tmp_path: Path, name: str) -> None:
    content = recordings[name].read_bytes()
    path = tmp_path / "half"
    path.write_bytes(content[: len(content) // 2])
    probe(path, max_duration_s=60)
    assert decoded(path, tmp_path / "out.wav").duration_s == pytest.approx(2.1, abs=1.2)  # an Ogg page is a second


def damaged_from(recording: Path, tenths: int, path: Path) -> Path:
    """A copy whose sound is overwritten from so many tenths on; its index stays whole."""
    content = bytearray(recording.read_bytes())
    sound, index = content.index(b"mdat"), content.rindex(b"moov")
    assert sound < index
    start = sound + 4 + (index - sound) * tenths // 10
    content[start : index - 8] = b"\xff" * (index - 8 - start)
    path.write_bytes(content)
    return path


def test_damage_from_the_middle_on_keeps_the_beginning(recordings: dict[str, Path], tmp_path: Path) -> None:
    result = decoded(damaged_from(recordings["m4a"], 4, tmp_path / "damaged.m4a"), tmp_path / "out.wav")
    assert result.damaged_packets > 10
    assert 1 < result.duration_s < 4.5


def test_sound_without_a_whole_packet_is_refused(recordings: dict[str, Path], tmp_path: Path) -> None:
    path = damaged_from(recordings["m4a"], 0, tmp_path / "damaged.m4a")
    with pytest.raises(BadAudio):
        probe(path, max_duration_s=60)
    with pytest.raises(BadAudio, match="damaged"):
        decoded(path, tmp_path / "out.wav")


def test_a_cover_picture_of_megabytes_does_not_hide_the_sound(recordings: dict[str, Path], tmp_path: Path) -> None:
    noise = "nullsrc=s=1400x1400,geq=random(1)*255:128:128"
    ffmpeg("-f", "lavfi", "-i", noise, "-frames:v", 1, tmp_path / "cover.png")
    path = tmp_path / "song.mp3"
    ffmpeg("-i", recordings["mp3"], "-i", tmp_path / "cover.png", "-map", "0:a", "-map", "1:v", "-c", "copy", path)
    assert path.stat().st_size > 2_000_000
    path = path.rename(tmp_path / "song")
    assert probe(path, max_duration_s=60).media_type == "audio/mpeg"
    assert decoded(path, tmp_path / "out.wav").duration_s == pytest.approx(4.3, abs=0.3)


@pytest.mark.parametrize("name", ["concat:a|b.wav", "line\nbreak.wav", "http:x.wav", "-i.wav", "ố" * 80, "%d.wav"])
def test_any_name_can_be_opened(recordings: dict[str, Path], tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(recordings["wav"].read_bytes())
    assert probe(path, max_duration_s=60).container == "wav"


@pytest.mark.parametrize("count", [3, 6, 8, 9, 64])
def test_many_channels_are_mixed_or_refused(write_wav: Callable[..., Path], tmp_path: Path, count: int) -> None:
    tone = 0.1 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    path = write_wav(np.stack([tone] * count, axis=1))
    try:
        assert decoded(path, tmp_path / "out.wav").channels == 1
    except BadAudio as error:
        assert count > 8
        assert "convert" in error.fix


def test_the_written_mix_has_the_loudness_asked_for(write_wav: Callable[..., Path], tmp_path: Path) -> None:
    noise = np.random.default_rng(1).normal(0, 0.02, 5 * 44_100)
    path = write_wav(np.stack([noise, noise], axis=1), 44_100)
    for channels in ("mix", "split"):
        result = decoded(path, tmp_path / "out.wav", channels=channels, loudness_lufs=-23.0)
        written = measure_loudness(
            tmp_path / "out.wav", channels="split", max_duration_s=60, expected_s=5, on_progress=lambda share: None
        )
        assert written.lufs == pytest.approx(-23, abs=0.2)
        assert written.peak_dbfs <= PEAK_CEILING_DBFS + 0.2
        assert result.loudness_lufs is not None and result.gain_db is not None
        assert result.loudness_lufs + result.gain_db == pytest.approx(-23, abs=0.01)


def test_silence_is_not_amplified(write_wav: Callable[..., Path], tmp_path: Path) -> None:
    path = write_wav(np.zeros(16_000))
    assert lufs_of(path) == -70
    assert decoded(path, tmp_path / "out.wav", loudness_lufs=-23.0).gain_db == 0


def test_a_full_disk_is_the_stores_fault(sentence: Path) -> None:
    with pytest.raises(StoreFailed):
        decoded(sentence, Path("/dev/full"))


@pytest.mark.parametrize("loudness_lufs", [None, -23.0])
@pytest.mark.parametrize("expected_s", [None, 4.2])
def test_progress_grows_and_a_stop_ends_the_work(
    sentence: Path, tmp_path: Path, loudness_lufs: float | None, expected_s: float | None
) -> None:
    shares: list[float] = []

    def stop_at_the_third(share: float) -> None:
        shares.append(share)
        if len(shares) == 3:
            raise Stopped("stopped", fix="start again")

    with pytest.raises(Stopped):
        decode(sentence, tmp_path / "out.wav", channels="mix", loudness_lufs=loudness_lufs, max_duration_s=60,
               expected_s=expected_s, on_progress=stop_at_the_third)  # fmt: skip
    assert shares == sorted(shares)


async def test_the_steps_leave_audio_and_speech_in_the_jobs_folder(recordings: dict[str, Path]) -> None:
    files = open_store()
    source = files.put_file("jobs/a/source.mp3", recordings["mp3"])
    info = probe(recordings["mp3"], max_duration_s=60)
    made = await decode_step.fn("jobs/a", source, info, "mix", None)
    assert made.audio.key == "jobs/a/audio.wav"
    assert made.duration_s == pytest.approx(4.3, abs=0.2)
    found = await detect_speech_step.fn("jobs/a", made.audio, 0.5)
    speech = Speech.model_validate_json(files.read_bytes(found.key))
    assert found.key == "jobs/a/speech.json"
    assert speech.spans
    assert speech.duration_s == made.duration_s
