"""An evaluation that is killed goes on with what is missing."""

import asyncio
import json
import os
import signal
from pathlib import Path

import pytest

from blocks.store import open_store
from tasks.evaluation import run as running
from tasks.evaluation.cut import cut
from tasks.evaluation.dataset import read_dataset
from tasks.evaluation.evaluation import EvaluationOptions, SystemResult
from tasks.evaluation.run import Run
from tasks.evaluation.system import System

CASES = 6


@pytest.fixture
def asked(tmp_path: Path) -> Path:
    """A dataset of six recordings, and outputs for them."""
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    rows = [{"id": str(at), "audio": "a.wav", "reference": f"word {at}"} for at in range(CASES)]
    (tmp_path / "set.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    outputs = [{"id": str(at), "text": f"word {at}"} for at in range(CASES)]
    (tmp_path / "o.jsonl").write_text("".join(json.dumps(row) + "\n" for row in outputs))
    return tmp_path / "set.jsonl"


def evaluated(dataset: Path) -> tuple[Run, SystemResult]:
    def nothing(*_: object) -> None:
        raise AssertionError("outputs are given: nothing is run")

    run = Run(
        dataset=read_dataset(dataset),
        options=EvaluationOptions(resamples=1_000, at_once=1),
        files=open_store(),
        process=nothing,  # type: ignore[arg-type]
        plan_of=nothing,  # type: ignore[arg-type]
        schema_of=nothing,  # type: ignore[arg-type]
    )
    found = asyncio.run(run.evaluated(System(hypotheses=str(dataset.with_name("o.jsonl")))))
    return run, found


def test_a_killed_evaluation_goes_on_and_does_no_case_twice(asked: Path) -> None:
    if not (pid := os.fork()):
        real = running.write_score

        def deadly(*arguments: object) -> None:
            real(*arguments)  # type: ignore[arg-type]
            if len(list(open_store().list("evaluations/scores/"))) == 4:
                os.kill(os.getpid(), signal.SIGKILL)

        running.write_score = deadly  # type: ignore[assignment]
        evaluated(asked)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL
    run, found = evaluated(asked)
    assert (run.reused, len(found.scores), found.failures) == (4, CASES, ())
    assert [one.case for one in found.scores] == [str(at) for at in range(CASES)]


def test_another_output_or_reference_is_another_score(asked: Path) -> None:
    evaluated(asked)
    outputs = asked.with_name("o.jsonl")
    outputs.write_text(outputs.read_text().replace("word 3", "word three"))
    run, found = evaluated(asked)
    assert (run.reused, found.totals[0].value) == (5, 1 / 12)
    asked.write_text(asked.read_text().replace("word 3", "word three"))
    run, found = evaluated(asked)
    assert (run.reused, found.totals[0].value) == (5, 0.0)


def test_a_damaged_score_is_made_again(asked: Path) -> None:
    evaluated(asked)
    for key in list(open_store().list("evaluations/scores/"))[:2]:
        open_store().put_bytes(key, b"{", "application/json")
    run, found = evaluated(asked)
    assert (run.reused, len(found.scores)) == (4, CASES)


def test_a_stretch_of_a_recording_is_cut_out_to_the_sample(sentence: Path, tmp_path: Path) -> None:
    import wave

    made = [tmp_path / name for name in ("whole.wav", "part.wav", "again.wav", "rest.wav")]
    cut(sentence, None, None, made[0])
    cut(sentence, 0.5, 1.25, made[1])
    cut(sentence, 0.5, 1.25, made[2])
    cut(sentence, 1.25, None, made[3])
    content = []
    for path in made:
        with wave.open(str(path)) as wav:
            content.append(wav.readframes(wav.getnframes()))
    assert content[1] == content[2] == content[0][16_000:40_000]  # two bytes a sample, 16,000 samples a second
    assert content[3] == content[0][40_000:]
