"""Damaged files never crash, hang or leave litter: each ends in a typed error or a valid result."""

import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.tasks.audio.conftest import ffmpeg, to_amr

CODECS = {
    "a.wav": ["-ac", 2, "-ar", 44100],
    "b.mp3": ["-ac", 2, "-ar", 44100],
    "c.m4a": [],
    "d.flac": [],
    "e.ogg": ["-c:a", "libvorbis"],
    "f.opus": [],
    "g.webm": ["-c:a", "libopus"],
    "h.aac": [],
    "i.aiff": [],
    "j.ts": ["-c:a", "aac"],
}


@pytest.fixture(scope="session")
def bases(sentence: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second of speech in eleven formats."""
    folder = tmp_path_factory.mktemp("bases")
    for name, options in CODECS.items():
        ffmpeg("-ss", 0.3, "-t", 1, "-i", sentence, *options, folder / name)
    ffmpeg("-i", folder / "a.wav", "-ar", 8000, "-ac", 1, folder / "narrow.wav")
    to_amr(folder / "narrow.wav", folder / "k.amr")
    (folder / "narrow.wav").unlink()
    return folder


def outcomes(bases: Path, folder: Path, *, seed: int, count: int) -> Counter[str]:
    """Run the damaged files in a process of their own; fails with the file that ended it."""
    shutil.copytree(bases, folder / "bases")
    command = [sys.executable, "-m", "tests.tasks.audio.mutations", str(folder), str(seed), str(count)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60 + count)
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.returncode == 0, f"{lines[-1:]} ended the process with {result.returncode}: {result.stderr[-3000:]}"
    assert lines[-1]["peak_rss_bytes"] < 400e6
    assert {path.name for path in folder.iterdir()} <= {"bases", "damaged", "target.wav"}
    found = Counter(line["outcome"] for line in lines if "outcome" in line)
    assert found.total() == count
    return found


def test_eighty_damaged_files(bases: Path, tmp_path: Path) -> None:
    found = outcomes(bases, tmp_path, seed=500, count=80)
    assert found["ok"] > 10
    assert found["AUDIO_DECODE_ERROR"] > 10


@pytest.mark.soak
def test_three_thousand_damaged_files(bases: Path, tmp_path: Path) -> None:
    found = outcomes(bases, tmp_path, seed=7, count=3000)
    print(f"3,000 damaged files: {dict(found)}")
    assert found["ok"] > 300
    assert found["AUDIO_DECODE_ERROR"] > 300
