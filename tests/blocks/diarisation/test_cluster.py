"""Two real voices come out as two, whatever the number asked for is as asked, and no fault goes unnamed."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from blocks.audio import SAMPLE_RATE_HZ, Span
from blocks.diarisation.cluster import ClusterDiariser
from blocks.diarisation.protocol import Turn
from blocks.errors import BadAudio, BadInput, EngineFailed, NotFound, Stopped, Unsupported
from blocks.settings import settings
from tests.blocks.diarisation.conftest import save_model, talk, write_wav

pytest.importorskip("kaldi_native_fbank")
pytest.importorskip("scipy")


ANY = np.ones((161, 3), np.float32)
"""A projection for models that nobody gets to use."""


def ignore(share: float) -> None:
    """Take no notice of the progress."""


@pytest.fixture
def diariser(tmp_path: Path, projection: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> ClusterDiariser:
    """With a model of the user's own, at the default threshold."""
    save_model(tmp_path / "voices" / "voice.onnx", projection)
    return named(tmp_path / "voices", monkeypatch)


def named(model: object, monkeypatch: pytest.MonkeyPatch) -> ClusterDiariser:
    monkeypatch.setenv("SPEAKER_MODEL", str(model))
    settings.cache_clear()
    return ClusterDiariser()


def share_right(found: list[Turn], true: list[Turn]) -> float:
    """The share of the true turns, in seconds, that the right speaker has."""
    right_s = sum(
        max(0.0, min(one.end_s, other.end_s) - max(one.start_s, other.start_s))
        for one in found
        for other in true
        if one.speaker == other.speaker
    )
    return right_s / sum(turn.end_s - turn.start_s for turn in true)


@pytest.mark.parametrize("speakers", [None, 2])
def test_two_voices_are_two_speakers(
    diariser: ClusterDiariser, conversation: tuple[Path, list[Turn]], spans: list[Span], speakers: int | None
) -> None:
    audio, true = conversation
    with diariser:
        found = diariser.turns(audio, spans=spans, speakers=speakers, on_progress=ignore)
    assert {turn.speaker for turn in found} == {0, 1}
    assert found[0].speaker == 0
    assert share_right(found, true) > 0.95


@pytest.mark.parametrize("pause_s", [0.5, 0.0])
def test_a_change_within_one_span_is_found(diariser: ClusterDiariser, tmp_path: Path, pause_s: float) -> None:
    audio, true = talk(tmp_path, pause_s)
    whole = Span(start_s=true[0].start_s, end_s=true[-1].end_s)
    found = diariser.turns(audio, spans=[whole], speakers=None, on_progress=ignore)
    assert share_right(found, true) > 0.9
    assert len(found) == len(true)
    assert (found[0].start_s, found[-1].end_s) == (whole.start_s, whole.end_s)


@pytest.mark.parametrize("speakers", [1, 3, 5])
def test_as_many_speakers_as_asked_for(
    diariser: ClusterDiariser, conversation: tuple[Path, list[Turn]], spans: list[Span], speakers: int
) -> None:
    found = diariser.turns(conversation[0], spans=spans, speakers=speakers, on_progress=ignore)
    assert len({turn.speaker for turn in found}) == speakers


def test_turns_are_in_order_and_within_the_spans(
    diariser: ClusterDiariser, conversation: tuple[Path, list[Turn]]
) -> None:
    audio, true = conversation
    random = np.random.default_rng(7)
    for _ in range(6):
        edges = np.sort(random.uniform(0, true[-1].end_s + 5, 16)).reshape(-1, 2)  # some beyond the end
        spans = [Span(start_s=float(start_s), end_s=float(end_s)) for start_s, end_s in edges]
        found = diariser.turns(audio, spans=spans, speakers=None, on_progress=ignore)
        assert all(turn.start_s < turn.end_s for turn in found)
        assert all(one.end_s <= other.start_s for one, other in pairwise(found))
        for turn in found:
            assert any(span.start_s <= turn.start_s and turn.end_s <= span.end_s for span in spans)
        first = {}
        for turn in found:
            first.setdefault(turn.speaker, len(first))
        assert all(speaker == order for speaker, order in first.items())


def test_without_speech_nothing_is_loaded(
    conversation: tuple[Path, list[Turn]], monkeypatch: pytest.MonkeyPatch
) -> None:
    diariser = named("nobody/has-this", monkeypatch)
    assert diariser.turns(conversation[0], spans=[], speakers=None, on_progress=ignore) == []
    beyond = [Span(start_s=5000, end_s=5010)]
    assert diariser.turns(conversation[0], spans=beyond, speakers=2, on_progress=ignore) == []


@pytest.mark.parametrize("loudness", [0, 3000], ids=["silence", "noise"])
def test_silence_and_the_shortest_span_are_somebody(diariser: ClusterDiariser, tmp_path: Path, loudness: int) -> None:
    samples = np.random.default_rng(1).normal(size=3 * SAMPLE_RATE_HZ) * loudness
    audio = write_wav(tmp_path / "noise.wav", samples)
    spans = [Span(start_s=0.5, end_s=0.51), Span(start_s=1, end_s=3)]
    found = diariser.turns(audio, spans=spans, speakers=None, on_progress=ignore)
    assert (found[0].start_s, found[0].end_s) == (0.5, 0.51)
    assert found[-1].end_s == 3


def test_progress_is_told_and_may_stop_the_work(
    diariser: ClusterDiariser, conversation: tuple[Path, list[Turn]], spans: list[Span]
) -> None:
    shares: list[float] = []
    diariser.turns(conversation[0], spans=spans, speakers=None, on_progress=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0

    def stop(share: float) -> None:
        raise Stopped("cancelled", fix="start again")

    with pytest.raises(Stopped):
        diariser.turns(conversation[0], spans=spans, speakers=None, on_progress=stop)


def test_info_names_model_and_settings_without_loading(monkeypatch: pytest.MonkeyPatch) -> None:
    info = named("nobody/has-this", monkeypatch).info()
    assert (info.name, info.model) == ("cluster", "nobody/has-this")
    assert info.settings["threshold"] == 0.5


# Faults


def test_a_model_that_is_not_here_is_named_with_its_pull(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotFound) as caught:
        named("nobody/has-this", monkeypatch).load()
    assert "c500 models pull" in caught.value.fix


def test_a_missing_package_is_named_with_its_installation(
    diariser: ClusterDiariser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("blocks.diarisation.cluster.find_spec", lambda name: None if name == "scipy" else object())
    with pytest.raises(Unsupported, match="scipy") as caught:
        diariser.load()
    assert "c500[diarise]" in caught.value.fix


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder: (folder / "voice.onnx").write_bytes(b"not a model"), "voice.onnx"),
        (lambda folder: (folder / "voice.onnx").write_bytes(b""), "voice.onnx"),
        (lambda folder: save_model(folder / "voice.onnx", ANY[:81], bins=40), "voice.onnx"),
        (lambda folder: save_model(folder / "voice.onnx", ANY, spoilt="flat"), "voice.onnx"),
        (lambda folder: save_model(folder / "voice.onnx", ANY, spoilt="nan"), "voice.onnx"),
        (lambda folder: None, "no \\*.onnx file"),
        (lambda folder: [(folder / name).touch() for name in ("a.onnx", "b.onnx")], "a.onnx, b.onnx"),
    ],
    ids=["corrupt", "empty", "other features", "other output", "not numbers", "none", "two"],
)
def test_an_unusable_model_is_named(
    make: Callable[[Path], object],
    said: str,
    conversation: tuple[Path, list[Turn]],
    spans: list[Span],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "broken"
    folder.mkdir()
    make(folder)
    with pytest.raises(EngineFailed, match=said):
        named(folder, monkeypatch).turns(conversation[0], spans=spans, speakers=None, on_progress=ignore)


def test_impossible_numbers_of_speakers_and_other_audio_are_refused(
    diariser: ClusterDiariser, spans: list[Span], conversation: tuple[Path, list[Turn]], tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match="speakers is 0"):
        diariser.turns(conversation[0], spans=spans, speakers=0, on_progress=ignore)
    stereo = write_wav(tmp_path / "stereo.wav", np.zeros(4 * SAMPLE_RATE_HZ), channels=2)
    with pytest.raises(BadAudio, match="stereo"):
        diariser.turns(stereo, spans=[Span(start_s=0, end_s=1)], speakers=None, on_progress=ignore)
