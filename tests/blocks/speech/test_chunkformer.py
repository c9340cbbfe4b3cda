"""ChunkFormer on tiny random models: long recordings endlessly, short ones together, typed errors."""

import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from blocks.audio import Span
from blocks.errors import EngineFailed, NotFound
from blocks.settings import settings
from blocks.speech.chunkformer import ChunkFormerEngine
from blocks.speech.chunkformer_runtime import ChunkFormerRuntime, seconds_of, stretches
from blocks.transcript import Transcript
from tests.environment import settings_from, tiny_chunkformer_settings
from tests.fakes.voices import SENTENCES, speak

pytestmark = pytest.mark.torch


def heard(engine: ChunkFormerEngine, audio: Path, spans: Sequence[Span]) -> Transcript:
    return engine.transcribe(audio, spans=spans, language=None, hints=(), on_progress=lambda share: None)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Path, list[Span]]]:
    """Three short recordings and a long one."""
    folder = tmp_path_factory.mktemp("recordings")
    texts = [SENTENCES, SENTENCES[:2], SENTENCES[3:5], SENTENCES * 4]
    paths = [folder / f"{index}.wav" for index in range(len(texts))]
    return [(path, speak(path, text)) for path, text in zip(paths, texts, strict=True)]


@pytest.fixture(scope="module")
def loaded(tiny_chunkformer: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChunkFormerEngine]:
    """An engine for all tests of this module that change no setting: it takes seconds to load."""
    with settings_from(tiny_chunkformer_settings(tiny_chunkformer) | {"LOG_DIR": str(tmp_path_factory.mktemp("logs"))}):
        engine = ChunkFormerEngine()
        engine.load()
    with engine:
        yield engine


@pytest.fixture
def engine(loaded: ChunkFormerEngine, chunkformer: Path) -> ChunkFormerEngine:
    """The loaded engine, and the settings it has."""
    return loaded


def holders() -> set[int]:
    """Processes of ours that hold a model; one may be this module's engine."""
    return {child.pid for child in psutil.Process().children() if "blocks.inference.worker" in child.cmdline()}


@dataclass
class Cycles:
    """What came of loading two engines one after the other, each of which takes seconds."""

    alone: list[Transcript]
    """Of two short recordings by a transducer, one after the other."""
    together: list[Transcript]
    """The same at once."""
    cut: Transcript
    """Of the long recording, where pieces are 20 s at most."""
    left: set[int]
    """Processes that hold a model, and were not there before."""
    grown: int
    """Bytes of this process from the end of the first to the end of the second."""


@pytest.fixture(scope="module")
def cycles(
    loaded: ChunkFormerEngine,
    tiny_chunkformer: Path,
    recordings: list[tuple[Path, list[Span]]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Cycles:
    """A transducer is loaded, used and unloaded, then the model of the other tests with short pieces."""
    from tests.fakes.tiny_models import build_chunkformer

    transducer = build_chunkformer(tmp_path_factory.mktemp("models") / "rnnt", transducer=True)
    logs = {"LOG_DIR": str(tmp_path_factory.mktemp("logs"))}
    with settings_from(tiny_chunkformer_settings(transducer) | logs):
        heard(loaded, *recordings[3])  # what this process keeps of the first use of an engine is no leak
        me, before = psutil.Process(), holders()
        with ChunkFormerEngine() as engine:
            alone = [heard(engine, *recordings[index]) for index in (1, 2)]
            with ThreadPoolExecutor() as pool:
                together = list(pool.map(lambda index: heard(engine, *recordings[index]), (1, 2)))
    size = me.memory_info().rss
    short_pieces = {"CHUNKFORMER_TOTAL_BATCH_DURATION": "20"}
    with settings_from(tiny_chunkformer_settings(tiny_chunkformer) | logs | short_pieces):
        with ChunkFormerEngine() as engine:
            cut = heard(engine, *recordings[3])
        grown = me.memory_info().rss - size
    return Cycles(alone, together, cut, holders() - before, grown)


def test_a_file_comes_out_the_same_alone_and_in_a_batch(
    engine: ChunkFormerEngine, recordings: list[tuple[Path, list[Span]]]
) -> None:
    alone = [heard(engine, *one) for one in recordings]
    with ThreadPoolExecutor() as pool:
        together = list(pool.map(lambda one: heard(engine, *one), recordings))
    assert together == alone
    assert all(transcript.segments for transcript in alone)


def test_segments_of_a_long_recording_have_times_within_it(
    engine: ChunkFormerEngine, recordings: list[tuple[Path, list[Span]]]
) -> None:
    audio, spans = recordings[3]
    transcript = heard(engine, audio, spans)
    assert transcript.language == "vi"
    assert len(transcript.segments) > 3
    starts = [segment.start_s for segment in transcript.segments]
    assert starts == sorted(starts)
    assert all(segment.start_s < segment.end_s <= spans[-1].end_s for segment in transcript.segments)


def test_cutting_a_long_recording_between_spans_keeps_times(
    cycles: Cycles, recordings: list[tuple[Path, list[Span]]]
) -> None:
    _, spans = recordings[3]
    assert cycles.cut.segments[-1].start_s > spans[-1].end_s / 2


def test_a_segment_of_a_short_recording_is_its_span(
    engine: ChunkFormerEngine, recordings: list[tuple[Path, list[Span]]]
) -> None:
    audio, spans = recordings[0]
    transcript = heard(engine, audio, spans)
    places = {(span.start_s, span.end_s) for span in spans}
    assert {(segment.start_s, segment.end_s) for segment in transcript.segments} <= places


def test_a_transducer_works_as_well(cycles: Cycles) -> None:
    assert cycles.together == cycles.alone


def test_loading_and_unloading_leaves_no_process_and_no_memory(cycles: Cycles) -> None:
    assert cycles.left == set()
    assert cycles.grown < 4e6


@pytest.mark.soak
def test_two_hundred_cycles_leave_memory_flat(chunkformer: Path, recordings: list[tuple[Path, list[Span]]]) -> None:
    me, before = psutil.Process(), holders()
    sizes: list[Any] = []
    for _ in range(200):
        with ChunkFormerEngine() as engine:
            heard(engine, *recordings[1])
        sizes.append(me.memory_info().rss)
    assert holders() == before
    assert max(sizes[3:]) - sizes[2] < 4e6, [size // 1000 for size in sizes[::20]]


@pytest.mark.parametrize("name", ["config.yaml", "pytorch_model.bin", "vocab.txt"])
def test_a_missing_file_is_named(chunkformer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    folder = copy_of(chunkformer, tmp_path, monkeypatch)
    (folder / name).unlink()
    with pytest.raises(NotFound, match=name):
        ChunkFormerEngine().load()


def test_a_damaged_checkpoint_is_a_typed_error(
    chunkformer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = copy_of(chunkformer, tmp_path, monkeypatch) / "pytorch_model.bin"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(EngineFailed, match="cannot be loaded"):
        load_here(ChunkFormerEngine())


def test_a_checkpoint_of_another_model_is_a_typed_error(
    chunkformer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    weights = copy_of(chunkformer, tmp_path, monkeypatch) / "pytorch_model.bin"
    state = torch.load(weights, weights_only=True)
    del state["ctc.ctc_lo.bias"]
    torch.save(state, weights)
    with pytest.raises(EngineFailed, match=r"lacks 1 weights.*ctc_lo\.bias"):
        load_here(ChunkFormerEngine())


def load_here(engine: ChunkFormerEngine) -> None:
    """Load in this process, which has imported the package: one of its own takes seconds to."""
    ChunkFormerRuntime(**engine._config()).load()


def copy_of(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "model"
    shutil.copytree(model, folder)
    monkeypatch.setenv("CHUNKFORMER_MODEL_NAME", str(folder))
    settings.cache_clear()
    return folder


def test_long_recordings_are_cut_in_silence() -> None:
    spans = [(0.0, 10.0), (12.0, 20.0), (21.0, 35.0), (50.0, 52.0)]
    assert stretches(spans, 31) == [
        (0.0, 20.0),
        (21.0, 52.0),
    ]
    assert stretches([], 30) == []


def test_the_package_s_times_are_read() -> None:
    assert seconds_of("01:02:03:045") == pytest.approx(3723.045)
