"""Recordings, spoken by flite when the tests run."""

import subprocess
from pathlib import Path

import pytest

SENTENCE = "Good morning everyone. Maria will call the customer before noon."


@pytest.fixture(scope="session")
def sentence(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few seconds of business English as WAV."""
    path = tmp_path_factory.mktemp("speech") / "sentence.wav"
    subprocess.run(["flite", "-voice", "rms", "-t", SENTENCE, "-o", str(path)], check=True)
    return path
