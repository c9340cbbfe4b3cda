"""Finish a job: gather its files in its folder and write `result.json` last."""

import json
from datetime import UTC, datetime

from prefect import task
from pydantic import ValidationError

from blocks import metrics, timeline
from blocks.audio import AudioInfo, Speech
from blocks.enhanced import Enhanced, Summary
from blocks.errors import NotFound, Unsupported
from blocks.job import Job, JobResult, Metrics, Notice, Status, job_folder
from blocks.model import Frozen
from blocks.progress import in_thread
from blocks.store import open_store
from blocks.store.files import FileRef, Files
from blocks.timeline import Timeline
from blocks.transcript import Transcript
from tasks.jobs.plan import wants_cleaning, wants_summary


class Made(Frozen):
    """What the steps of a job made; None for what was not asked for or could not be made."""

    audio_info: AudioInfo | None = None
    audio: FileRef | None = None
    speech: FileRef | None = None
    recognised: FileRef | None = None
    transcript: FileRef
    enhanced: FileRef | None = None
    summary: FileRef | None = None
    exports: dict[str, FileRef]
    notices: tuple[Notice, ...] = ()


def read_result(files: Files, job_id: str) -> JobResult | None:
    """The stored result of a job, None while there is none.

    Raises:
        Unsupported: another version of C500 wrote it.
    """
    try:
        return JobResult.model_validate_json(files.read_bytes(f"{job_folder(job_id)}/result.json"))
    except NotFound:
        return None
    except ValidationError as error:
        raise Unsupported(
            f"the result of job {job_id} was written by another version of C500",
            fix="process the recording again",
        ) from error


@task(name="find-result")
async def find_result(job: Job) -> JobResult | None:
    """The complete result of an earlier run of the same job; one that is partial or lacks a file is made again."""
    return await in_thread(_complete_result, open_store(), job.job_id)


@task(name="publish")
async def publish_step(job: Job, made: Made, *, refresh: bool = False) -> JobResult:
    """Write the job's result; its presence means that everything it names is there.

    When another run of the same job has finished meanwhile, its result stands and is returned.
    """
    seen = timeline.current.get() or Timeline()
    with timeline.measure("publish"):
        return await in_thread(_publish, open_store(), job, made, seen, refresh)


def _publish(files: Files, job: Job, made: Made, seen: Timeline, refresh: bool) -> JobResult:
    with files.lock(f"publish/{job.job_id}"):
        if not refresh and (earlier := _complete_result(files, job.job_id)):
            return earlier
        gathered = _gather(files, job, made)
        log = "".join(json.dumps(event, ensure_ascii=False, default=str) + "\n" for event in seen.events)
        gathered["log.jsonl"] = files.put_bytes(f"{job.folder}/log.jsonl", log.encode(), "application/jsonl")
        result = _result(files, job, made, seen).model_copy(update={"files": gathered})
        files.put_bytes(f"{job.folder}/result.json", result.model_dump_json(indent=2).encode(), "application/json")
        return result


def _complete_result(files: Files, job_id: str) -> JobResult | None:
    found = read_result(files, job_id)
    if found is None or found.status == "partial":
        return None
    return found if all(files.exists(ref.key) for ref in found.files.values()) else None


def _gather(files: Files, job: Job, made: Made) -> dict[str, FileRef]:
    """Give the job its own name for every file, also for those another job had made already."""
    refs = [job.source, made.audio, made.speech, made.recognised]
    refs += [made.transcript, made.enhanced, made.summary]
    gathered: dict[str, FileRef] = {}
    for ref in [*refs, *made.exports.values()]:
        if ref is None:
            continue
        name = ref.key.rsplit("/", 1)[1]
        own = f"{job.folder}/{name}"
        gathered[name] = ref if ref.key == own else files.copy(ref, own)
    return gathered


def _result(files: Files, job: Job, made: Made, seen: Timeline) -> JobResult:
    transcript = Transcript.model_validate_json(files.read_bytes(made.transcript.key))
    enhanced = Enhanced.model_validate_json(files.read_bytes(made.enhanced.key)) if made.enhanced else None
    summary = Summary.model_validate_json(files.read_bytes(made.summary.key)) if made.summary else None
    speech = Speech.model_validate_json(files.read_bytes(made.speech.key)) if made.speech else None
    written = [part for part in (enhanced, summary) if part is not None]
    return JobResult(
        job_id=job.job_id,
        status=_status(job, transcript, enhanced, summary),
        source_name=job.source_name,
        source=job.source,
        audio=made.audio_info,
        options=job.plan.options,
        language=transcript.language,
        language_probability=transcript.language_probability,
        removed=len(transcript.removed),
        summary=summary.content if summary else None,
        notices=(*made.notices, *_fallback(job, transcript), *(notice for part in written for notice in part.notices)),
        metrics=Metrics(
            input_duration_s=transcript.duration_s,
            processing_time_s=seen.elapsed_s,
            step_time_s=seen.step_time_s,
            rtf=metrics.real_time_factor(seen.elapsed_s, transcript.duration_s),
            vad_coverage=speech.coverage if speech else None,
            vad_segments=len(speech.spans) if speech else None,
            asr_confidence_avg=metrics.confidence(transcript.segments),
            edit_rate_cleaning=enhanced.edit_rate if enhanced else None,
            prompt_tokens=sum(part.usage.prompt_tokens for part in written),
            completion_tokens=sum(part.usage.completion_tokens for part in written),
            cost_usd=_total([part.cost_usd for part in written]),
            peak_rss_bytes=metrics.peak_rss_bytes(),
            peak_vram_bytes=seen.peak_vram_bytes,
        ),
        versions=job.plan.versions,
        finished_at=datetime.now(UTC),
    )


def _fallback(job: Job, transcript: Transcript) -> tuple[Notice, ...]:
    """Says so when another engine than planned recognised the speech: one in a smaller number type."""
    planned, used = job.plan.versions.speech, transcript.engine
    if planned is None or planned == used:
        return ()
    changed = {name: value for name, value in used.settings.items() if planned.settings.get(name) != value}
    message = f"The memory did not suffice for the engine as planned; it went on with {changed}."
    return (Notice(step="transcribe", code="engine_fell_back", message=message),)


def _status(job: Job, transcript: Transcript, enhanced: Enhanced | None, summary: Summary | None) -> Status:
    if not transcript.segments:
        return "no_speech"
    options = job.plan.options
    lacks_text = wants_cleaning(options) and enhanced is None
    lacks_summary = wants_summary(options) and (summary is None or summary.content is None)
    return "partial" if lacks_text or lacks_summary else "complete"


def _total(prices: list[float | None]) -> float | None:
    known = [price for price in prices if price is not None]
    return sum(known) if known else None
