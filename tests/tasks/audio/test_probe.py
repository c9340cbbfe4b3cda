"""What a file is, by its content."""

from pathlib import Path

import pytest

from blocks.errors import BadAudio, TooLarge
from tasks.audio.probe import media_type_of, probe

MEDIA_TYPES = {
    "wav": "audio/wav", "mp3": "audio/mpeg", "m4a": "audio/mp4", "aac": "audio/aac", "flac": "audio/flac",
    "ogg": "audio/ogg", "opus": "audio/ogg", "webm": "audio/webm", "amr": "audio/amr", "mp4": "audio/mp4",
}  # fmt: skip


@pytest.mark.parametrize("name", MEDIA_TYPES)
def test_every_format_is_recognised_by_its_content(recordings: dict[str, Path], tmp_path: Path, name: str) -> None:
    misnamed = tmp_path / "recording.txt"
    misnamed.write_bytes(recordings[name].read_bytes())
    info = probe(misnamed, max_duration_s=60)
    assert info.media_type == MEDIA_TYPES[name]
    assert info.channels == 1
    assert info.duration_s is None or 3 < info.duration_s < 6


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"Dear all, this is a letter." * 50, "no"),
        (b"\0" * 5000, "no"),
        (b"#EXTM3U\n#EXTINF:10,\nhttp://127.0.0.1/secret.wav\n", "no"),
        (b"ffconcat version 1.0\nfile '/etc/passwd'\n", "no"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 100, "no"),
    ],
)
def test_what_is_no_recording_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "fake.wav"
    path.write_bytes(content)
    with pytest.raises(BadAudio, match=says):
        probe(path, max_duration_s=60)
    assert media_type_of(path) is None


@pytest.mark.parametrize("name", ["wav", "mp3", "m4a", "flac", "ogg", "webm"])
def test_a_file_cut_before_its_first_frame_is_refused(recordings: dict[str, Path], tmp_path: Path, name: str) -> None:
    path = tmp_path / f"cut.{name}"
    path.write_bytes(recordings[name].read_bytes()[:40])
    with pytest.raises(BadAudio):
        probe(path, max_duration_s=60)


def test_a_film_without_sound_is_refused(tmp_path: Path) -> None:
    from tests.tasks.audio.conftest import ffmpeg

    film = tmp_path / "silent.mp4"
    ffmpeg("-f", "lavfi", "-i", "color=black:s=64x64:r=5:d=1", "-c:v", "mpeg4", film)
    with pytest.raises(BadAudio, match="no audio stream"):
        probe(film, max_duration_s=60)


def test_a_recording_over_the_limit_is_refused(sentence: Path) -> None:
    with pytest.raises(TooLarge, match="limit is 2 s"):
        probe(sentence, max_duration_s=2)
