"""Whisper of the real shapes with random weights on a GPU: batched speed, memory against the estimate, what stays.

Runs on a bare machine with Python 3.12, torch, transformers and numpy. What else it needs travels as wheels,
under 64 MB together:

    pip download --no-deps --python-version 3.12 --only-binary :all: -d wheels ctranslate2 faster-whisper tokenizers \\
        pydantic pydantic-core pydantic-settings python-dotenv annotated-types typing-inspection \\
        typing-extensions anyio sniffio idna structlog nvidia-ml-py
    pip install --no-index --no-deps wheels/*.whl        # on the machine
    python -m tests.bench gpu                            # there
"""

import gc
import os
import statistics
import sys
import tempfile
import time
import wave
from importlib.util import find_spec
from pathlib import Path
from typing import Any

NAME = "gpu"
UNIT = "x"
GOAL = 1.0
"""Batched, ours takes no longer than the plain loop of faster-whisper's batched pipeline."""

SHAPES = {
    # d_model, encoder layers, decoder layers, heads, mel bins: from the published configurations.
    "large-v3": (1280, 32, 32, 20, 128),
    "turbo": (1280, 32, 4, 20, 128),
}
DECODER_4B = {
    "vocab_size": 151_936, "hidden_size": 2560, "intermediate_size": 9728, "num_hidden_layers": 36,
    "num_attention_heads": 32, "num_key_value_heads": 8,
}  # fmt: skip
TINY_DECODER = {
    "vocab_size": 1000, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2,
}  # fmt: skip
PROMPTS, PROMPT_TOKENS, NEW_TOKENS = 16, 512, 64

TINY = {"tiny shape": (32, 1, 1, 2, 80)}
"""Only to see on a CPU that the benchmark runs; `--quick` without a GPU."""

SECONDS = 600


def missing() -> str | None:
    """What this benchmark lacks here."""
    for name in ("torch", "transformers"):
        if find_spec(name) is None:
            return f"needs {name}"
    from blocks.vram import gpu_count

    if not gpu_count() and not os.environ.get("C500_BENCH_GPU_DRY"):
        return "there is no GPU here (C500_BENCH_GPU_DRY=1 runs it with tiny shapes on the CPU, to try it)"
    return None


def measure(quick: bool) -> float:
    """The worst ratio of our time to the plain loop's; the rest is printed."""
    from blocks.vram import gpu_count

    on_gpu = gpu_count() > 0
    shapes = SHAPES if on_gpu else TINY
    with tempfile.TemporaryDirectory() as folder:
        _stand_in_for_decoders(Path(folder))
        audio = _noise(Path(folder) / "noise.wav", 120 if quick else SECONDS)
        worst = max(_shape(Path(folder), name, shape, audio, on_gpu) for name, shape in shapes.items())
    _decoder(on_gpu)
    return worst


def _shape(folder: Path, name: str, shape: tuple[int, ...], audio: Path, on_gpu: bool) -> float:
    from blocks.audio import Span
    from blocks.settings import settings
    from blocks.speech.whisper import WhisperEngine
    from blocks.wav import duration_of

    model = _random_whisper(folder / name.replace(" ", "-"), shape)
    os.environ |= {
        "WHISPER_MODEL_VARIANT": str(model),
        "WHISPER_DEVICE": "cuda" if on_gpu else "cpu",
        "WHISPER_COMPUTE_TYPE": "float16" if on_gpu else "float32",
        "WHISPER_BEAM_SIZE": "1",
    }
    settings.cache_clear()
    length_s = duration_of(audio)
    spans = [Span(start_s=start, end_s=start + 30.0) for start in range(0, int(length_s) - 29, 30)]
    before = _used()
    engine = WhisperEngine()
    need = engine.vram()
    if need is not None:
        engine.give(need.items_within(_total() - before))
    start = time.perf_counter()
    engine.load()
    load_s = time.perf_counter() - start
    ours, peak = [], 0
    for _ in range(4):
        start = time.perf_counter()
        engine.transcribe(audio, spans=spans, language="en", hints=(), on_progress=lambda share: None)
        ours.append(time.perf_counter() - start)
        peak = max(peak, _used() - before)
    start = time.perf_counter()
    engine.unload()
    unload_s = time.perf_counter() - start
    residual = max(0, _used() - before)
    plain = _plain_loop(model, audio, spans, engine._given, on_gpu)
    ratio = statistics.median(ours[1:]) / statistics.median(plain[1:])
    print(f"{name}: load {load_s:.1f} s, unload {unload_s:.2f} s, batches of {engine._given}")
    print(
        f"  RTF ours {statistics.median(ours[1:]) / length_s:.5f}, plain {statistics.median(plain[1:]) / length_s:.5f}"
    )
    if need is not None:
        estimate = need.at(engine._given)
        print(f"  memory: peak {peak / 1e9:.2f} GB, estimate {estimate / 1e9:.2f} GB ({peak / estimate - 1:+.0%})")
        print(f"  residual {residual / 1e6:.0f} MB")
    return ratio


def _decoder(on_gpu: bool) -> None:
    """Load, use and unload a decoder of 4 billion weights: one prompt after the other against all at once."""
    from blocks.inference.process import ModelProcess

    shape, device = (DECODER_4B, "cuda") if on_gpu else (TINY_DECODER, "cpu")
    before = _used()
    config = {"shape": shape, "device": device, "most": PROMPTS}
    process = ModelProcess("the decoder", "tests.bench.decoder_runtime:DecoderRuntime", lambda: config)
    start = time.perf_counter()
    process.start()
    load_s = time.perf_counter() - start
    prompts = [[(index * 7 + at) % 1000 for at in range(PROMPT_TOKENS)] for index in range(PROMPTS)]
    process.call({"prompts": prompts[:1], "new_tokens": 4}, lambda share: None)
    start = time.perf_counter()
    for prompt in prompts:
        process.call({"prompts": [prompt], "new_tokens": NEW_TOKENS}, lambda share: None)
    single_s = time.perf_counter() - start
    start = time.perf_counter()
    process.call({"prompts": prompts, "new_tokens": NEW_TOKENS}, lambda share: None)
    together_s = time.perf_counter() - start
    peak = _used() - before
    parameters = process.facts["parameters"]
    process.stop()
    made = PROMPTS * NEW_TOKENS
    print(f"decoder of {parameters / 1e9:.2f}e9 weights: load {load_s:.1f} s")
    print(f"  {made / single_s:.0f} tokens/s one by one, {made / together_s:.0f} tokens/s {PROMPTS} at once")
    residual, weights_gb = _used() - before, 2 * parameters / 1e9
    print(f"  memory {peak / 1e9:.2f} GB (weights {weights_gb:.2f} GB), residual {residual / 1e6:.0f} MB")


def _plain_loop(model: Path, audio: Path, spans: list[Any], batch_size: int, on_gpu: bool) -> list[float]:
    """Seconds of faster-whisper's own batched loop, run by run."""
    import numpy as np
    from faster_whisper import BatchedInferencePipeline, WhisperModel

    device, kind = ("cuda", "float16") if on_gpu else ("cpu", "float32")
    pipeline = BatchedInferencePipeline(WhisperModel(str(model), device=device, compute_type=kind))
    took: list[float] = []
    for _ in range(4):
        start = time.perf_counter()
        with wave.open(str(audio), "rb") as wav:
            samples = np.frombuffer(wav.readframes(wav.getnframes()), np.int16).astype(np.float32) / 32768
        clips = [{"start": span.start_s, "end": span.end_s} for span in spans]
        segments, _ = pipeline.transcribe(
            samples, language="en", clip_timestamps=clips, batch_size=batch_size, beam_size=1, word_timestamps=True
        )
        list(segments)
        took.append(time.perf_counter() - start)
    del pipeline
    gc.collect()
    return took


def _random_whisper(folder: Path, shape: tuple[int, ...]) -> Path:
    """A Whisper of the given shape; its random weights speak at greater length than people do."""
    from tests.fakes.tiny_models import build_whisper

    width, encoder_layers, decoder_layers, heads, mel_bins = shape
    return build_whisper(
        folder,
        width=width,
        layers=encoder_layers,
        decoder_layers=decoder_layers,
        heads=heads,
        mel_bins=mel_bins,
        quantization="float16",
    )


def _noise(path: Path, seconds: int) -> Path:
    import numpy as np

    samples = (np.random.default_rng(1).standard_normal(16_000 * seconds) * 3000).astype(np.int16)
    with wave.open(str(path), "wb") as wav:
        wav.setparams((1, 2, 16_000, 0, "NONE", ""))
        wav.writeframes(samples.tobytes())
    return path


def _used() -> int:
    from blocks.vram import Nvml, gpu_count

    return Nvml(0).used_bytes() if gpu_count() else 0


def _total() -> int:
    from blocks.vram import Nvml

    return Nvml(0).total_bytes()


def _stand_in_for_decoders(folder: Path) -> None:
    """faster-whisper imports PyAV at once, and we read WAV ourselves: without its 40 MB an empty module will do."""
    if find_spec("av") is None:
        (folder / "av.py").touch()
        sys.path.append(str(folder))
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(folder)]))
