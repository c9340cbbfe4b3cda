"""Every diariser says what it lacks, and is built without loading anything."""

import pytest

from blocks.diarisation import registry
from blocks.diarisation.registry import choose, entries
from blocks.errors import Unsupported


@pytest.fixture
def everything_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "find_spec", lambda name: object())
    monkeypatch.setattr(registry, "find", lambda name: object())


def test_both_diarisers_are_listed() -> None:
    assert [entry.name for entry in entries()] == ["cluster", "pyannote"]
    assert all(entry.description for entry in entries())


@pytest.mark.usefixtures("everything_installed")
@pytest.mark.parametrize(("name", "kind"), [("cluster", "ClusterDiariser"), ("pyannote", "PyannoteDiariser")])
def test_a_diariser_that_is_there_is_built(name: str, kind: str) -> None:
    assert type(choose(name)).__name__ == kind


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(Unsupported, match="'best'") as caught:
        choose("best")
    assert "cluster, pyannote" in caught.value.fix


@pytest.mark.usefixtures("everything_installed")
@pytest.mark.parametrize(
    ("name", "absent", "fix"),
    [
        ("cluster", "kaldi_native_fbank", "pip install 'c500[diarise]'"),
        ("cluster", "scipy", "pip install 'c500[diarise]'"),
        ("pyannote", "pyannote", "pip install 'c500[pyannote]'"),
        ("pyannote", "pyannote.audio", "pip install 'c500[pyannote]'"),
    ],
)
def test_a_missing_package_is_named(name: str, absent: str, fix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "find_spec", lambda asked: None if asked == absent else object())
    with pytest.raises(Unsupported) as caught:
        choose(name)
    assert caught.value.fix == fix


@pytest.mark.usefixtures("everything_installed")
@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("cluster", "Wespeaker/wespeaker-voxceleb-resnet34-LM"),
        ("pyannote", "pyannote/speaker-diarization-community-1"),
    ],
)
def test_a_model_that_is_not_here_is_named_with_its_pull(
    name: str, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "find", lambda name: None)
    with pytest.raises(Unsupported) as caught:
        choose(name)
    assert caught.value.fix == f"c500 models pull {model}"


def test_what_is_missing_is_said_on_this_machine_too() -> None:
    for entry in entries():
        missing = entry.missing()
        if missing is not None:
            assert missing.startswith(("pip install", "c500 models pull"))
