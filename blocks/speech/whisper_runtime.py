"""Whisper in the process that holds it: windows of all recordings in hand, batch by batch."""

import wave
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blocks.audio import SAMPLE_RATE_HZ, Span
from blocks.errors import C500Error, EngineFailed, NotFound, OutOfMemory, Unsupported
from blocks.inference.runtime import Again, Unit
from blocks.speech.windows import WINDOW_S, Window, pack

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DETECT_WINDOWS = 4
"""Windows heard to find the language, until one is likelier than not."""

MAX_COMPRESSION_RATIO = 2.4
MIN_AVG_LOGPROB = -1.0
MAX_NO_SPEECH_PROB = 0.6
"""When a window is tried again at the next temperature. Source: `transcribe` of openai/whisper."""

STRIDE_S = 60
"""Where windows begin in the audio of a batch. Far apart, so that faster-whisper's correction of a first
word that follows a pause does the same whatever window comes before."""

FRAMES_PER_S = 100


@dataclass(frozen=True, kw_only=True)
class Task:
    """A window to transcribe, and the best attempt so far."""

    audio: str
    window: Window
    language: str
    language_probability: float | None
    hotwords: str | None
    attempt: int = 0
    best: dict[str, Any] | None = None


class WhisperRuntime:
    """faster-whisper's batched pipeline; see `blocks.inference.runtime.Runtime`.

    Args:
        folder: The model in CTranslate2's form.
        device: `cuda` or `cpu`.
        compute_type: CTranslate2's number type.
        cpu_threads: Threads on a CPU.
        batch_size: Windows at once.
        beam_size: Width of the search, 1 = greedy.
        temperatures: Tried in turn while a window comes out repetitive or doubtful.
        initial_prompt: Sets style and spelling.
        word_timestamps: Whether to time every word.
    """

    def __init__(
        self,
        *,
        folder: str,
        device: str,
        compute_type: str,
        cpu_threads: int,
        batch_size: int,
        beam_size: int,
        temperatures: list[float],
        initial_prompt: str,
        word_timestamps: bool,
    ) -> None:
        self._folder = folder
        self._where: dict[str, Any] = {"device": device, "cpu_threads": cpu_threads}
        self._compute_type = compute_type
        self._batch_size = batch_size
        self._beam_size = beam_size
        self._temperatures = temperatures
        self._prompt = initial_prompt or None
        self._word_timestamps = word_timestamps
        self._shrunk = False

    def load(self) -> dict[str, Any]:
        """Load the model; the language codes it speaks."""
        from faster_whisper import BatchedInferencePipeline, WhisperModel

        if not (Path(self._folder) / "tokenizer.json").is_file():
            raise NotFound(f"{self._folder} holds no tokenizer.json", fix="c500 models check, then pull it again")
        try:
            self._model = WhisperModel(self._folder, compute_type=self._compute_type, **self._where)
        except Exception as error:  # the libraries raise whatever a wrong file makes of it
            raise load_error(error, self._folder, self._where["device"], self._compute_type) from error
        self._pipeline = BatchedInferencePipeline(self._model)
        return {"languages": self._model.supported_languages}

    def split(self, request: dict[str, Any]) -> list[Unit]:
        """One unit a window; the language is detected first when it is not given."""
        spans = [Span(start_s=start_s, end_s=end_s) for start_s, end_s in request["spans"]]
        windows = pack(spans)
        if not windows:
            return []
        language, probability = request["language"], None
        if language is None:
            try:
                language, probability = self._detect_language(request["audio"], windows)
            except RuntimeError as error:
                raise _compute_error(error, 1) from error
        tasks = [
            Task(
                audio=request["audio"],
                window=window,
                language=language,
                language_probability=probability,
                hotwords=request["hotwords"] or None,
            )
            for window in windows
        ]
        return [_unit(task) for task in tasks]

    def fits(self, batch: Sequence[Unit], unit: Unit) -> bool:
        """Up to the batch size."""
        return len(batch) < self._batch_size

    def shrink(self) -> bool:
        """Half the batch, once."""
        if self._shrunk or self._batch_size == 1:
            return False
        self._shrunk, self._batch_size = True, self._batch_size // 2
        return True

    def run(self, batch: Sequence[Unit]) -> list[Any]:
        """Transcribe windows of one language, each as if it were alone."""
        import numpy as np

        tasks: list[Task] = [unit.payload for unit in batch]
        audio = np.zeros((len(tasks) + 1) * STRIDE_S * SAMPLE_RATE_HZ, np.float32)
        clips: list[dict[str, float]] = []
        for index, task in enumerate(tasks, 1):
            samples = _samples(task)
            first = index * STRIDE_S * SAMPLE_RATE_HZ
            audio[first : first + len(samples)] = samples
            clips.append({"start": index * STRIDE_S, "end": index * STRIDE_S + len(samples) / SAMPLE_RATE_HZ})
        try:
            heard = self._transcribe(audio, clips, tasks[0])
        except RuntimeError as error:
            raise _compute_error(error, len(tasks)) from error
        return [self._outcome(task, heard[index]) for index, task in enumerate(tasks, 1)]

    def answer(self, request: dict[str, Any], outcomes: list[Any]) -> dict[str, Any]:
        """The windows in order, and the language."""
        first = outcomes[0] if outcomes else {"language": request["language"], "language_probability": None}
        return {
            "language": first["language"],
            "language_probability": first["language_probability"],
            "windows": [outcome["window"] for outcome in outcomes],
        }

    def _detect_language(self, audio: str, windows: list[Window]) -> tuple[str, float | None]:
        import numpy as np

        if not self._model.model.is_multilingual:
            return "en", None
        heard = np.concatenate([_padded(_read(audio, window)) for window in windows[:DETECT_WINDOWS]])
        language, probability, _ = self._model.detect_language(
            heard, language_detection_segments=DETECT_WINDOWS, language_detection_threshold=0.5
        )
        return language, float(probability)

    def _transcribe(
        self, audio: "NDArray[np.float32]", clips: list[dict[str, float]], task: Task
    ) -> dict[int, list[Any]]:
        """faster-whisper's segments by window, counted from 1."""
        segments, _ = self._pipeline.transcribe(
            audio,
            language=task.language,
            clip_timestamps=clips,
            batch_size=len(clips),
            beam_size=self._beam_size,
            temperature=[self._temperatures[task.attempt]],
            initial_prompt=self._prompt,
            hotwords=task.hotwords,
            word_timestamps=self._word_timestamps,
            without_timestamps=self._word_timestamps,
        )
        heard: dict[int, list[Any]] = {index: [] for index in range(1, len(clips) + 1)}
        for segment in segments:
            heard[segment.seek // (STRIDE_S * FRAMES_PER_S)].append(segment)
        return heard

    def _outcome(self, task: Task, segments: list[Any]) -> Any:
        index = sum(segment.seek for segment in segments[:1]) // FRAMES_PER_S
        made = {"parts": task.window.parts, "segments": [_plain(segment, float(index)) for segment in segments]}
        attempt = {"window": made, "doubtful": _doubtful(segments), "score": _score(segments)}
        best = max((task.best or attempt, attempt), key=lambda one: (not one["doubtful"], one["score"]))
        if attempt["doubtful"] and task.attempt + 1 < len(self._temperatures):
            return Again(_unit(replace(task, attempt=task.attempt + 1, best=best)))
        return {
            "window": best["window"],
            "language": task.language,
            "language_probability": task.language_probability,
        }


def _unit(task: Task) -> Unit:
    return Unit(payload=task, key=(task.language, task.hotwords, task.attempt), size=task.window.duration_s)


def _samples(task: Task) -> "NDArray[np.float32]":
    return _read(task.audio, task.window)[: int(WINDOW_S * SAMPLE_RATE_HZ)]


def _read(audio: str, window: Window) -> "NDArray[np.float32]":
    """The speech of a window, -1 to 1."""
    import numpy as np

    with wave.open(audio, "rb") as wav:
        pieces: list[bytes] = []
        for start_s, end_s in window.parts:
            first = min(round(start_s * SAMPLE_RATE_HZ), wav.getnframes())
            wav.setpos(first)
            pieces.append(wav.readframes(round(end_s * SAMPLE_RATE_HZ) - first))
    return np.frombuffer(b"".join(pieces), np.int16).astype(np.float32) / np.float32(32768)


def _padded(samples: "NDArray[np.float32]") -> "NDArray[np.float32]":
    import numpy as np

    whole = int(WINDOW_S * SAMPLE_RATE_HZ)
    return np.pad(samples[:whole], (0, max(0, whole - len(samples))))


def _plain(segment: Any, offset_s: float) -> dict[str, Any]:
    """A segment as JSON values, its times from the start of its window."""
    return {
        "start_s": max(0.0, segment.start - offset_s),
        "end_s": max(0.0, segment.end - offset_s),
        "text": segment.text,
        "avg_logprob": segment.avg_logprob,
        "no_speech_prob": segment.no_speech_prob,
        "words": [
            (max(0.0, float(word.start) - offset_s), max(0.0, float(word.end) - offset_s), word.word, word.probability)
            for word in segment.words or ()
        ],
    }


def _doubtful(segments: list[Any]) -> bool:
    if all(segment.no_speech_prob > MAX_NO_SPEECH_PROB for segment in segments):
        return False  # silence need not be tried again
    return any(
        segment.compression_ratio > MAX_COMPRESSION_RATIO or segment.avg_logprob < MIN_AVG_LOGPROB
        for segment in segments
    )


def _score(segments: list[Any]) -> float:
    return sum(segment.avg_logprob for segment in segments) / len(segments) if segments else 0.0


def load_error(error: Exception, folder: str, device: str, compute_type: str) -> C500Error:
    """What CTranslate2 says when it cannot load, as an error with a fix."""
    text = str(error)
    if "compute type" in text:
        ctranslate2: Any = import_module("ctranslate2")
        known = ", ".join(sorted(ctranslate2.get_supported_compute_types(device)))
        return Unsupported(
            f"this {device} cannot compute in {compute_type}",
            fix=f"set WHISPER_COMPUTE_TYPE to auto or one of {known}",
            field="WHISPER_COMPUTE_TYPE",
        )
    if "out of memory" in text:
        return OutOfMemory(
            f"the Whisper model does not fit into the GPU's memory in {compute_type}",
            fix="free the GPU, set WHISPER_COMPUTE_TYPE=int8_float16, or use a smaller model",
        )
    if device == "cuda" and any(sign in text for sign in ("CUDA", "cuda", "libcublas", "libcudnn")):
        return Unsupported(
            f"the GPU cannot be used: {text}", fix="install driver, cuBLAS and cuDNN, or WHISPER_DEVICE=cpu"
        )
    return EngineFailed(
        f"the Whisper model in {folder} cannot be loaded: {text}", fix="c500 models check, then pull it again"
    )


def _compute_error(error: RuntimeError, batch_size: int) -> C500Error:
    if "out of memory" in str(error):
        return OutOfMemory(
            f"{batch_size} windows at once do not fit into the GPU's memory",
            fix="free the GPU, set WHISPER_BATCH_SIZE lower, or WHISPER_COMPUTE_TYPE=int8_float16",
        )
    return EngineFailed(f"Whisper failed: {error}", fix="run the job again; if it fails at the same place, report it")
