"""Whisper on a tiny random model: the same words alone and in a batch, typed errors, memory given back."""

import shutil
import struct
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from blocks.audio import Span
from blocks.content import content_hash
from blocks.errors import EngineFailed, NotFound, OutOfMemory, Stopped, Unsupported
from blocks.settings import settings
from blocks.speech.whisper import WhisperEngine, segments_of
from blocks.speech.whisper_weights import read_shape
from blocks.transcript import Transcript
from tests.environment import settings_from, tiny_whisper_settings
from tests.fakes.voices import SENTENCES, speak

pytestmark = pytest.mark.torch


def ignore(share: float) -> None:
    """Progress that nobody looks at."""


def heard(
    engine: WhisperEngine, audio: Path, spans: Sequence[Span], language: str | None = "en", hints: Sequence[str] = ()
) -> Transcript:
    return engine.transcribe(audio, spans=spans, language=language, hints=hints, on_progress=ignore)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Path, list[Span]]]:
    """Four recordings of different sentences and lengths, with their spans."""
    folder = tmp_path_factory.mktemp("recordings")
    texts = [SENTENCES, SENTENCES[:2], SENTENCES[3:5] * 8, tuple(reversed(SENTENCES))]
    paths = [folder / f"{index}.wav" for index in range(len(texts))]
    return [(path, speak(path, text)) for path, text in zip(paths, texts, strict=True)]


@pytest.fixture(scope="module")
def loaded(tiny_whisper: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WhisperEngine]:
    """An engine for all tests of this module that change no setting."""
    with settings_from(tiny_whisper_settings(tiny_whisper) | {"LOG_DIR": str(tmp_path_factory.mktemp("logs"))}):
        engine = WhisperEngine()
        engine.load()
    with engine:
        yield engine


@pytest.fixture
def engine(loaded: WhisperEngine, whisper: Path) -> WhisperEngine:
    """The loaded engine, and the settings it has."""
    return loaded


@pytest.fixture(scope="module")
def plain(
    loaded: WhisperEngine,
    tiny_whisper: Path,
    recordings: list[tuple[Path, list[Span]]],
    tmp_path_factory: pytest.TempPathFactory,
) -> list[Transcript]:
    """What the loaded engine hears in each recording, one after the other."""
    with settings_from(tiny_whisper_settings(tiny_whisper) | {"LOG_DIR": str(tmp_path_factory.mktemp("logs"))}):
        return [heard(loaded, audio, spans) for audio, spans in recordings]


def alike(one: object, other: object) -> bool:
    """Equal, but for the last digits of figures: sums of another order within a batch differ by 1e-7."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(alike(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(alike, one, other))
    return one == pytest.approx(other, abs=2e-4) if isinstance(one, float) else one == other


def test_a_file_comes_out_the_same_alone_and_in_a_batch(
    engine: WhisperEngine, plain: list[Transcript], recordings: list[tuple[Path, list[Span]]]
) -> None:
    with ThreadPoolExecutor() as pool:
        together = list(pool.map(lambda one: heard(engine, *one), recordings))
    assert alike([one.model_dump() for one in together], [one.model_dump() for one in plain])
    assert len({transcript.text for transcript in plain}) == len(plain)


def test_words_lie_within_the_speech_they_come_from(
    plain: list[Transcript], recordings: list[tuple[Path, list[Span]]]
) -> None:
    _, spans = recordings[0]
    words = [word for segment in plain[0].segments for word in segment.words]
    assert words
    for word in words:
        assert any(span.start_s - 1e-3 <= word.start_s <= word.end_s <= span.end_s + 1e-3 for span in spans)
    assert [word.start_s for word in words] == sorted(word.start_s for word in words)
    for segment in plain[0].segments:
        assert segment.avg_logprob is not None and segment.no_speech_prob is not None


def test_without_word_times_the_engine_s_own_segments_stand(
    whisper: Path, recordings: list[tuple[Path, list[Span]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHISPER_WORD_TIMESTAMPS", "false")
    settings.cache_clear()
    audio, spans = recordings[0]
    with WhisperEngine() as engine:
        transcript = heard(engine, audio, spans)
    assert transcript.segments
    assert not any(segment.words for segment in transcript.segments)


def test_the_language_is_detected_with_a_probability(
    engine: WhisperEngine, recordings: list[tuple[Path, list[Span]]]
) -> None:
    detected = heard(engine, *recordings[0], language=None)
    given = heard(engine, *recordings[0], language="vi")
    assert detected.language in {"en", "vi", "fr"}
    assert 0 < (detected.language_probability or 0) <= 1
    assert (given.language, given.language_probability) == ("vi", None)


def test_an_unknown_language_is_refused(engine: WhisperEngine, recordings: list[tuple[Path, list[Span]]]) -> None:
    with pytest.raises(Unsupported, match="'tlh'"):
        heard(engine, *recordings[0], language="tlh")


@pytest.mark.parametrize(
    ("name", "value"), [("WHISPER_INITIAL_PROMPT", "word1 word2 word3"), ("WHISPER_BEAM_SIZE", "5")]
)
def test_search_and_prompt_reach_the_model(
    whisper: Path,
    plain: list[Transcript],
    recordings: list[tuple[Path, list[Span]]],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    value: str,
) -> None:
    monkeypatch.setenv(name, value)
    settings.cache_clear()
    with WhisperEngine() as engine:
        changed = heard(engine, *recordings[0])
    assert changed.text != plain[0].text
    assert changed.engine != plain[0].engine


def test_hints_reach_the_model(
    engine: WhisperEngine, plain: list[Transcript], recordings: list[tuple[Path, list[Span]]]
) -> None:
    hinted = heard(engine, *recordings[0], hints=("word4", "word5"))
    assert hinted.text != plain[0].text


def test_doubtful_windows_are_tried_at_the_next_temperature(
    whisper: Path,
    plain: list[Transcript],
    recordings: list[tuple[Path, list[Span]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Random weights are always doubtful (logprob under -1), so every window is tried again and the best kept."""
    monkeypatch.setenv("WHISPER_TEMPERATURES", "0,1.0")
    settings.cache_clear()
    with WhisperEngine() as engine:
        tried = heard(engine, *recordings[0])
    best = {segment.avg_logprob for segment in plain[0].segments}
    assert all((segment.avg_logprob or 0) >= min(best, default=0) for segment in tried.segments)  # type: ignore[type-var]


def test_the_size_of_batches_changes_nothing_but_the_steps_of_the_progress(
    whisper: Path, plain: list[Transcript], recordings: list[tuple[Path, list[Span]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHISPER_BATCH_SIZE", "1")
    settings.cache_clear()
    audio, spans = recordings[2]
    shares: list[float] = []
    with WhisperEngine() as engine:
        made = engine.transcribe(audio, spans=spans, language="en", hints=(), on_progress=shares.append)
    assert alike(made.model_dump(), plain[2].model_dump())
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert any(0 < share < 1 for share in shares)


def test_a_cancelled_transcription_stops_and_the_next_one_works(
    engine: WhisperEngine, recordings: list[tuple[Path, list[Span]]]
) -> None:
    def stop(share: float) -> None:
        raise Stopped("transcribe was cancelled", fix="start again")

    audio, spans = recordings[2]
    with pytest.raises(Stopped):
        engine.transcribe(audio, spans=spans, language="en", hints=(), on_progress=stop)
    assert heard(engine, *recordings[1]).segments


def holders() -> set[int]:
    """Processes of ours that hold a model; one may be this module's engine."""
    return {child.pid for child in psutil.Process().children() if "blocks.inference.worker" in child.cmdline()}


def test_loading_and_unloading_leaves_no_process_and_no_memory(
    whisper: Path, plain: list[Transcript], recordings: list[tuple[Path, list[Span]]]
) -> None:
    me, before = psutil.Process(), holders()
    sizes = [cycle(recordings[1]) and me.memory_info().rss for _ in range(4)]
    assert holders() == before
    assert max(sizes[2:]) - sizes[1] < 4e6


def cycle(recording: tuple[Path, list[Span]]) -> Transcript:
    with WhisperEngine() as engine:
        return heard(engine, *recording)


@pytest.mark.soak
def test_two_hundred_cycles_leave_memory_flat(whisper: Path, recordings: list[tuple[Path, list[Span]]]) -> None:
    me, before = psutil.Process(), holders()
    sizes = [cycle(recordings[1]) and me.memory_info().rss for _ in range(200)]
    assert holders() == before
    assert max(sizes[3:]) - sizes[2] < 4e6, [size // 1000 for size in sizes[::20]]


@pytest.mark.soak
def test_the_process_that_holds_the_model_does_not_grow(
    whisper: Path, recordings: list[tuple[Path, list[Span]]]
) -> None:
    with WhisperEngine() as engine:
        sizes = []
        for _ in range(300):
            heard(engine, *recordings[1])
            sizes.append(psutil.Process(engine._process.pid).memory_info().rss)
    assert max(sizes[250:]) - max(sizes[50:100]) < 8e6, [size // 1000 for size in sizes[::30]]


# Wrong models


def copy_of(whisper: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "model"
    shutil.copytree(whisper, folder)
    monkeypatch.setenv("WHISPER_MODEL_VARIANT", str(folder))
    settings.cache_clear()
    return folder


def test_a_number_type_that_this_device_lacks_names_those_it_has(
    whisper: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHISPER_COMPUTE_TYPE", "float16")
    settings.cache_clear()
    with pytest.raises(Unsupported, match="cannot compute in float16") as raised:
        WhisperEngine().load()
    assert "int8" in raised.value.fix


def test_missing_weights_name_the_command(whisper: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (copy_of(whisper, tmp_path, monkeypatch) / "model.bin").unlink()
    with pytest.raises(NotFound) as raised:
        WhisperEngine().load()
    assert "c500 models pull" in raised.value.fix


def test_a_model_that_is_not_here_names_the_command(whisper: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHISPER_MODEL_VARIANT", "large-v3")
    settings.cache_clear()
    with pytest.raises(NotFound) as raised:
        WhisperEngine()
    assert raised.value.fix == "c500 models pull large-v3"


@pytest.mark.parametrize("left", [0, 3, 40, 5_000, -10_000])
def test_a_cut_off_file_is_damaged(whisper: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: int) -> None:
    weights = copy_of(whisper, tmp_path, monkeypatch) / "model.bin"
    weights.write_bytes(weights.read_bytes()[:left])
    with pytest.raises(EngineFailed, match="damaged or cut short"):
        WhisperEngine().load()


def test_another_architecture_is_refused(whisper: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = copy_of(whisper, tmp_path, monkeypatch) / "model.bin"
    name = b"TransformerSpec\0"
    weights.write_bytes(struct.pack("IH", 6, len(name)) + name + bytes(100))
    with pytest.raises(Unsupported, match="TransformerSpec"):
        WhisperEngine().load()


def test_a_damaged_tokenizer_is_a_typed_error(whisper: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (copy_of(whisper, tmp_path, monkeypatch) / "tokenizer.json").write_text("{")
    with pytest.raises(EngineFailed):
        WhisperEngine().load()


def test_running_out_of_memory_goes_on_in_a_smaller_number_type(
    whisper: Path, recordings: list[tuple[Path, list[Span]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The runtime of this test says that float32 does not fit; int8 does."""
    monkeypatch.setattr("blocks.speech.whisper.RUNTIME", "tests.fakes.narrow_whisper:NarrowWhisper")
    monkeypatch.setitem(__import__("blocks.speech.whisper", fromlist=["x"]).SMALLER_TYPE, "float32", "int8")
    with WhisperEngine() as engine, ThreadPoolExecutor() as pool:
        together = list(pool.map(lambda one: heard(engine, *one), recordings))
    assert {transcript.engine.settings["compute_type"] for transcript in together} == {"int8"}
    monkeypatch.setenv("COMPUTE_FALLBACK", "false")
    settings.cache_clear()
    with WhisperEngine() as engine, pytest.raises(OutOfMemory) as raised:
        heard(engine, *recordings[0])
    assert raised.value.fix


# What a model needs


def test_the_shape_is_read_from_the_file(whisper: Path) -> None:
    shape = read_shape(whisper)
    assert (shape.width, shape.encoder_layers, shape.decoder_layers, shape.mel_bins) == (32, 1, 1, 80)
    assert shape.weights_bytes("float32") == pytest.approx((whisper / "model.bin").stat().st_size, rel=0.05)


@pytest.mark.parametrize("turns", [10, *(pytest.param(turns, marks=pytest.mark.soak) for turns in (40, 80))])
def test_memory_stays_bounded_however_long_the_recording(
    whisper: Path,
    tmp_path: Path,
    recordings: list[tuple[Path, list[Span]]],
    monkeypatch: pytest.MonkeyPatch,
    turns: int,
) -> None:
    """Windows are read as they are computed: the samples of all of this recording would take twice its file."""
    monkeypatch.setenv("WHISPER_BATCH_SIZE", "2")  # what a batch takes is small beside the recording
    settings.cache_clear()
    audio, spans = recordings[2]
    long = tmp_path / "long.wav"
    subprocess.run(
        ["ffmpeg", "-loglevel", "error", "-stream_loop", str(turns - 1), "-i", str(audio), "-c", "copy", str(long)],
        check=True,
    )
    samples = long.stat().st_size * 2
    assert samples > 35e6
    length_s = spans[-1].end_s + 1.0
    many = [
        Span(start_s=span.start_s + turn * length_s, end_s=span.end_s + turn * length_s)
        for turn in range(turns)
        for span in spans
    ]
    with WhisperEngine() as engine:
        process = psutil.Process(engine._process.pid)
        heard(engine, long, many[: len(many) // 8])
        before = process.memory_info().rss
        heard(engine, long, many)
        assert process.memory_info().rss - before < samples / 2


@pytest.mark.parametrize("words", [[(4.99, 4.99, " a", 0.5)], [(0.0, 0.0, " a", 0.5)], []])
def test_a_word_at_one_instant_becomes_a_segment_that_lasts(words: list[tuple[float, float, str, float]]) -> None:
    heard = {"start_s": 3.0, "end_s": 3.0, "text": " a", "avg_logprob": -0.1, "no_speech_prob": 0.0, "words": words}
    [segment] = segments_of({"parts": [(10.0, 15.0)], "segments": [heard]})
    assert 10.0 <= segment.start_s < segment.end_s <= 15.0


def test_swapped_weights_in_a_folder_of_one_s_own_are_another_engine(
    whisper: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = copy_of(whisper, tmp_path, monkeypatch)
    before = WhisperEngine().info()
    weights = (folder / "model.bin").read_bytes()
    (folder / "model.bin").write_bytes(weights[:-1] + bytes([weights[-1] ^ 1]))
    assert content_hash(WhisperEngine().info()) != content_hash(before)


def test_a_missing_tokenizer_is_named(whisper: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (copy_of(whisper, tmp_path, monkeypatch) / "tokenizer.json").unlink()
    with pytest.raises(NotFound, match=r"tokenizer\.json"):
        WhisperEngine().load()
