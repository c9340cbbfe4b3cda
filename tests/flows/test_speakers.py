"""Speakers and the guard in a whole job: labels in transcript and exports, removals recorded."""

from pathlib import Path

import numpy as np
import pytest

from blocks.errors import Unsupported
from blocks.job import JobOptions, JobResult
from blocks.settings import settings
from blocks.store import open_store
from blocks.transcript import Transcript
from flows import process_audio
from tests.blocks.diarisation.conftest import LINES, projection, save_model, talk  # noqa: F401 - a fixture
from tests.fakes.speech import serve_speech


def transcript_of(result: JobResult, name: str = "transcript.json") -> Transcript:
    return Transcript.model_validate_json(open_store().read_bytes(result.files[name].key))


@pytest.fixture
def speaker_model(tmp_path: Path, projection: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    """The settings name a model that tells flite's voices apart."""
    folder = tmp_path / "speaker-model"
    folder.mkdir()
    save_model(folder / "model.onnx", projection)
    monkeypatch.setenv("SPEAKER_MODEL", str(folder))
    settings.cache_clear()


async def test_voices_become_speakers_in_transcript_and_exports(
    prefect_api: str, tmp_path: Path, speaker_model: None
) -> None:
    conversation, _ = talk(tmp_path, 0.5, LINES[:2])
    options = JobOptions(diarise="cluster", speakers=2, features=("raw_transcript",))
    result = await process_audio(str(conversation), options)
    transcript = transcript_of(result)
    assert {segment.speaker for segment in transcript.segments} == {"Speaker 1", "Speaker 2"}
    assert transcript.segments[0].speaker == "Speaker 1"
    assert result.versions.diarisation is not None
    text = open_store().read_bytes(result.files["transcript.md"].key).decode()
    assert "Speaker 2" in text
    assert all(segment.speaker is None for segment in transcript_of(result, "recognised.json").segments)


async def test_a_diariser_that_is_not_here_is_refused_before_anything_is_done(prefect_api: str, sentence: Path) -> None:
    with pytest.raises(Unsupported, match="cluster") as raised:
        await process_audio(str(sentence), JobOptions(diarise="cluster"))
    assert "c500 models pull" in raised.value.fix


async def test_an_invented_sentence_is_taken_out_and_recorded(
    prefect_api: str, sentence: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve_speech(form="phantom") as server:
        monkeypatch.setenv("OPENAI_SPEECH_URL", server.url)
        settings.cache_clear()
        options = JobOptions(engine="openai", language="en", features=("raw_transcript",))
        guarded = await process_audio(str(sentence), options)
        unguarded = await process_audio(str(sentence), options.model_copy(update={"guard": False}))
    assert guarded.removed == 1
    [removal] = transcript_of(guarded).removed
    assert removal.reason == "phantom"
    assert "amara" in removal.text.lower()
    assert unguarded.removed == 0
    assert len(transcript_of(unguarded).segments) == len(transcript_of(guarded).segments) + 1
    assert len(server.requests) == 1  # the switch does not have the speech recognised again
