"""PocketSphinx on real speech: words with times, the same whatever the number of workers, no orphans."""

import os
import signal
import subprocess
import sys
import wave
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


def heard(meeting: Path, spans: list[Span], workers: int = 1) -> Transcript:
    with SphinxEngine(workers) as engine:
        return engine.transcribe(meeting, spans=spans, language="en", hints=(), on_progress=lambda share: None)


def test_words_have_times_and_probabilities(meeting: Path, spans: list[Span]) -> None:
    transcript = heard(meeting, [Span(start_s=0, end_s=spans[-1].end_s)])
    words = [word for segment in transcript.segments for word in segment.words]
    assert "customer" in [word.text for word in words]
    assert all(0 < word.probability <= 1 and word.start_s < word.end_s for word in words)
    starts = [word.start_s for word in words]
    assert starts == sorted(starts)
    assert len(transcript.segments) >= 2, "a pause of half a second ends a segment"


def test_the_result_does_not_depend_on_workers(meeting: Path, spans: list[Span]) -> None:
    assert heard(meeting, spans, 1) == heard(meeting, spans, 2) == heard(meeting, spans, 3)


def test_the_result_of_a_span_does_not_depend_on_the_one_before(meeting: Path, spans: list[Span]) -> None:
    alone = heard(meeting, spans[1:2]).segments
    among = heard(meeting, spans).segments
    assert set(alone) <= set(among)


def test_progress_goes_up_to_one(meeting: Path, spans: list[Span]) -> None:
    shares: list[float] = []
    with SphinxEngine(2) as engine:
        engine.transcribe(meeting, spans=spans, language=None, hints=(), on_progress=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1)


def test_another_language_is_refused(meeting: Path, spans: list[Span]) -> None:
    with pytest.raises(Unsupported, match="vi"), SphinxEngine(1) as engine:
        engine.transcribe(meeting, spans=spans, language="vi", hints=(), on_progress=lambda share: None)


def children() -> list[psutil.Process]:
    found = psutil.Process().children(recursive=True)
    return [child for child in found if "sphinx_worker" in " ".join(child.cmdline())]


def test_stopping_ends_the_workers(meeting: Path, spans: list[Span]) -> None:
    def stop(share: float) -> None:
        raise Stopped("stopped", fix="start again")

    engine = SphinxEngine(2)
    with pytest.raises(Stopped):
        engine.transcribe(meeting, spans=spans, language=None, hints=(), on_progress=stop)
    assert not children()


def test_a_worker_that_dies_is_a_typed_error_and_leaves_none(meeting: Path, spans: list[Span]) -> None:
    engine = SphinxEngine(1)
    engine.load()
    os.kill(engine._running[0].pid, signal.SIGKILL)
    with pytest.raises(EngineFailed, match="unexpectedly"):
        engine.transcribe(meeting, spans=spans, language=None, hints=(), on_progress=lambda share: None)
    assert not children()


def test_workers_end_with_a_killed_parent() -> None:
    parent = subprocess.Popen([sys.executable, "-c", DIE], stdout=subprocess.PIPE, text=True)
    assert parent.stdout
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    parent.wait()
    left = [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]
    _, alive = psutil.wait_procs(left, timeout=30)
    assert len(pids) == 2
    assert not alive
