"""The bridge to pyannote.audio: what both of its versions give, offline, and each way in which it cannot be had.

The package itself is not installed with the tests; a stand-in has the signatures of 3.3 and 4.0.
"""

import os
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from blocks.audio import SAMPLE_RATE_HZ, Span
from blocks.diarisation.protocol import Turn
from blocks.diarisation.pyannote import PyannoteDiariser, turns_in
from blocks.errors import BadInput, EngineFailed, NotFound, Stopped, Unsupported
from blocks.settings import settings
from tests.blocks.diarisation.conftest import write_wav

SPEECH = [Span(start_s=0, end_s=3)]
LOCAL = "pipeline: {name: x.Y, params: {segmentation: $model/segmentation, clustering: VBxClustering}}"


class Annotation:
    """What `pyannote.core.Annotation` is asked for here."""

    def __init__(self, *tracks: tuple[float, float, str]) -> None:
        self._tracks = tracks

    def itertracks(self, yield_label: bool) -> Any:
        assert yield_label
        for number, (start, end, label) in enumerate(self._tracks):
            yield SimpleNamespace(start=start, end=end), number, label


class Pipeline:
    """A stand-in that finds the same turns in any recording."""

    loaded: Path | None = None
    failure: Exception | None = None

    @classmethod
    def from_pretrained(cls, checkpoint: Path) -> "Pipeline":
        cls.loaded = checkpoint
        return cls()

    def to(self, device: Any) -> None: ...

    def __call__(self, file: dict[str, Any], num_speakers: int | None, hook: Any) -> Annotation:
        assert tuple(file["waveform"].shape) == (1, 3 * file["sample_rate"])
        if self.failure:
            raise self.failure
        for step in ("segmentation", "embeddings"):
            for completed in range(3):
                hook(step, None, file=file, total=2, completed=np.float64(completed))
            hook(step, object(), file=file)
        return Annotation(*[(float(number), number + 1.0, f"S{number}") for number in range(num_speakers or 1)])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model in a folder of the user's own."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.yaml").write_text(LOCAL)
    monkeypatch.setenv("PYANNOTE_MODEL", str(folder))
    settings.cache_clear()
    return folder


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch) -> type[Pipeline]:
    """The stand-in, installed as `pyannote.audio`."""
    pytest.importorskip("torch")
    package, audio = ModuleType("pyannote"), ModuleType("pyannote.audio")
    kind = type("Pipeline", (Pipeline,), {})
    audio.Pipeline = kind  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pyannote", package)
    monkeypatch.setitem(sys.modules, "pyannote.audio", audio)
    monkeypatch.setattr("blocks.diarisation.pyannote.find_spec", lambda name: object())
    monkeypatch.setenv("PYANNOTE_METRICS_ENABLED", "true")
    return kind


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    return write_wav(tmp_path / "three-seconds.wav", np.zeros(3 * SAMPLE_RATE_HZ))


def ignore(share: float) -> None:
    """Take no notice of the progress."""


def test_both_versions_of_its_result_are_understood() -> None:
    overlapping = Annotation((2.0, 3.2, "B"), (-0.01, 2.5, "A"))
    exclusive = Annotation((2.2, 3.2, "B"), (-0.01, 2.2, "A"))
    old = turns_in(overlapping, 3.0)
    assert old == [Turn(start_s=0, end_s=2.5, speaker=0), Turn(start_s=2.0, end_s=3.0, speaker=1)]
    new = SimpleNamespace(speaker_diarization=overlapping, exclusive_speaker_diarization=exclusive)
    assert turns_in(new, 3.0)[1] == Turn(start_s=2.2, end_s=3.0, speaker=1)
    assert turns_in(SimpleNamespace(speaker_diarization=overlapping), 3.0) == old
    assert turns_in(Annotation(), 3.0) == []


def test_a_recording_is_diarised_offline_and_untracked(folder: Path, pipeline: type[Pipeline], recording: Path) -> None:
    shares: list[float] = []
    with PyannoteDiariser() as diariser:
        found = diariser.turns(recording, spans=SPEECH, speakers=2, on_progress=shares.append)
    assert [turn.speaker for turn in found] == [0, 1]
    assert shares == [0.0, 0.25, 0.5, 0.5, 0.75, 1.0]
    assert {type(share) for share in shares} == {float}
    assert pipeline.loaded == folder / "config.yaml"
    assert os.environ["PYANNOTE_METRICS_ENABLED"] == "false"


@pytest.mark.usefixtures("folder")
def test_without_speech_nothing_is_loaded(pipeline: type[Pipeline], recording: Path) -> None:
    assert PyannoteDiariser().turns(recording, spans=[], speakers=None, on_progress=ignore) == []
    assert pipeline.loaded is None


@pytest.mark.usefixtures("folder")
def test_what_fails_within_is_typed_and_a_stop_stops(pipeline: type[Pipeline], recording: Path) -> None:
    def stop(share: float) -> None:
        raise Stopped("cancelled", fix="start again")

    with pytest.raises(Stopped):
        PyannoteDiariser().turns(recording, spans=SPEECH, speakers=None, on_progress=stop)
    pipeline.failure = ValueError("no chunks")
    with pytest.raises(EngineFailed, match="no chunks"):
        PyannoteDiariser().turns(recording, spans=SPEECH, speakers=None, on_progress=ignore)
    with pytest.raises(BadInput, match="speakers is 0"):
        PyannoteDiariser().turns(recording, spans=SPEECH, speakers=0, on_progress=ignore)


@pytest.mark.usefixtures("pipeline")
@pytest.mark.parametrize("content", [": nonsense [", "", "pipeline: 3", None])
def test_a_damaged_configuration_is_named(folder: Path, content: str | None) -> None:
    config = folder / "config.yaml"
    config.unlink()
    if content is not None:
        config.write_text(content)
    with pytest.raises(EngineFailed, match="cannot be loaded"):
        PyannoteDiariser().load()


@pytest.mark.usefixtures("pipeline")
def test_a_configuration_that_would_ask_the_hub_is_refused(folder: Path) -> None:
    (folder / "config.yaml").write_text("pipeline: {name: x.Y, params: {segmentation: pyannote/segmentation-3.0}}")
    with pytest.raises(NotFound, match="from the hub"):
        PyannoteDiariser().load()


@pytest.mark.usefixtures("pipeline")
def test_an_absent_model_names_its_terms_and_its_pull() -> None:
    with pytest.raises(NotFound) as caught:
        PyannoteDiariser().load()
    assert "accept the terms of pyannote/" in caught.value.fix
    assert "c500 models pull" in caught.value.fix


def test_an_absent_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("blocks.diarisation.pyannote.find_spec", lambda name: None)
    with pytest.raises(Unsupported) as caught:
        PyannoteDiariser().load()
    assert caught.value.fix == "pip install 'c500[pyannote]'"
