"""How errors and versions look to clients of the API we replace."""

from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest

from blocks.errors import C500Error
from blocks.job import Versions
from blocks.runs import JobRun, RunError, Stage
from blocks.store import LocalFiles
from blocks.transcript import EngineInfo
from deployments.gateway.answers.field_names import VIETNAMESE, named
from deployments.gateway.answers.task_status import error_code, public, public_model, shown_versions, task_status

KNOWN = {
    "AUDIO_DECODE_ERROR", "AUDIO_PREPROCESSING_ERROR", "AUDIO_VALIDATION_ERROR", "MODEL_LOAD_ERROR",
    "MODEL_INITIALIZATION_ERROR", "MODEL_MEMORY_ERROR", "ASR_PROCESSING_ERROR", "LLM_PROCESSING_ERROR",
    "PROCESSING_ERROR", "CANCELLED", "CRASHED",
}  # fmt: skip


def failed(code: str, stage: Stage | None) -> RunError:
    return RunError(code=code, message="m", fix="f", stage=stage)


@pytest.mark.parametrize("stage", ["preprocessing", "asr", "llm", None])
def test_every_code_of_ours_becomes_one_that_clients_know(stage: Stage | None) -> None:
    codes = {kind.code for kind in all_kinds(C500Error)} | {"CANCELLED", "CRASHED", "INTERNAL_ERROR"}
    assert {error_code(failed(code, stage)) for code in codes} <= KNOWN


@pytest.mark.parametrize("code", ["BAD_INPUT", "FILE_TOO_LARGE", "NOT_FOUND", "TIMED_OUT"])
def test_a_text_that_fails_is_called_no_audio(code: str) -> None:
    assert "AUDIO" in error_code(failed(code, "preprocessing"), "process-audio")
    assert "AUDIO" not in error_code(failed(code, "preprocessing"), "process-text")


def all_kinds(kind: type[C500Error]) -> set[type[C500Error]]:
    return {kind}.union(*(all_kinds(below) for below in kind.__subclasses__()))


@pytest.mark.parametrize(
    ("code", "stage", "known"),
    [
        ("AUDIO_DECODE_ERROR", "preprocessing", "AUDIO_DECODE_ERROR"),
        ("OUT_OF_MEMORY", "asr", "MODEL_MEMORY_ERROR"),
        ("NOT_FOUND", "asr", "MODEL_LOAD_ERROR"),
        ("UNSUPPORTED", "asr", "MODEL_INITIALIZATION_ERROR"),
        ("ENGINE_FAILED", "asr", "ASR_PROCESSING_ERROR"),
        ("ENGINE_UNAVAILABLE", "llm", "LLM_PROCESSING_ERROR"),
        ("TIMED_OUT", "preprocessing", "AUDIO_PREPROCESSING_ERROR"),
        ("BAD_INPUT", "preprocessing", "AUDIO_VALIDATION_ERROR"),
        ("CANCELLED", "asr", "CANCELLED"),
        ("INTERNAL_ERROR", None, "PROCESSING_ERROR"),
    ],
)
def test_a_code_says_where_it_failed(code: str, stage: Stage | None, known: str) -> None:
    assert error_code(failed(code, stage)) == known


def test_a_failed_task_says_why_and_where(tmp_path: Path) -> None:
    run = JobRun(
        run_id=uuid4(), name="x", status="FAILED", submitted_at=datetime.now(UTC), error=failed("OUT_OF_MEMORY", "asr")
    )
    content = public(task_status(run, None, LocalFiles(tmp_path)))
    assert (content["error"], content["error_code"], content["stage"]) == ("m", "MODEL_MEMORY_ERROR", "asr")
    assert content["links"].keys() == {"self", "events"}


def test_versions_name_models_but_no_places_and_addresses() -> None:
    whisper = {"sha256": "abc", "revision": "r", "compute_type": "int8", "beam_size": 5}
    second = {"model": "/srv/models/other", "settings": {"url": "http://user:hidden@host/v1", "temperature": 0}}
    versions = Versions(
        pipeline="1",
        speech=EngineInfo(name="whisper", version="1.2", model="/srv/models/mine", settings=whisper),
        language=EngineInfo(
            name="openai", version="v1", model="hub/name", settings={"url": "http://hidden", "enhance": second}
        ),
    )
    shown = shown_versions(versions)
    assert shown.asr_backend and shown.llm
    assert shown.asr_backend.model_dump() == {
        "name": "whisper", "model_variant": "mine", "model_path": "mine", "checkpoint_hash": "abc",
        "compute_type": "int8", "decoding_params": {"beam_size": 5},
    }  # fmt: skip
    assert shown.llm.name == "hub/name"
    assert shown.llm.decoding_params["enhance"] == {"temperature": 0, "model": "other"}
    assert "hidden" not in shown.model_dump_json() and "/srv" not in shown.model_dump_json()


def test_a_name_at_a_hub_stays_whole() -> None:
    assert public_model("org/model") == "org/model"
    assert public_model(None) is None


def test_names_are_translated_there_and_back() -> None:
    assert len(set(VIETNAMESE.values())) == len(VIETNAMESE)
    status = {"task_id": "1", "results": {"summary": {"summary": "stays"}}, "metrics": None, "versions": {"llm": {}}}
    assert named(status, "en") == status
    assert named(status, "vi") == {
        "task_id": "1", "kết_quả": {"tóm_tắt": {"summary": "stays"}}, "chỉ_số": None,
        "phiên_bản": {"mô_hình_ngôn_ngữ": {}},
    }  # fmt: skip
