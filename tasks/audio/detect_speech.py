"""Where there is speech: Silero VAD over the decoded audio, in constant memory."""

import wave
from array import array
from collections.abc import Iterator
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blocks.audio import SAMPLE_RATE_HZ, Span, Speech
from blocks.errors import Unsupported
from blocks.progress import OnProgress, in_thread, progress
from blocks.steps import step
from blocks.store import open_store
from blocks.store.files import FileRef
from tasks.audio.spans import WINDOW_SAMPLES, spans_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CONTEXT_SAMPLES = 64
"""Samples of the window before that Silero VAD v6 sees with each window."""

STATE_SIZE = 128
BATCH_WINDOWS = 512
"""16 s of audio a call: about 1.2 MB of input, and few calls."""


@step("detect-speech", timeout_s=3600, tags=("cpu",))
async def detect_speech_step(folder: str, audio: FileRef, threshold: float) -> FileRef:
    """Write `speech.json`: the spans with speech, as `Speech`."""
    files = open_store()
    with files.local(audio.key) as path:
        async with progress("detect-speech") as on_progress:
            speech = await in_thread(detect_speech, path, threshold=threshold, on_progress=on_progress)
    content = speech.model_dump_json(indent=2).encode()
    return await in_thread(files.put_bytes, f"{folder}/speech.json", content, "application/json")


def detect_speech(audio: Path, *, threshold: float, on_progress: OnProgress) -> Speech:
    """Find the spans with speech on each channel of a 16 kHz PCM16 WAV file.

    Args:
        audio: The file, as `decode` writes it.
        threshold: Speech probability above which a window of 32 ms counts as speech.
        on_progress: Called with the share done.

    Source: Silero VAD v6, the ONNX file that faster-whisper carries.
    """
    with wave.open(str(audio), "rb") as wav:
        channels, total = wav.getnchannels(), wav.getnframes()
        probabilities = [array("f") for _ in range(channels)]  # six hours are 2.7 MB
        detectors = [Detector() for _ in range(channels)]
        done = 0
        for block in _blocks(wav):
            for channel, detector in enumerate(detectors):
                probabilities[channel].extend(detector.probabilities(block[:, channel]))
            done += len(block)
            on_progress(done / total)
    duration_s = total / SAMPLE_RATE_HZ
    spans = [
        Span(start_s=start_s, end_s=end_s, channel=channel)
        for channel, windows in enumerate(probabilities)
        for start_s, end_s in spans_of(windows, threshold, duration_s)
    ]
    spans.sort(key=lambda span: (span.start_s, span.channel))
    return Speech(
        duration_s=duration_s,
        channels=channels,
        spans=tuple(spans),
        coverage=min(1.0, _union_s(spans) / duration_s) if duration_s else 0.0,
        threshold=threshold,
    )


class Detector:
    """Silero VAD on one channel; its state goes from call to call."""

    def __init__(self) -> None:
        import numpy as np

        self._model = _model()
        self._state = [np.zeros((1, 1, STATE_SIZE), np.float32) for _ in range(2)]
        self._context = np.zeros(CONTEXT_SAMPLES, np.float32)

    def probabilities(self, samples: "NDArray[np.int16]") -> list[float]:
        """Speech probability of each window of 512 samples; the last is filled up with silence."""
        import numpy as np

        count = -(-len(samples) // WINDOW_SAMPLES)
        scaled = np.zeros(count * WINDOW_SAMPLES, np.float32)
        scaled[: len(samples)] = samples.astype(np.float32) / 32768
        windows = scaled.reshape(count, WINDOW_SAMPLES)
        contexts = np.vstack([self._context, windows[:-1, -CONTEXT_SAMPLES:]])
        self._context = windows[-1, -CONTEXT_SAMPLES:].copy()
        found, *self._state = self._model.run(
            None, {"input": np.hstack([contexts, windows]), "h": self._state[0], "c": self._state[1]}
        )
        return [float(value) for value in np.ravel(found)]


@lru_cache(maxsize=1)
def _model() -> Any:
    spec = find_spec("faster_whisper")  # only found, not imported: that takes a second and CTranslate2
    if spec is None or spec.origin is None:
        raise Unsupported("speech detection needs faster-whisper", fix="pip install faster-whisper")
    import onnxruntime

    options: Any = onnxruntime.SessionOptions()
    options.inter_op_num_threads = 1
    options.intra_op_num_threads = 1
    options.enable_cpu_mem_arena = False  # the arena grows with the largest input and stays
    path = Path(spec.origin).parent / "assets" / "silero_vad_v6.onnx"
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _blocks(wav: wave.Wave_read) -> Iterator[Any]:
    """The samples in order, as arrays of [samples, channels]."""
    import numpy as np

    while content := wav.readframes(BATCH_WINDOWS * WINDOW_SAMPLES):
        yield np.frombuffer(content, np.int16).reshape(-1, wav.getnchannels())


def _union_s(spans: list[Span]) -> float:
    """Seconds with speech on any channel; the spans are in order of start."""
    total_s = reached_s = 0.0
    for span in spans:
        total_s += max(0.0, span.end_s - max(span.start_s, reached_s))
        reached_s = max(reached_s, span.end_s)
    return total_s
