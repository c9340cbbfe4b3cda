"""PocketSphinx: English speech on any CPU, with the model that its wheel carries."""

import json
import os
import queue
import subprocess
import sys
import threading
import wave
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Self

from blocks.audio import SAMPLE_RATE_HZ, Span
from blocks.errors import EngineFailed, Unsupported
from blocks.progress import OnProgress
from blocks.speech.sphinx_worker import HEADER
from blocks.speech.utterances import LEAST_PROBABILITY, PAUSE_S, cut_at_pauses, segment_of
from blocks.transcript import EngineInfo, Segment, Transcript, Word
from blocks.wav import duration_of

FRAMES_PER_S = 100
FILLERS = "<[+"
"""What the names of silences and noises begin with: `<sil>`, `[NOISE]`, `++UM++`."""

SUPPORTED = frozenset({"en"})


class SphinxEngine:
    """Slow and modest (about 0.2 x real time a core, 7 % WER on clear speech), but always there.

    It takes no hints: its dictionary and language model are fixed.

    Args:
        workers: Child processes; None for one a core.
    """

    def __init__(self, workers: int | None = None) -> None:
        self._workers = workers or os.cpu_count() or 1
        self._running: list[subprocess.Popen[bytes]] = []
        self._one_file = threading.Lock()

    def info(self) -> EngineInfo:
        """Name, version, model and settings, without loading anything."""
        settings = {"pause_s": PAUSE_S}
        return EngineInfo(name="sphinx", version=version("pocketsphinx"), model="en-us", settings=settings)

    def load(self) -> None:
        """Start the child processes; each loads the model for itself."""
        while len(self._running) < self._workers:
            command = [sys.executable, "-m", "blocks.speech.sphinx_worker"]
            self._running.append(
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            )

    def unload(self) -> None:
        """End the child processes."""
        for child in self._running:
            child.kill()
        for child in self._running:
            child.wait()
            for pipe in (child.stdin, child.stdout):
                if pipe:
                    pipe.close()
        self._running.clear()

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
        """Decode each span as one utterance; see `SpeechEngine.transcribe`."""
        if language not in {None, *SUPPORTED}:
            raise Unsupported(f"sphinx does not speak {language!r}", fix="choose another engine: c500 engines")
        with self._one_file:
            self.load()
            try:
                spoken = _Spoken(audio, spans, self._running).decode(on_progress)
            except BaseException:
                self.unload()  # what the children still have in hand is nobody's
                raise
        segments = [segment for span, words in zip(spans, spoken, strict=True) for segment in _segments(span, words)]
        return Transcript(language="en", segments=tuple(segments), engine=self.info(), duration_s=duration_of(audio))


RawWord = tuple[str, int, int, float]
"""Word, first frame, last frame, posterior probability; 100 frames a second from the span's start."""


class _Spoken:
    """The spans of one file on their way through the children; results come back in order."""

    def __init__(self, audio: Path, spans: Sequence[Span], children: Sequence["subprocess.Popen[bytes]"]) -> None:
        self._audio = audio
        self._spans = spans
        self._children = children[: max(1, len(spans))]
        self._next = iter(range(len(spans)))
        self._lock = threading.Lock()
        self._done: queue.Queue[tuple[int, list[RawWord]] | EngineFailed] = queue.Queue()

    def decode(self, on_progress: OnProgress) -> list[list[RawWord]]:
        """The words of every span."""
        total_s = sum(span.duration_s for span in self._spans) or 1.0
        words: list[list[RawWord]] = [[] for _ in self._spans]
        for child in self._children:
            threading.Thread(target=self._feed, args=(child,), daemon=True).start()
        done_s = 0.0
        for _ in self._spans:
            done = self._done.get()
            if isinstance(done, EngineFailed):
                raise done
            index, words[index] = done
            done_s += self._spans[index].duration_s
            on_progress(done_s / total_s)
        return words

    def _feed(self, child: "subprocess.Popen[bytes]") -> None:
        """Give one child span after span, as it gets through with them."""
        if child.stdin is None or child.stdout is None:
            raise TypeError("the child was started without pipes")
        with wave.open(str(self._audio), "rb") as wav:
            while (index := self._take()) is not None:
                pcm = _samples(wav, self._spans[index])
                try:
                    child.stdin.write(HEADER.pack(len(pcm)) + pcm)
                    child.stdin.flush()
                    answer = child.stdout.readline()
                    words: list[RawWord] = [tuple(word) for word in json.loads(answer)]
                except (OSError, ValueError):
                    at_s = self._spans[index].start_s
                    self._done.put(
                        EngineFailed(
                            f"sphinx ended unexpectedly at {at_s:.1f} s",
                            fix="run the job again; if it fails at the same place, report the recording",
                        )
                    )
                    return
                self._done.put((index, words))

    def _take(self) -> int | None:
        with self._lock:
            return next(self._next, None)


def _samples(wav: wave.Wave_read, span: Span) -> bytes:
    first = round(span.start_s * SAMPLE_RATE_HZ)
    wav.setpos(min(first, wav.getnframes()))
    return wav.readframes(round(span.end_s * SAMPLE_RATE_HZ) - first)


def _segments(span: Span, raw: Sequence[RawWord]) -> list[Segment]:
    """The words of a span, cut into segments at pauses."""
    words = [
        Word(
            start_s=round(min(span.start_s + first / FRAMES_PER_S, span.end_s), 3),
            end_s=round(min(span.start_s + (last + 1) / FRAMES_PER_S, span.end_s), 3),
            text=name.partition("(")[0],
            probability=min(max(probability, LEAST_PROBABILITY), 1.0),
        )
        for name, first, last, probability in raw
        if name[0] not in FILLERS
    ]
    return [segment_of(group, " ".join(word.text for word in group)) for group in cut_at_pauses(words)]
