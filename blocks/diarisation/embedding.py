"""Speaker embeddings: an ONNX model over Kaldi filterbanks, as WeSpeaker's models take them."""

import wave
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blocks.audio import SAMPLE_RATE_HZ
from blocks.diarisation.windows import WINDOW_S, Window
from blocks.errors import BadAudio, EngineFailed
from blocks.progress import OnProgress

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

BINS = 80
FRAME_MS = 25.0
SHIFT_MS = 10.0
FRAME_SAMPLES = 400
FRAMES = 1 + int(WINDOW_S * 1000 - FRAME_MS) // int(SHIFT_MS)
BATCH_WINDOWS = 32


class Embedder:
    """A loaded model.

    Args:
        folder: Folder with one ONNX file: filterbanks [batch, frames, 80] in, embeddings [batch, dimension] out.

    Raises:
        EngineFailed: there is not exactly one file, or it is no such model.
    """

    def __init__(self, folder: Path) -> None:
        self.path = _only_model(folder)
        import onnxruntime

        options: Any = onnxruntime.SessionOptions()
        options.enable_cpu_mem_arena = False  # the arena grows with the largest batch and stays
        options.log_severity_level = 4  # what fails is raised, and said once
        with self._blamed():
            self._session: Any = onnxruntime.InferenceSession(
                str(self.path), options, providers=["CPUExecutionProvider"]
            )
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        shape = list(inputs[0].shape) if len(inputs) == 1 else []
        if len(shape) != 3 or (isinstance(shape[2], int) and shape[2] != BINS):
            raise self._wrong(f"it takes {[entry.shape for entry in inputs]}, not [batch, frames, {BINS}]")
        self._input, self._output = inputs[0].name, outputs[0].name

    def embed(self, audio: Path, windows: Sequence[Window], on_progress: OnProgress) -> "Floats":
        """One embedding a window; the file is read window by window.

        Raises:
            BadAudio: the file is not 16 kHz PCM16 mono.
            EngineFailed: the model fails, or gives no embeddings.
        """
        import numpy as np

        found: list[Floats] = []
        with wave.open(str(audio), "rb") as wav:
            _check(audio, wav)
            for first in range(0, len(windows), BATCH_WINDOWS):
                batch = windows[first : first + BATCH_WINDOWS]
                found.append(self._run(np.stack([filterbank(_samples(wav, window)) for window in batch])))
                on_progress((first + len(batch)) / len(windows))
        return np.concatenate(found)

    def _run(self, features: "Floats") -> "Floats":
        import numpy as np

        with self._blamed():
            (given,) = self._session.run([self._output], {self._input: features})
        vectors = np.asarray(given)
        if vectors.ndim != 2 or len(vectors) != len(features):
            raise self._wrong(f"it gives {list(vectors.shape)} for {len(features)} windows")
        if not np.isfinite(vectors).all():
            raise self._wrong("it gives embeddings with values that are not numbers")
        return vectors.astype(np.float32)

    @contextmanager
    def _blamed(self) -> Generator[None]:
        """Lay what ONNX Runtime raises at the file's door; its exceptions have no base of their own."""
        try:
            yield
        except Exception as error:
            raise self._wrong(str(error).partition("\n")[0]) from error

    def _wrong(self, what: str) -> EngineFailed:
        return EngineFailed(
            f"{self.path} is not a usable speaker model: {what}",
            fix="pull it again (c500 models pull), or name another one in SPEAKER_MODEL",
            path=str(self.path),
        )


def filterbank(samples: "Floats") -> "Floats":
    """Log mel filterbank [FRAMES, 80] of samples in the range of int16, its mean over time taken off.

    A shorter stretch is repeated until it fills the window.

    Source: WeSpeaker, `wespeaker/cli/speaker.py` (`compute_fbank`: 25/10 ms, Hamming, no dither, cepstral mean off).
    """
    import kaldi_native_fbank
    import numpy as np

    options: Any = kaldi_native_fbank.FbankOptions()
    options.frame_opts.samp_freq = SAMPLE_RATE_HZ
    options.frame_opts.frame_length_ms = FRAME_MS
    options.frame_opts.frame_shift_ms = SHIFT_MS
    options.frame_opts.window_type = "hamming"
    options.frame_opts.dither = 0.0
    options.mel_opts.num_bins = BINS
    options.use_energy = False
    bank: Any = kaldi_native_fbank.OnlineFbank(options)
    bank.accept_waveform(SAMPLE_RATE_HZ, np.pad(samples, (0, max(0, FRAME_SAMPLES - len(samples)))))
    bank.input_finished()
    frames = np.stack([bank.get_frame(index) for index in range(bank.num_frames_ready)])
    filled = np.resize(frames, (FRAMES, BINS)).astype(np.float32)
    return filled - filled.mean(axis=0)


def _only_model(folder: Path) -> Path:
    found = sorted(folder.glob("*.onnx"))
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "no *.onnx file"
        raise EngineFailed(
            f"the speaker model {folder} holds {names}, not one model",
            fix="name a folder with one ONNX file in SPEAKER_MODEL, or pull the model again (c500 models pull)",
        )
    return found[0]


def _check(audio: Path, wav: wave.Wave_read) -> None:
    if (wav.getnchannels(), wav.getsampwidth(), wav.getframerate()) != (1, 2, SAMPLE_RATE_HZ):
        raise BadAudio(f"{audio.name} is not 16 kHz PCM16 mono", fix="decode it, and take one channel of a split call")


def _samples(wav: wave.Wave_read, window: Window) -> "Floats":
    import numpy as np

    first = min(round(window.start_s * SAMPLE_RATE_HZ), wav.getnframes())
    wav.setpos(first)
    content = wav.readframes(round(window.end_s * SAMPLE_RATE_HZ) - first)
    return np.frombuffer(content, np.dtype("<i2")).astype(np.float32)
