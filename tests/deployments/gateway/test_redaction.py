"""What a key is not shown: folders, addresses and the inner workings of our machines, and names others gave."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from blocks.job import JobOptions, JobResult, Metrics, Notice, Versions
from blocks.keys import ApiKey, KeyRing, Scope
from blocks.runs import JobRun, RunError
from blocks.store import open_store
from blocks.store.files import FileRef
from blocks.store.local import LocalFiles
from blocks.transcript import EngineInfo, Transcript
from deployments.gateway.answers.redaction import content_for, plain_text, result_for, run_for

ADDRESS = "http://10.0.0.7:8001/v1"
FOLDER = "/srv/models/whisper"


def key(*scopes: Scope) -> ApiKey:
    return KeyRing(open_store()).create("a test", scopes)[1]


def run(**fields: Any) -> JobRun:
    whole = {"run_id": uuid4(), "name": "n", "status": "COMPLETE", "submitted_at": datetime.now(UTC)}
    return JobRun(**whole | {"source_name": "mine.wav"} | fields)


@pytest.fixture
def result() -> JobResult:
    files, folder = open_store(), "jobs/0123456789abcdef"
    assert isinstance(files, LocalFiles)
    engine = EngineInfo(
        name="openai", version="1", model=FOLDER, settings={"url": ADDRESS, "a": 1, "enhance": {"url": ADDRESS}}
    )
    transcript = Transcript(language="en", segments=(), engine=engine, duration_s=1).model_dump_json().encode()
    return JobResult(
        job_id="0123456789abcdef",
        status="complete",
        source_name="theirs.wav",
        options=JobOptions(),
        notices=(Notice(step="summarise", code="ENGINE_UNAVAILABLE", message=f"{ADDRESS} cannot be reached"),),
        metrics=Metrics(input_duration_s=1, processing_time_s=1),
        versions=Versions(pipeline="1"),
        files={
            "transcript.json": files.put_bytes(f"{folder}/transcript.json", transcript, "application/json"),
            "transcript.md": files.put_bytes(f"{folder}/transcript.md", b"# theirs.wav\n\nWords.", "text/markdown"),
            "transcript.txt": files.put_bytes(f"{folder}/transcript.txt", b"theirs.wav", "text/plain"),
            "log.jsonl": files.put_bytes(f"{folder}/log.jsonl", b"{}", "application/jsonl"),
        },
        finished_at=datetime.now(UTC),
    )


def content(asker: ApiKey, result: JobResult, name: str) -> bytes | None:
    ref: FileRef = result.files[name]
    return content_for(asker, "mine.wav", result, ref, open_store())


def test_the_name_is_that_of_the_own_run(result: JobResult) -> None:
    for asker in (key("read"), key("admin")):
        assert result_for(asker, run(), result).source_name == "mine.wav"
        assert content(asker, result, "transcript.md") == b"# mine.wav\n\nWords."
        assert content(asker, result, "transcript.txt") is None


def test_the_log_is_for_administrators(result: JobResult) -> None:
    assert "log.jsonl" not in result_for(key("read", "submit"), run(), result).files
    assert "log.jsonl" in result_for(key("admin"), run(), result).files


def test_engines_are_told_by_name_without_their_addresses(result: JobResult) -> None:
    plain = content(key("read"), result, "transcript.json")
    assert plain is not None
    engine = Transcript.model_validate_json(plain).engine
    assert (engine.model, engine.settings) == ("whisper", {"a": 1, "enhance": {}})
    assert content(key("admin"), result, "transcript.json") is None
    notice = result_for(key("read"), run(), result).notices[0].message
    assert "10.0.0.7" not in notice and "cannot be reached" in notice


def test_a_fault_of_ours_is_told_in_plain_words() -> None:
    error = RunError(code="INTERNAL_ERROR", message=f"OSError: {FOLDER}/x.bin", fix="f", stage="asr")
    failed = run(status="FAILED", error=error)
    shown = run_for(key("read"), failed).error
    assert shown and "srv" not in shown.message + shown.fix
    assert str(failed.run_id) in shown.fix
    assert (shown.code, shown.stage) == (error.code, error.stage)
    assert run_for(key("admin"), failed).error == error


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        (f"{FOLDER}/model.bin is damaged", "…/model.bin is damaged"),
        ("'/home/anna/.cache/x y' is gone", "'…/x y' is gone"),
        ("see ~/models/big", "see …/big"),
        (f"the language server {ADDRESS} is away", "the language server (an address of the service) is away"),
        ("https://mine.example/a.wav answers 404", "https://mine.example/a.wav answers 404"),
        ("choose one of GET /v1/templates, 3/4 of it and/or audio/wav", None),
    ],
)
def test_sentences_lose_places_only(text: str, plain: str | None) -> None:
    assert plain_text(text, "https://mine.example/a.wav") == (plain or text)
