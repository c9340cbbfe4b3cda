"""PocketSphinx on real speech: words with times, the same whatever the number of workers, no orphans."""

import os
import signal
import subprocess
import sys
import wave
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from blocks.audio import Span
from blocks.errors import EngineFailed, Stopped, Unsupported
from blocks.speech.sphinx import SphinxEngine
from blocks.transcript import Transcript

DIE = """
import os, signal, sys
from blocks.speech.sphinx import SphinxEngine
engine = SphinxEngine(workers=2)
engine.load()
print(*(child.pid for child in engine._running), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(scope="module")
def meeting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three sentences with pauses, as the decoder writes audio."""
    folder = tmp_path_factory.mktemp("meeting")
    texts = ["good morning everyone", "please call the customer", "the budget is forty thousand dollars"]
    path = folder / "meeting.wav"
    with wave.open(str(path), "wb") as joined:
        joined.setparams((1, 2, 16_000, 0, "NONE", ""))
        for number, text in enumerate(texts):
            part = folder / f"{number}.wav"
            subprocess.run(["flite", "-voice", "rms", "-t", text, "-o", str(part)], check=True)
            with wave.open(str(part), "rb") as wav:
                joined.writeframes(wav.readframes(wav.getnframes()) + bytes(2 * 8000))
    return path


@pytest.fixture(scope="module")
def spans(meeting: Path) -> list[Span]:
    with wave.open(str(meeting), "rb") as wav:
        end_s = wav.getnframes() / 16_000
    third = end_s / 3
    return [Span(start_s=number * third, end_s=(number + 1) * third) for number in range(3)]


@pytest.fixture(scope="module")
def engine() -> Iterator[SphinxEngine]:
    """An engine of one worker for all tests of this module that break none: it takes a second to load."""
    with SphinxEngine(1) as loaded:
        yield loaded


def heard(engine: SphinxEngine, meeting: Path, spans: list[Span]) -> Transcript:
    return engine.transcribe(meeting, spans=spans, language="en", hints=(), on_progress=lambda share: None)


def test_words_have_times_and_probabilities(engine: SphinxEngine, meeting: Path, spans: list[Span]) -> None:
    transcript = heard(engine, meeting, [Span(start_s=0, end_s=spans[-1].end_s)])
    words = [word for segment in transcript.segments for word in segment.words]
    assert "customer" in [word.text for word in words]
    assert all(0 < word.probability <= 1 and word.start_s < word.end_s for word in words)
    starts = [word.start_s for word in words]
    assert starts == sorted(starts)
    assert len(transcript.segments) >= 2, "a pause of half a second ends a segment"


def test_the_result_does_not_depend_on_workers_nor_on_the_span_before_and_progress_goes_up_to_one(
    engine: SphinxEngine, meeting: Path, spans: list[Span]
) -> None:
    one = heard(engine, meeting, spans)
    shares: list[float] = []
    with SphinxEngine(3) as three:  # each worker hears one span, the first that it ever does
        other = three.transcribe(meeting, spans=spans, language=None, hints=(), on_progress=shares.append)
    assert one == other
    assert one.segments
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1)


def test_another_language_is_refused(engine: SphinxEngine, meeting: Path, spans: list[Span]) -> None:
    with pytest.raises(Unsupported, match="vi"):
        engine.transcribe(meeting, spans=spans, language="vi", hints=(), on_progress=lambda share: None)


def children() -> set[int]:
    """Workers of ours; one may be of this module's engine."""
    found: set[int] = set()
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # it ended meanwhile
            if "sphinx_worker" in " ".join(child.cmdline()):
                found.add(child.pid)
    return found


def test_stopping_ends_the_workers(meeting: Path, spans: list[Span]) -> None:
    def stop(share: float) -> None:
        raise Stopped("stopped", fix="start again")

    before, engine = children(), SphinxEngine(2)
    with pytest.raises(Stopped):
        engine.transcribe(meeting, spans=spans, language=None, hints=(), on_progress=stop)
    assert children() == before


def test_a_worker_that_dies_is_a_typed_error_and_leaves_none(meeting: Path, spans: list[Span]) -> None:
    before, engine = children(), SphinxEngine(1)
    engine.load()
    os.kill(engine._running[0].pid, signal.SIGKILL)
    with pytest.raises(EngineFailed, match="unexpectedly"):
        engine.transcribe(meeting, spans=spans, language=None, hints=(), on_progress=lambda share: None)
    assert children() == before


def test_workers_end_with_a_killed_parent() -> None:
    parent = subprocess.Popen([sys.executable, "-c", DIE], stdout=subprocess.PIPE, text=True)
    assert parent.stdout
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    parent.wait()
    left = [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]
    _, alive = psutil.wait_procs(left, timeout=30)
    assert len(pids) == 2
    assert not alive
