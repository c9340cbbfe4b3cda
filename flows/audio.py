"""Recordings and texts in; transcript, enhanced text and summary out."""

from prefect import flow

from blocks.batch import BatchReport
from blocks.job import Job, JobOptions, JobResult, Notice
from blocks.settings import settings
from blocks.store.files import FileRef
from flows.running import attempt, job_run, limits_of, show, show_batch, try_recording
from tasks.audio.decode import damage_notices, decode_step
from tasks.audio.detect_speech import detect_speech_step
from tasks.audio.export import export_step, export_text_step
from tasks.audio.ingest import ingest_step
from tasks.audio.pictures import draw_timing_step
from tasks.audio.recordings import find_recordings
from tasks.audio.transcribe import transcribe_step
from tasks.jobs.batch import batch_report, publish_batch_step
from tasks.jobs.plan import plan_job, wants_cleaning
from tasks.jobs.publish import Made, find_result, publish_step
from tasks.llm.enhance import enhance_step
from tasks.llm.ingest import ingest_text_step, read_text_step
from tasks.llm.summarise import summarise_step
from tasks.llm.template import template_asked_for

TEXT_TEMPLATE = "generic_summary"


@flow(name="process-audio", persist_result=False)
async def process_audio(source: str, options: JobOptions | None = None, refresh: bool = False) -> JobResult:
    """Turn one recording into a transcript, an enhanced text and a summary.

    The same recording with the same options and engines is one job: a second run returns the
    result of the first, and a run that was killed goes on where it stopped.

    Args:
        source: Path, `file://`, `http(s)://` or `s3://` address of the recording.
        options: What to do with it; None for the defaults.
        refresh: Compute again whatever is stored.

    Returns:
        The job's result; its files lie in the store under `jobs/<job_id>/`. When the language
        engine fails, the transcript is kept and the result is `partial`, with a notice.

    Raises:
        BadInput, Unsupported, NotAllowed: the recording or an option cannot be used.
        EngineFailed, EngineUnavailable: speech recognition did not work.
        TimedOut: it took longer than JOB_TIMEOUT beyond the length of the audio.
    """
    async with job_run(refresh=refresh):
        options = options or JobOptions()
        plan = plan_job(options, audio=True, template_sha256=template_asked_for(options))
        job, info = await ingest_step(source, plan)
        if not refresh and (done := await find_result(job)):
            return await show(done)
        asked = job.plan.options
        async with limits_of(job, audio_s=info.duration_s):
            audio = await decode_step(job.folder, job.source, info, asked.channels, asked.loudness_lufs)
            speech = await detect_speech_step(job.folder, audio.audio, asked.vad_threshold)
            transcript = await transcribe_step(
                job.folder, audio.audio, speech, plan.speech_engine, asked.language, asked.hints
            )
            enhanced, summary, notices = await _write(job, transcript)
            notices = (*damage_notices(audio, info), *notices)
            exports = await export_step(job.folder, job.source_name, transcript, speech, audio.audio, enhanced, summary)
            exports |= {"steps.png": await draw_timing_step(job.folder)}
            made = Made(
                audio_info=info,
                audio=audio.audio,
                speech=speech,
                transcript=transcript,
                enhanced=enhanced,
                summary=summary,
                exports=exports,
                notices=notices,
            )
            return await show(await publish_step(job, made, refresh=refresh))


@flow(name="process-text", persist_result=False)
async def process_text(
    text: str, options: JobOptions | None = None, source_name: str = "text", refresh: bool = False
) -> JobResult:
    """Enhance and summarise a text, one utterance or paragraph a line.

    Args:
        text: The text.
        options: What to do with it; what concerns audio is ignored.
        source_name: What the result calls the text.
        refresh: Compute again whatever is stored.

    Returns:
        The job's result, as for a recording but without audio.

    Raises:
        BadInput, Unsupported: the text is empty or too large, or an option cannot be used.
        TimedOut: it took longer than JOB_TIMEOUT.
    """
    async with job_run(refresh=refresh):
        options = options or JobOptions(template=TEXT_TEMPLATE)
        plan = plan_job(options, audio=False, template_sha256=template_asked_for(options))
        job = await ingest_text_step(text, plan, source_name)
        if not refresh and (done := await find_result(job)):
            return await show(done)
        async with limits_of(job):
            transcript = await read_text_step(job.folder, job.source, options.language)
            enhanced, summary, notices = await _write(job, transcript)
            exports = await export_text_step(job.folder, source_name, transcript, enhanced, summary)
            made = Made(transcript=transcript, enhanced=enhanced, summary=summary, exports=exports, notices=notices)
            return await show(await publish_step(job, made, refresh=refresh))


@flow(name="process-batch", persist_result=False)
async def process_batch(sources: list[str], options: JobOptions | None = None, refresh: bool = False) -> BatchReport:
    """Process many recordings, one after the other; those done before are found, not computed again.

    Args:
        sources: Recordings and folders of recordings.
        options: What to do with each; None for the defaults.
        refresh: Compute again whatever is stored.

    Returns:
        One report, also stored under `batches/<batch_id>/`. A recording that cannot be processed
        is in it with its error and stops none of the others.

    Raises:
        NotFound: a folder does not exist or holds no recording.
    """
    options = options or JobOptions()
    recordings, ignored = await find_recordings(sources)
    items = [await try_recording(process_audio, recording, options, refresh) for recording in recordings]
    return await show_batch(await publish_batch_step(batch_report(options, items, ignored)))


async def _write(job: Job, transcript: FileRef) -> tuple[FileRef | None, FileRef | None, tuple[Notice, ...]]:
    """Enhance and summarise as far as asked for; what fails becomes a notice."""
    asked, engine, template = job.plan.options, job.plan.versions.language, job.plan.template_sha256
    enhanced = summary = None
    notices: list[Notice] = []
    if engine and wants_cleaning(asked):
        limit = settings().enhance_max_edit_rate
        work = enhance_step(job.folder, transcript, engine, limit, asked.hints)
        enhanced = await attempt("enhance", work, notices)
    if engine and template:
        work = summarise_step(job.folder, transcript, enhanced, asked.template, template, engine)
        summary = await attempt("summarise", work, notices)
    return enhanced, summary, tuple(notices)
