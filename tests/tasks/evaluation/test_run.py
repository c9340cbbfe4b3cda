"""An evaluation that is killed goes on with what is missing."""

import asyncio
import json
import os
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from blocks.enhanced import Enhanced
from blocks.errors import EngineFailed, NotFound, Stopped
from blocks.job import JobOptions, JobPlan, JobResult, Versions
from blocks.store import open_store
from blocks.transcript import EngineInfo, Segment, Transcript, Word
from tasks.evaluation import run as running
from tasks.evaluation.case import Case
from tasks.evaluation.cut import cut
from tasks.evaluation.dataset import read_dataset
from tasks.evaluation.evaluation import EvaluationOptions, SystemResult
from tasks.evaluation.output import output_of
from tasks.evaluation.run import Run
from tasks.evaluation.system import System, in_force
from tasks.jobs.plan import plan_job

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


def nothing(*_: object) -> Any:
    raise AssertionError("outputs are given: nothing is run")


def run_of(dataset: Path, **more: Any) -> Run:
    fields: dict[str, Any] = {"process": nothing, "plan_of": nothing, "schema_of": nothing, **more}
    options = EvaluationOptions(resamples=1_000, at_once=fields.pop("at_once", 1))
    return Run(dataset=read_dataset(dataset), options=options, files=open_store(), **fields)


def evaluated(dataset: Path, **more: Any) -> tuple[Run, SystemResult]:
    run = run_of(dataset, **more)
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


def test_another_schema_of_the_same_template_is_another_score(tmp_path: Path) -> None:
    (tmp_path / "set.jsonl").write_text('{"id": "a", "text": "x", "template": "own"}\n')
    (tmp_path / "o.jsonl").write_text('{"id": "a", "summary": {"title": "x"}}\n')
    for required, valid in (("title", True), ("date", False), ("title", True)):
        _, found = evaluated(tmp_path / "set.jsonl", schema_of=lambda _, name=required: {"required": [name]})
        assert found.scores[0].schema_check is not None
        assert found.scores[0].schema_check.valid == valid


def test_a_limit_of_enhancing_is_a_part_of_the_plan_so_that_jobs_differ_by_it() -> None:
    plans: list[JobPlan] = []
    for limit in ("0.1", "0.9"):
        with in_force({"ENHANCE_MAX_EDIT_RATE": limit}):
            options = JobOptions(features=("clean_transcript",), language_engine="extractive", language="en")
            plans.append(plan_job(options, audio=False, template_sha256=None))
    assert plans[0].job_id("x") != plans[1].job_id("x")


async def test_nothing_goes_on_with_other_settings_when_an_evaluation_is_stopped(asked: Path) -> None:
    at_work, ended = asyncio.Event(), list[str | None]()

    async def process(case: Case, *_: object) -> JobResult:
        if case.id == "1":
            await at_work.wait()
            raise Stopped("a switch", fix="go on")
        at_work.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(os.environ.get("WHISPER_BEAM_SIZE"))
        raise AssertionError

    run = run_of(
        asked,
        process=process,
        plan_of=lambda options, _: JobPlan(options=options, versions=Versions(pipeline="1")),
        at_once=2,
    )
    with pytest.raises(Stopped):
        await run.evaluated(System(settings={"WHISPER_BEAM_SIZE": "7"}))
    assert ended == ["7"]


def test_a_recording_is_read_once_though_many_cases_are_stretches_of_it(
    asked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []
    real = running._sha256
    monkeypatch.setattr(running, "_sha256", lambda path: [read.append(path), real(path)][1])

    async def process(*_: object) -> JobResult:
        raise EngineFailed("it broke", fix="none")

    run = run_of(
        asked, process=process, plan_of=lambda options, _: JobPlan(options=options, versions=Versions(pipeline="1"))
    )
    found = asyncio.run(run.evaluated(System()))
    assert (len(found.failures), len(read)) == (CASES, 1)


async def test_a_baseline_that_cannot_be_used_is_told_before_anything_is_run(asked: Path) -> None:
    with pytest.raises(NotFound):
        await run_of(asked).check(System(hypotheses=str(asked.with_name("none.jsonl"))))


def heard_as(text: str) -> Transcript:
    """A transcript of one word, or of none."""
    word = (Word(start_s=0, end_s=1, text=text, probability=1),)
    segments = (Segment(start_s=0, end_s=1, text=text, words=word),) if text else ()
    return Transcript(language="en", segments=segments, engine=EngineInfo(name="x", version="1"), duration_s=1.0)


def job_with(**texts: Transcript | Enhanced) -> JobResult:
    """A job with these texts in the store."""
    files = {
        f"{name}.json": open_store().put_bytes(
            f"jobs/x/{name}.json", one.model_dump_json().encode(), "application/json"
        )
        for name, one in texts.items()
    }
    metrics = SimpleNamespace(rtf=None, cost_usd=None)
    fields = {"summary": None, "notices": (), "language": "en", "metrics": metrics}
    return JobResult.model_construct(job_id="x", status="complete", files=files, **fields)


@pytest.mark.parametrize(
    ("raw", "better", "raw_text", "enhanced_text"),
    [("uh", "Huh", "uh", "Huh"), ("uh", None, "uh", None), ("", None, "", "")],
)
def test_an_enhanced_text_that_is_not_there_is_lacking_and_the_raw_one_is_not_taken_for_it(
    raw: str, better: str | None, raw_text: str, enhanced_text: str | None
) -> None:
    texts: dict[str, Transcript | Enhanced] = {"transcript": heard_as(raw)}
    if better is not None:
        engine = EngineInfo(name="y", version="1")
        texts["enhanced"] = Enhanced(transcript=heard_as(better), engine=engine, edit_rate=1, windows=1)
    case = Case(id="0", audio="a.wav", reference="Huh")
    systems = (System(), System(text="enhanced"))
    found = [output_of(open_store(), system, case, job_with(**texts)) for system in systems]
    assert [one.text for one in found] == [raw_text, enhanced_text]
    assert [[word.text for word in one.words] for one in found] == [[x] if x else [] for x in (raw_text, enhanced_text)]


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
