"""A job's status in the form that audio clients read, with what we tell beyond it."""

from datetime import datetime
from pathlib import PurePath
from typing import Any
from uuid import UUID

from pydantic import Field

from blocks.enhanced import Enhanced
from blocks.job import JobResult, Metrics, Notice, Versions
from blocks.model import Frozen
from blocks.runs import JobRun, RunError, RunStatus, Stage
from blocks.store.files import Files
from blocks.transcript import EngineInfo, Transcript
from tasks.audio.export import to_txt


class AsrVersion(Frozen):
    """The speech engine that did it."""

    name: str
    model_variant: str | None = Field(description="The model's own name.")
    model_path: str | None = Field(description="Name of the model at its hub; of a folder only the last part.")
    checkpoint_hash: str | None = Field(description="Hash of the weights, or their revision.")
    compute_type: str | None
    decoding_params: dict[str, Any]


class LlmVersion(Frozen):
    """The language engine that did it."""

    name: str = Field(description="The model, or the engine where it has none.")
    checkpoint_hash: str | None
    quantization: str | None
    thinking: bool
    reasoning_parser: str | None
    structured_output: dict[str, Any] | None
    decoding_params: dict[str, Any]


class TaskVersions(Frozen):
    """What did the work."""

    pipeline_version: str
    asr_backend: AsrVersion | None
    llm: LlmVersion | None


class TaskMetrics(Frozen):
    """Figures of the job; None for what it does not have."""

    input_duration_seconds: float
    processing_time_seconds: float
    rtf: float | None
    vad_coverage: float | None
    vad_segments: int | None
    asr_confidence_avg: float | None
    edit_rate_cleaning: float | None = Field(default=None, description="Only with the feature enhancement_metrics.")


class TaskResults(Frozen):
    """What was asked for; without the fields that were not."""

    raw_transcript: str | None = None
    clean_transcript: str | None = None
    summary: dict[str, Any] | None = None


class Progress(Frozen):
    """The step in hand, and the share of it that is done, 0 to 1."""

    step: str | None
    share: float | None


class TaskStatus(Frozen):
    """How far a task is, and what came of it.

    Attributes:
        error, error_code, stage: Why a failed task failed, and where.
        fix: How to put that right.
        notices: What a finished task could not do as asked: a fallback, a part that failed.
        job_id: The job in the store; the same input with the same options is one job.
        links: Where everything of this task is found.
    """

    task_id: UUID
    status: RunStatus
    submitted_at: datetime
    completed_at: datetime | None = None
    versions: TaskVersions | None = None
    metrics: TaskMetrics | None = None
    results: TaskResults | None = None
    error: str | None = None
    error_code: str | None = None
    stage: Stage | None = None
    fix: str | None = None
    progress: Progress | None = None
    notices: tuple[Notice, ...] = ()
    job_id: str | None = None
    links: dict[str, str] = Field(default_factory=dict)


ERROR_CODES: dict[tuple[str, Stage | None], str] = {
    ("BAD_INPUT", None): "AUDIO_VALIDATION_ERROR",
    ("FILE_TOO_LARGE", None): "AUDIO_VALIDATION_ERROR",
    ("UNSUPPORTED", None): "MODEL_INITIALIZATION_ERROR",
    ("OUT_OF_MEMORY", None): "MODEL_MEMORY_ERROR",
    ("NOT_FOUND", None): "PROCESSING_ERROR",
    ("NOT_FOUND", "asr"): "MODEL_LOAD_ERROR",
    ("NOT_FOUND", "llm"): "MODEL_LOAD_ERROR",
    ("NOT_FOUND", "preprocessing"): "AUDIO_VALIDATION_ERROR",
}
"""Code and stage of ours to the code that clients know; the stage None stands for any other."""

TEXT_CODES = {"AUDIO_VALIDATION_ERROR": "VALIDATION_ERROR", "AUDIO_PREPROCESSING_ERROR": "PROCESSING_ERROR"}
"""What a job of text is told instead."""

TEXT_FLOW = "process-text"
KEPT_CODES = {"AUDIO_DECODE_ERROR", "CANCELLED", "CRASHED"}

STAGE_CODES: dict[Stage | None, str] = {
    "preprocessing": "AUDIO_PREPROCESSING_ERROR",
    "asr": "ASR_PROCESSING_ERROR",
    "llm": "LLM_PROCESSING_ERROR",
    None: "PROCESSING_ERROR",
}
"""For all other codes."""

IDENTITY = {"url", "sha256", "revision", "compute_type", "quantization"}
"""Settings of an engine that have a field of their own, or (an address) are nobody's business."""


def error_code(error: RunError, flow: str | None = None) -> str:
    """The code that clients of the API we replace know for an error of a job of that flow."""
    if error.code in KEPT_CODES:
        return error.code
    known = ERROR_CODES.get((error.code, error.stage)) or ERROR_CODES.get((error.code, None))
    code = known or STAGE_CODES[error.stage]
    return TEXT_CODES.get(code, code) if flow == TEXT_FLOW else code


def task_status(run: JobRun, result: JobResult | None, files: Files) -> TaskStatus:
    """The status of a run, with the result where it is finished. Reads the store."""
    status = TaskStatus(
        task_id=run.run_id,
        status=run.status,
        submitted_at=run.submitted_at,
        completed_at=run.completed_at,
        progress=Progress(step=run.step, share=run.share),
        job_id=result.job_id if result else run.job_id,
        links=links(run, result),
    )
    if run.error is not None:
        return status.model_copy(update=_failure(run.error, run.flow))
    if result is None:
        return status
    return status.model_copy(
        update={
            "versions": shown_versions(result.versions),
            "metrics": _metrics(result.metrics, with_edit_rate="enhancement_metrics" in result.options.features),
            "results": _results(result, files),
            "notices": result.notices,
            "progress": Progress(step=None, share=1.0),
        }
    )


def public(status: TaskStatus) -> dict[str, Any]:
    """The status as JSON: results hold what was asked for only."""
    content = status.model_dump(mode="json")
    if status.results is not None:
        content["results"] = status.results.model_dump(mode="json", exclude_unset=True)
    return content


def links(run: JobRun, result: JobResult | None) -> dict[str, str]:
    """Addresses of everything there is of a task, relative to the gateway."""
    found = {"self": f"/v1/status/{run.run_id}", "events": f"/v1/events/{run.run_id}"}
    if not run.finished:
        found["cancel"] = f"/v1/jobs/{run.run_id}"
    if result is not None:
        found["result"] = f"/v1/results/{run.run_id}/json"
        found |= {name: f"/v1/results/{run.run_id}/{name}" for name in result.files}
    return found


def _failure(error: RunError, flow: str | None) -> dict[str, Any]:
    return {"error": error.message, "error_code": error_code(error, flow), "stage": error.stage, "fix": error.fix}


def shown_versions(versions: Versions) -> TaskVersions:
    """Engines and models by name; addresses and folders of this machine are left out."""
    return TaskVersions(
        pipeline_version=versions.pipeline,
        asr_backend=_asr(versions.speech) if versions.speech else None,
        llm=_llm(versions.language) if versions.language else None,
    )


def _asr(engine: EngineInfo) -> AsrVersion:
    name = public_model(engine.model)
    return AsrVersion(
        name=engine.name,
        model_variant=name.rsplit("/", 1)[-1] if name else None,
        model_path=name,
        checkpoint_hash=_checkpoint(engine),
        compute_type=engine.settings.get("compute_type"),
        decoding_params=_decoding(engine.settings),
    )


def _llm(engine: EngineInfo) -> LlmVersion:
    return LlmVersion(
        name=public_model(engine.model) or engine.name,
        checkpoint_hash=_checkpoint(engine),
        quantization=engine.settings.get("quantization"),
        thinking=False,
        reasoning_parser=None,
        structured_output={"type": "json_schema"} if engine.model else None,
        decoding_params=_decoding(engine.settings) | {"engine": engine.name, "engine_version": engine.version},
    )


def public_model(name: str | None) -> str | None:
    """A model's name at its hub; of a folder of this machine only the last part."""
    return PurePath(name).name if name and name.startswith(("/", "~", ".")) else name


def _checkpoint(engine: EngineInfo) -> str | None:
    return engine.settings.get("sha256") or engine.settings.get("revision")


def _decoding(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings that change the output; those of a second model likewise, without its identity."""
    return {
        name: _decoding(value["settings"]) | {"model": public_model(value.get("model"))} if name == "enhance" else value
        for name, value in settings.items()
        if name not in IDENTITY
    }


def _metrics(metrics: Metrics, *, with_edit_rate: bool) -> TaskMetrics:
    return TaskMetrics(
        input_duration_seconds=metrics.input_duration_s,
        processing_time_seconds=metrics.processing_time_s,
        rtf=metrics.rtf,
        vad_coverage=metrics.vad_coverage,
        vad_segments=metrics.vad_segments,
        asr_confidence_avg=metrics.asr_confidence_avg,
        edit_rate_cleaning=metrics.edit_rate_cleaning if with_edit_rate else None,
    )


def _results(result: JobResult, files: Files) -> TaskResults:
    """What the features name; the raw text too when something else could not be made, so that the work is not lost."""
    wanted = set(result.options.features)
    if result.status == "partial":
        wanted.add("raw_transcript")
    made: dict[str, Any] = {}
    if "raw_transcript" in wanted:
        transcript = Transcript.model_validate_json(files.read_bytes(result.files["transcript.json"].key))
        made["raw_transcript"] = to_txt(transcript.segments).rstrip("\n")
    if "clean_transcript" in wanted:
        made["clean_transcript"] = None
        if ref := result.files.get("enhanced.json"):
            enhanced = Enhanced.model_validate_json(files.read_bytes(ref.key))
            made["clean_transcript"] = to_txt(enhanced.transcript.segments).rstrip("\n")
    if "summary" in wanted:
        made["summary"] = result.summary
    return TaskResults(**made)
