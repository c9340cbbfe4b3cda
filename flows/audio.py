"""Recordings and texts in; transcript, enhanced text and summary out."""

from typing import Any

from prefect import flow

from blocks.batch import BatchReport
from blocks.errors import BadInput
from blocks.job import JobOptions, JobResult
from blocks.residency import keep_loaded
from blocks.settings import settings
from blocks.store.files import FileRef
from flows.names import GIVEN_TEXT, name_of_source, run_name
from flows.running import attempt, job_run, name_job, show, show_batch
from flows.work import Recording, Work, each, stage
from tasks.audio.decode import decode_notices, decode_step
from tasks.audio.detect_speech import detect_speech_step
from tasks.audio.diarise import diarise_step
from tasks.audio.export import export_step, export_text_step
from tasks.audio.fetch import fetch_text
from tasks.audio.filter import filter_step
from tasks.audio.ingest import BYTES_PER_MB, ingest_step
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

TEXTS_AT_ONCE = 16
"""Texts of a batch with a language engine at once: enough windows to fill a batching server."""


@flow(name="process-audio", flow_run_name=run_name, persist_result=False)
async def process_audio(source: str, options: JobOptions | None = None, refresh: bool = False) -> JobResult:
    """Turn one recording into a transcript, an enhanced text and a summary.

    The same recording with the same options and engines is one job: a second run returns the
    result of the first, and a run that was killed goes on where it stopped.

    Args:
        source: Path, `file://`, `http(s)://`, `s3://` or `store://` address of the recording.
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
    work = Recording(source=source, options=options or JobOptions(), refresh=refresh)
    async with job_run(work, refresh=refresh):
        await open_recording(work)
        await name_job(work)
        async with keep_loaded():
            await listen(work)
            await tell_speakers(work)
            await enhance(work)
            await summarise(work)
        await finish(work)
        return await show(work.finished)


@flow(name="process-batch", flow_run_name=run_name, persist_result=False)
async def process_batch(sources: list[str], options: JobOptions | None = None, refresh: bool = False) -> BatchReport:
    """Process many recordings phase by phase, so that each model is loaded once.

    While the speech engine hears one recording the next ones are decoded; when it has heard all it makes
    room for the language engine. Recordings done before are found, not computed again; a batch that was
    killed goes on where it stopped.

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
    ahead = settings().look_ahead
    async with job_run(refresh=refresh):
        recordings, ignored = await find_recordings(sources)
        works = [Recording(source=source, options=options, refresh=refresh) for source in recordings]
        async with keep_loaded() as models:
            await each(works, open_recording, listen, name="listen", at_once=ahead)
            await each(works, tell_speakers, name="tell speakers", at_once=ahead)
            await each(works, enhance, name="enhance", at_once=TEXTS_AT_ONCE)
            await each(works, summarise, name="summarise", at_once=TEXTS_AT_ONCE)
        await each(works, finish, name="finish", at_once=ahead)
        report = batch_report(options, [work.item for work in works], ignored, models.loads)
        await publish_batch_step(report)
        for work in works:
            if work.result is not None:
                await show(work.result)
        return await show_batch(report)


@flow(name="process-text", flow_run_name=run_name, persist_result=False)
async def process_text(
    text: str | None = None,
    options: JobOptions | None = None,
    source_name: str | None = None,
    refresh: bool = False,
    source: str | None = None,
) -> JobResult:
    """Enhance and summarise a text, one utterance or paragraph a line.

    Args:
        text: The text.
        options: What to do with it; what concerns audio is ignored.
        source_name: What the result calls the text; by default the name of its file, or `text`.
        refresh: Compute again whatever is stored.
        source: Path or address of a text file, instead of `text`: a long text does not travel through Prefect.

    Returns:
        The job's result, as for a recording but without audio.

    Raises:
        BadInput, Unsupported: there is no text, it is empty or too large, or an option cannot be used.
        TimedOut: it took longer than JOB_TIMEOUT.
    """
    name = source_name or (name_of_source(source) if source else GIVEN_TEXT)
    work = Work(source=name, options=options or JobOptions(template=TEXT_TEMPLATE), refresh=refresh)

    @stage
    async def open_text(work: Work) -> None:
        plan = plan_job(work.options, audio=False, template_sha256=template_asked_for(work.options))
        work.job = await ingest_text_step(await the_text(text, source), plan, name)
        work.result = None if refresh else await find_result(work.job)

    @stage
    async def read_text(work: Work) -> None:
        work.transcript = await read_text_step(work.job.folder, work.job.source, work.options.language)

    async with job_run(work, refresh=refresh):
        await open_text(work)
        await name_job(work)
        await read_text(work)
        async with keep_loaded():
            await enhance(work)
            await summarise(work)
        await finish_text(work)
        return await show(work.finished)


async def the_text(text: str | None, source: str | None) -> str:
    """The text that was given, or that lies at the address.

    Raises:
        BadInput: neither was given, or both were.
    """
    if (text is None) == (source is None):
        what = "neither a text nor a source" if text is None else "both a text and a source"
        raise BadInput(f"{what} is given", fix="give either `text` or `source`", field="text")
    if source is None:
        return text or ""
    limits = settings()
    max_bytes = int(limits.max_file_size_mb * BYTES_PER_MB)
    return (await fetch_text(source, max_bytes=max_bytes, allow_private=limits.allow_private_sources))[1]


@stage
async def open_recording(work: Recording) -> None:
    """Bring the recording into the store; a job that was done before is finished with this."""
    plan = plan_job(work.options, audio=True, template_sha256=template_asked_for(work.options))
    work.job, work.info = await ingest_step(work.source, plan)
    work.result = None if work.refresh else await find_result(work.job)


@stage
async def listen(work: Recording) -> None:
    """Decode, find speech, recognise it."""
    job, asked = work.job, work.job.plan.options
    decoded = await decode_step(job.folder, job.source, work.info, asked.channels, asked.loudness_lufs)
    work.audio = decoded.audio
    work.notices = decode_notices(decoded, work.info, asked.channels)
    work.speech = await detect_speech_step(job.folder, work.audio, asked.vad_threshold)
    engine = job.plan.speech_engine
    work.recognised = await transcribe_step(job.folder, work.audio, work.speech, engine, asked.language, asked.hints)


@stage
async def tell_speakers(work: Recording) -> None:
    """Name who speaks, and take out what the engine invented."""
    job, asked, diariser = work.job, work.job.plan.options, work.job.plan.versions.diarisation
    turns = None
    if diariser is not None:
        turns = await diarise_step(job.folder, work.audio, work.speech, diariser, asked.speakers)
    work.transcript = await filter_step(job.folder, work.recognised, work.speech, turns, asked.guard)


@stage
async def enhance(work: Work) -> None:
    """Correct the transcript, when that is asked for."""
    asked, engine = work.job.plan.options, work.job.plan.versions.language
    if engine and wants_cleaning(asked):
        limit = settings().enhance_max_edit_rate
        step = enhance_step(work.job.folder, work.transcript, engine, limit, asked.hints)
        work.enhanced = await attempt("enhance", step, work)


@stage
async def summarise(work: Work) -> None:
    """Summarise the text by the template, when that is asked for."""
    job, engine, template = work.job, work.job.plan.versions.language, work.job.plan.template_sha256
    if engine and template:
        asked = job.plan.options.template
        step = summarise_step(job.folder, work.transcript, work.enhanced, asked, template, engine)
        work.summary = await attempt("summarise", step, work)


@stage
async def finish(work: Recording) -> None:
    """Export everything in the usual forms, and publish the result."""
    job, texts = work.job, (work.enhanced, work.summary)
    exports = await export_step(job.folder, job.source_name, work.transcript, work.speech, work.audio, *texts)
    exports |= {"steps.png": await draw_timing_step(job.folder)}
    heard = {"audio": work.audio, "speech": work.speech, "recognised": work.recognised}
    work.result = await publish_step(job, _made(work, exports, audio_info=work.info, **heard), refresh=work.refresh)


@stage
async def finish_text(work: Work) -> None:
    """As `finish`, for a text."""
    job, texts = work.job, (work.transcript, work.enhanced, work.summary)
    exports = await export_text_step(job.folder, job.source_name, *texts)
    work.result = await publish_step(job, _made(work, exports), refresh=work.refresh)


def _made(work: Work, exports: dict[str, FileRef], **heard: Any) -> Made:
    return Made(
        transcript=work.transcript,
        enhanced=work.enhanced,
        summary=work.summary,
        exports=exports,
        notices=work.notices,
        **heard,
    )
