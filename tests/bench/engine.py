"""Our transcription over the library's own loop: same tiny model, same audio, worst of Whisper and ChunkFormer."""

import os
import statistics
import tempfile
import time
import wave
from collections.abc import Callable
from pathlib import Path

from tests.bench import tiny

NAME = "engine"
UNIT = "x"
GOAL = 1.03

missing = tiny.missing

SPAN_S = 25.0
PAUSE_S = 5.0


def measure(quick: bool) -> float:
    """Median of the paired ratios, each without loading; the worse of the two engines."""
    with tempfile.TemporaryDirectory() as folder:
        seconds, runs = (120, 3) if quick else (600, 16)
        audio = tiny.speech(Path(folder) / "speech.wav", seconds)
        return max(_whisper(Path(folder), audio, runs), _chunkformer(Path(folder), audio, runs))


def _spans(audio: Path) -> list:
    from blocks.audio import Span
    from blocks.wav import duration_of

    count = int(duration_of(audio) // (SPAN_S + PAUSE_S))
    starts = [index * (SPAN_S + PAUSE_S) for index in range(count)]
    return [Span(start_s=start_s, end_s=start_s + SPAN_S) for start_s in starts]


def _whisper(folder: Path, audio: Path, runs: int) -> float:
    import numpy as np
    from faster_whisper import BatchedInferencePipeline, WhisperModel

    from blocks.speech.whisper import CPU_BATCH, WhisperEngine

    model = tiny.use_whisper(folder, layers=4)
    spans = _spans(audio)
    pipeline = BatchedInferencePipeline(
        WhisperModel(str(model), device="cpu", compute_type="float32", cpu_threads=os.cpu_count() or 1)
    )

    def own_loop() -> None:
        with wave.open(str(audio), "rb") as wav:
            samples = np.frombuffer(wav.readframes(wav.getnframes()), np.int16).astype(np.float32) / 32768
        clips = [{"start": span.start_s, "end": span.end_s} for span in spans]
        segments, _ = pipeline.transcribe(
            samples, language="en", clip_timestamps=clips, batch_size=CPU_BATCH, beam_size=1, word_timestamps=True
        )
        list(segments)

    with WhisperEngine() as engine:
        return _ratio("Whisper", lambda: _ours(engine, audio, spans), own_loop, runs)


def _chunkformer(folder: Path, audio: Path, runs: int) -> float:
    from chunkformer import ChunkFormerModel

    from blocks.audio import Span
    from blocks.settings import settings
    from blocks.speech.chunkformer import ChunkFormerEngine
    from blocks.wav import duration_of
    from tests.fakes.tiny_models import build_chunkformer

    os.environ |= {"TQDM_DISABLE": "1", "CHUNKFORMER_DEVICE": "cpu"}
    os.environ["CHUNKFORMER_MODEL_NAME"] = str(build_chunkformer(folder / "chunkformer"))
    settings.cache_clear()
    model = ChunkFormerModel.from_pretrained(os.environ["CHUNKFORMER_MODEL_NAME"])
    spans = [Span(start_s=0.0, end_s=duration_of(audio))]
    with ChunkFormerEngine() as engine:
        return _ratio(
            "ChunkFormer", lambda: _ours(engine, audio, spans), lambda: model.endless_decode(str(audio)), runs
        )


def _ours(engine, audio: Path, spans: list) -> None:
    engine.transcribe(audio, spans=spans, language=None, hints=(), on_progress=lambda share: None)


def _ratio(name: str, ours: Callable[[], object], own_loop: Callable[[], object], runs: int) -> float:
    """Median of the ratios of runs in turn, each first every other time, after one run of each to warm up."""
    ratios, times = [], ([], [])
    for turn in range(runs + 1):
        pair = [_time(ours), _time(own_loop)] if turn % 2 else [_time(own_loop), _time(ours)][::-1]
        if turn:
            ratios.append(pair[0] / pair[1])
            for series, took_s in zip(times, pair, strict=True):
                series.append(took_s)
    ratio = statistics.median(ratios)
    print(
        f"{name}: ours {statistics.median(times[0]):.2f} s, own loop {statistics.median(times[1]):.2f} s, {ratio:.3f}"
    )
    return ratio


def _time(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
