"""Recordings and texts in; transcript, enhanced text and summary out."""

from datetime import UTC, datetime

from prefect import flow

from blocks.batch import BatchReport
from blocks.job import Job, JobOptions, JobResult, Notice
from blocks.store.files import FileRef
from flows.running import attempt, input_kept_if_good, job_run, show, show_batch, time_limit, try_job
from tasks.audio.decode import decode_step
from tasks.audio.detect_speech import detect_speech_step
from tasks.audio.export import export_step
from tasks.audio.ingest import ingest_step
from tasks.audio.recordings import find_recordings
from tasks.audio.transcribe import transcribe_step
from tasks.jobs.batch import publish_batch_step
from tasks.jobs.plan import plan_job, wants_cleaning, wants_summary
from tasks.jobs.publish import Made, find_result, publish_step
from tasks.llm.enhance import enhance_step
from tasks.llm.ingest import ingest_text_step
from tasks.llm.summarise import summarise_step
from tasks.llm.template import chosen_template

DEFAULTS = JobOptions()


@flow(name="process-audio", flow_run_name="process {source}")
async def process_audio(source: str, options: JobOptions = DEFAULTS, refresh: bool = False) -> JobResult:
    """Turn one recording into a transcript, an enhanced text and a summary.

    The same recording with the same options and engines is one job: a second run returns the
    result of the first, and a run that was killed goes on where it stopped.

    Args:
        source: Path, `file://`, `http(s)://` or `s3://` address of the recording.
        options: What to do with it.
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
        plan = plan_job(options, audio=True, template=chosen_template(options))
        job, info = await ingest_step(source, plan)
        if not refresh and (done := await find_result(job)):
            return await show(done)
        async with input_kept_if_good(job), time_limit(info.duration_s):
            audio = await decode_step(job.folder, job.source, info, job.options)
            speech = await detect_speech_step(job.folder, audio, job.options.vad_threshold)
            transcript = await transcribe_step(job.folder, audio, speech, job.versions.speech, job.options)
            made = await _write(job, Made(audio_info=info, audio=audio, speech=speech, transcript=transcript))
        return await show(await publish_step(job, made, refresh=refresh))
