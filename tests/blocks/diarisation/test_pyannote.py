"""The bridge to pyannote.audio: what both of its versions give, offline, and each way in which it cannot be had.

The package itself is not installed with the tests; a stand-in has the signatures of 3.3 and 4.0.
"""

import json
import os
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import pytest

from blocks.audio import SAMPLE_RATE_HZ, Span
from blocks.diarisation.protocol import Turn
from blocks.diarisation.pyannote import PyannoteDiariser
from blocks.diarisation.pyannote_runtime import turns_in
from blocks.errors import BadInput, EngineFailed, NotFound, OutOfMemory, Stopped, Unsupported
from blocks.settings import settings
from tests.blocks.diarisation.conftest import write_wav

ROOT = Path(__file__).parents[3]
SPEECH = [Span(start_s=0, end_s=3)]
LOCAL = "pipeline: {name: x.Y, params: {segmentation: $model/segmentation, clustering: VBxClustering}}"


@dataclass
class FakePyannote:
    """How the stand-in behaves, and what it noted; see `tests/fakes/pyannote_package`."""

    control: Path

    def behaves(self, **how: Any) -> None:
        """From now on; what was said before is forgotten."""
        whole = self.control.with_suffix(".new")
        whole.write_text(json.dumps(how))
        whole.replace(self.control)

    def noted(self, key: str) -> list[Any]:
        """The values of one kind of note, oldest first."""
        log = self.control.with_suffix(".log")
        notes = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        return [note[key] for note in notes if key in note]


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
def pyannote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakePyannote:
    """The stand-in, installed for this process and its children, on the second GPU of a machine."""
    if find_spec("torch") is None:
        pytest.skip("torch is not installed")
    package = str(ROOT / "tests" / "fakes" / "pyannote_package")
    monkeypatch.syspath_prepend(package)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), package]))
    monkeypatch.setenv("PYANNOTE_METRICS_ENABLED", "true")
    monkeypatch.setenv("GPU_INDEX", "1")
    settings.cache_clear()
    fake = FakePyannote(tmp_path / "pyannote.json")
    fake.behaves()
    monkeypatch.setenv("C500_FAKE_PYANNOTE", str(fake.control))
    return fake


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    return write_wav(tmp_path / "three-seconds.wav", np.zeros(3 * SAMPLE_RATE_HZ))


def ignore(share: float) -> None:
    """Take no notice of the progress."""


class Annotation:
    """What `pyannote.core.Annotation` is asked for here; version 4 has NumPy's numbers in it."""

    def __init__(self, *tracks: tuple[float, float, str]) -> None:
        self._tracks = tracks

    def itertracks(self, yield_label: bool) -> Any:
        assert yield_label
        for number, (start, end, label) in enumerate(self._tracks):
            yield SimpleNamespace(start=np.float32(start), end=np.float32(end)), number, label


def test_both_versions_of_its_result_are_understood() -> None:
    overlapping = Annotation((2.0, 3.25, "B"), (-0.25, 2.5, "A"))
    exclusive = Annotation((2.25, 3.25, "B"), (-0.25, 2.25, "A"))
    old = turns_in(overlapping, 3.0)
    assert old == [[0, 2.5, 0], [2.0, 3.0, 1]]
    new = SimpleNamespace(speaker_diarization=overlapping, exclusive_speaker_diarization=exclusive)
    assert turns_in(new, 3.0)[1] == [2.25, 3.0, 1]
    assert turns_in(SimpleNamespace(speaker_diarization=overlapping), 3.0) == old
    assert turns_in(Annotation(), 3.0) == []
    assert json.dumps(old) == "[[0.0, 2.5, 0], [2.0, 3.0, 1]]"


def test_a_recording_is_diarised_offline_and_untracked_on_the_gpu_of_the_settings(
    folder: Path, pyannote: FakePyannote, recording: Path
) -> None:
    shares: list[float] = []
    with PyannoteDiariser() as diariser:
        assert diariser.turns(recording, spans=[], speakers=None, on_progress=ignore) == []
        assert pyannote.noted("speakers") == [], "without speech nothing is computed"
        found = diariser.turns(recording, spans=SPEECH, speakers=2, on_progress=shares.append)
    assert found == [Turn(start_s=0, end_s=1, speaker=0), Turn(start_s=1, end_s=2, speaker=1)]
    assert set(shares) <= {0.0, 1.0}
    assert shares[-1] == 1.0
    assert pyannote.noted("loaded") == [str(folder / "config.yaml")]
    assert pyannote.noted("environment") == [
        {
            "PYANNOTE_METRICS_ENABLED": "false",
            "HF_HUB_OFFLINE": "1",
            "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
            "CUDA_VISIBLE_DEVICES": "1",
        }
    ]


@pytest.mark.usefixtures("folder")
def test_what_fails_within_is_typed_and_the_next_recording_is_diarised(pyannote: FakePyannote, recording: Path) -> None:
    with PyannoteDiariser() as diariser:
        pyannote.behaves(failure="no chunks")
        with pytest.raises(EngineFailed, match="no chunks") as failed:
            diariser.turns(recording, spans=SPEECH, speakers=None, on_progress=ignore)
        assert failed.value.fix == "try diarise=cluster"
        pyannote.behaves(memory="run")
        with pytest.raises(OutOfMemory, match="does not fit"):
            diariser.turns(recording, spans=SPEECH, speakers=None, on_progress=ignore)
        with pytest.raises(BadInput, match="speakers is 0"):
            diariser.turns(recording, spans=SPEECH, speakers=0, on_progress=ignore)
        pyannote.behaves()
        assert len(diariser.turns(recording, spans=SPEECH, speakers=None, on_progress=ignore)) == 1
    assert len(pyannote.noted("loaded")) == 1


@pytest.mark.usefixtures("folder")
def test_a_stop_stops_while_it_computes_and_leaves_no_process(
    pyannote: FakePyannote, recording: Path, tmp_path: Path
) -> None:
    def stop(share: float) -> None:
        if pyannote.noted("speakers"):
            raise Stopped("cancelled", fix="start again")

    pyannote.behaves(gate=str(tmp_path / "never"))
    before = psutil.Process().children(recursive=True)
    with PyannoteDiariser() as diariser, pytest.raises(Stopped, match="cancelled"):
        diariser.turns(recording, spans=SPEECH, speakers=None, on_progress=stop)
    assert set(psutil.Process().children(recursive=True)) <= set(before)


def test_what_is_not_loaded_computes_nothing(recording: Path) -> None:
    with pytest.raises(Stopped):
        PyannoteDiariser().turns(recording, spans=SPEECH, speakers=None, on_progress=ignore)


@pytest.mark.parametrize("content", [": nonsense [", "", "pipeline: 3", None])
def test_a_damaged_configuration_is_named_before_anything_is_imported(
    folder: Path, pyannote: FakePyannote, content: str | None
) -> None:
    pyannote.behaves(import_error="it was imported")
    config = folder / "config.yaml"
    config.unlink()
    if content is not None:
        config.write_text(content)
    with pytest.raises(EngineFailed, match="cannot be loaded"):
        PyannoteDiariser().load()


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("how", "error", "words"),
    [
        ({"unusable": True}, EngineFailed, "cannot be loaded"),
        ({"memory": "load"}, OutOfMemory, "does not fit"),
        ({"import_error": "torchaudio has no AudioMetaData"}, Unsupported, "AudioMetaData"),
    ],
)
def test_a_pipeline_that_does_not_load_is_a_typed_error(
    pyannote: FakePyannote, how: dict[str, Any], error: type[Exception], words: str
) -> None:
    pyannote.behaves(**how)
    with pytest.raises(error, match=words):
        PyannoteDiariser().load()


@pytest.mark.usefixtures("pyannote")
def test_a_configuration_that_would_ask_the_hub_is_refused(folder: Path) -> None:
    (folder / "config.yaml").write_text("pipeline: {name: x.Y, params: {segmentation: pyannote/segmentation-3.0}}")
    with pytest.raises(NotFound, match="from the hub"):
        PyannoteDiariser().load()


@pytest.mark.usefixtures("pyannote")
def test_an_absent_model_names_its_terms_and_its_pull() -> None:
    with pytest.raises(NotFound) as caught:
        PyannoteDiariser().load()
    assert "accept the terms of pyannote/" in caught.value.fix
    assert "c500 models pull" in caught.value.fix


def test_an_absent_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("blocks.diarisation.pyannote.version", absent)
    with pytest.raises(Unsupported) as caught:
        PyannoteDiariser().load()
    assert caught.value.fix == "pip install 'c500[pyannote]'"
