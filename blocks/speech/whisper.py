"""Whisper by faster-whisper, in a process of its own."""

import os
import threading
from collections.abc import Sequence
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from blocks.audio import Span
from blocks.errors import OutOfMemory, Unsupported
from blocks.inference.process import ModelProcess
from blocks.models.locate import locate
from blocks.progress import OnProgress
from blocks.settings import settings
from blocks.speech.utterances import cut_at_pauses, segment_of
from blocks.speech.whisper_weights import read_shape
from blocks.speech.windows import Window
from blocks.transcript import EngineInfo, Segment, Transcript, Word
from blocks.vram import VramNeed, device_environment, gpu_count
from blocks.wav import duration_of

RUNTIME = "blocks.speech.whisper_runtime:WhisperRuntime"

CPU_BATCH = 8
"""Windows at once on a CPU: more save nothing there."""

GPU_BATCH = 32
"""Beyond it large-v3 gains nothing that faster-whisper's own figures show; memory would go to waste."""

SMALLER_TYPE = {
    "float32": "float16", "bfloat16": "int8_bfloat16", "float16": "int8_float16", "int8_float16": "int8",
    "int8_float32": "int8",
}  # fmt: skip
"""What to go on with when the memory does not suffice."""

SENTENCE_ENDS = (".", "!", "?", "…", "。")
SHORTEST_SEGMENT_S = 0.02
"""The step of Whisper's alignment."""

LONGEST_SEGMENT_S = 15.0
"""A segment this long ends at the next end of a sentence; shorter ones may hold several."""


class WhisperEngine:
    """Transcribes packed windows of speech in batches; any language its model knows.

    Model, device, number type and search are the settings WHISPER_….
    """

    def __init__(self) -> None:
        chosen = settings()
        self._model = locate(chosen.whisper_model_variant)
        self._device = device_of(chosen.whisper_device)
        self._compute_type: str = chosen.whisper_compute_type
        if self._compute_type == "auto":
            self._compute_type = "float16" if self._device == "cuda" else "int8"
        self._batch_size = chosen.whisper_batch_size
        self._given = self._batch_size or CPU_BATCH
        self._process = ModelProcess("Whisper", RUNTIME, self._config, device_environment())
        self._falling_back = threading.Lock()

    def info(self) -> EngineInfo:
        """Name, version, model and settings, without loading anything."""
        chosen = settings()
        return EngineInfo(
            name="whisper",
            version=version("faster-whisper"),
            model=self._model.name,
            settings={
                "revision": self._model.revision,
                "sha256": self._model.sha256,
                "compute_type": self._compute_type,
                "beam_size": chosen.whisper_beam_size,
                "temperatures": chosen.whisper_temperatures,
                "initial_prompt": chosen.whisper_initial_prompt,
                "word_timestamps": chosen.whisper_word_timestamps,
            },
        )

    def vram(self) -> VramNeed | None:
        """Weights, and for each window the encoder's buffers and the decoder's keys and values."""
        if self._device != "cuda":
            return None
        shape = read_shape(self._model.folder)
        return VramNeed(
            fixed_bytes=shape.weights_bytes(self._compute_type),
            item_bytes=shape.window_bytes(self._compute_type, settings().whisper_beam_size),
            most_items=self._batch_size or GPU_BATCH,
            smaller="set WHISPER_COMPUTE_TYPE=int8_float16 or a smaller WHISPER_MODEL_VARIANT",
        )

    def give(self, items: int) -> None:
        """Compute so many windows at once."""
        self._given = items

    def load(self) -> None:
        """Start the process that holds the model; nothing happens when it runs."""
        read_shape(self._model.folder)  # a wrong or damaged file is told before anything starts
        asked = self._compute_type
        try:
            self._process.start()
        except OutOfMemory:
            if not self._fall_back(asked):
                raise

    def unload(self) -> None:
        """End the process; all memory is free."""
        self._process.stop()

    def __enter__(self) -> Self:
        self.load()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.unload()

    def transcribe(
        self,
        audio: Path,
        *,
        spans: Sequence[Span],
        language: str | None,
        hints: Sequence[str],
        on_progress: OnProgress,
    ) -> Transcript:
        """Transcribe, together with whatever else is asked of this engine; see `SpeechEngine.transcribe`."""
        known: list[str] = self._process.facts.get("languages", [])
        if language is not None and known and language not in known:
            raise Unsupported(
                f"the model {self._model.name} does not speak {language!r}",
                fix="choose another engine or model: c500 engines",
                field="language",
            )
        request: dict[str, Any] = {
            "audio": str(audio),
            "spans": [(span.start_s, span.end_s) for span in spans],
            "language": language,
            "hotwords": ", ".join(hints),
        }
        answer = self._call(request, on_progress)
        return Transcript(
            language=answer["language"] or "und",
            language_probability=answer["language_probability"],
            segments=tuple(segment for window in answer["windows"] for segment in segments_of(window)),
            engine=self.info(),
            duration_s=duration_of(audio),
        )

    def _config(self) -> dict[str, Any]:
        chosen = settings()
        return {
            "folder": str(self._model.folder),
            "device": self._device,
            "compute_type": self._compute_type,
            "cpu_threads": os.cpu_count() or 1,
            "batch_size": self._given,
            "beam_size": chosen.whisper_beam_size,
            "temperatures": [float(text) for text in chosen.whisper_temperatures.split(",")],
            "initial_prompt": chosen.whisper_initial_prompt,
            "word_timestamps": chosen.whisper_word_timestamps,
        }

    def _call(self, request: dict[str, Any], on_progress: OnProgress) -> dict[str, Any]:
        """Have the request computed, in a smaller number type when the memory does not suffice."""
        while True:
            asked = self._compute_type
            try:
                return self._process.call(request, on_progress)
            except OutOfMemory:
                if not self._fall_back(asked):
                    raise

    def _fall_back(self, asked: str) -> bool:
        """Go on in the next smaller number type, if there is one and the settings allow it."""
        with self._falling_back:
            while self._compute_type == asked or self._process.pid is None:
                smaller = SMALLER_TYPE.get(self._compute_type)
                if smaller is None or not settings().compute_fallback:
                    return False
                self._compute_type = smaller
                try:
                    self._process.restart()
                except OutOfMemory:
                    continue
            return True


def device_of(wanted: str) -> str:
    """`cuda` or `cpu` for what a setting says."""
    return wanted if wanted != "auto" else ("cuda" if gpu_count() else "cpu")


def segments_of(window: dict[str, Any]) -> list[Segment]:
    """The segments of one window, their times in the recording.

    Words are cut at pauses, at what was silence between two stretches of speech, and at the end of a sentence
    when the segment is long. Without words the engine's own segments stand.
    """
    place = Window(parts=tuple((start_s, end_s) for start_s, end_s in window["parts"]))
    made: list[Segment] = []
    for heard in window["segments"]:
        figures: dict[str, Any] = {
            "avg_logprob": round(min(0.0, heard["avg_logprob"]), 4),
            "no_speech_prob": round(min(1.0, max(0.0, heard["no_speech_prob"])), 4),
        }
        spoken = [word for word in heard["words"] if word[2].strip()]
        if spoken:
            made += [segment.model_copy(update=figures) for segment in _from_words(spoken, place)]
        elif heard["text"].strip():
            start_s, end_s = place.place(heard["start_s"], heard["end_s"])
            made.append(Segment(start_s=start_s, end_s=max(start_s, end_s), text=heard["text"].strip(), **figures))
    return [_lasting(segment, place) for segment in made]


def _lasting(segment: Segment, window: Window) -> Segment:
    """A segment that lasts: the alignment puts words it is unsure of at one instant."""
    if segment.end_s - segment.start_s >= SHORTEST_SEGMENT_S:
        return segment
    first_s, last_s = window.parts[window.part_of(segment.end_s)]
    start_s = max(first_s, min(segment.start_s, last_s - SHORTEST_SEGMENT_S))
    end_s = round(max(start_s + SHORTEST_SEGMENT_S, segment.end_s), 3)
    return segment.model_copy(update={"start_s": round(start_s, 3), "end_s": end_s})


RawWord = Sequence[Any]
"""Start and end in the window, text with the space before it, probability."""


def _from_words(spoken: Sequence[RawWord], window: Window) -> list[Segment]:
    def ends(group: Sequence[Word], word: Word) -> bool:
        if window.part_of(group[-1].end_s) != window.part_of(word.end_s):
            return True
        long = group[-1].end_s - group[0].start_s > LONGEST_SEGMENT_S
        return long and group[-1].text.endswith(SENTENCE_ENDS)

    segments: list[Segment] = []
    texts = iter([text for _, _, text, _ in spoken])
    for group in cut_at_pauses(_words(spoken, window), ends):
        segments.append(segment_of(group, "".join(islice(texts, len(group))).strip()))
    return segments


def _words(spoken: Sequence[RawWord], window: Window) -> list[Word]:
    """Words in order of time; the alignment may put one a little before its neighbour."""
    words: list[Word] = []
    before_s = 0.0
    for start_s, end_s, text, probability in spoken:
        first_s, last_s = window.place(start_s, max(start_s, end_s))
        first_s = max(first_s, before_s)
        before_s = max(first_s, last_s)
        figure = round(min(1.0, max(0.0, probability)), 4)
        words.append(Word(start_s=first_s, end_s=before_s, text=text.strip(), probability=figure))
    return words
