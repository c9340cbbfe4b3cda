"""`POST /v1/audio/transcriptions` as OpenAI's clients speak it: a recording in, its transcript in the same answer."""

import asyncio
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from litestar import Request, Response, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import OpenAPIMediaType, Operation, RequestBody
from prefect.client.orchestration import PrefectClient
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from blocks.errors import BadAudio, BadInput, C500Error, Conflict, EngineFailed, TimedOut, TooLarge, Unsupported
from blocks.job import JobOptions, JobResult
from blocks.keys import ApiKey
from blocks.progress import in_thread
from blocks.runs import JobRun, RunError
from blocks.speech.registry import entries
from blocks.store.files import Files
from blocks.transcript import Segment, Transcript
from deployments.gateway.answers.finished import read_finished
from deployments.gateway.answers.redaction import run_for
from deployments.gateway.intake.admission import Admission
from deployments.gateway.intake.fields import listed, read_fields
from deployments.gateway.intake.quotas import Quotas
from deployments.gateway.intake.submission import take_recording
from deployments.gateway.intake.uploads import Form
from deployments.gateway.routes.models import AUTOMATIC, ModelNotFound
from deployments.gateway.routes.process import form_schema
from deployments.gateway.watch import Watcher
from deployments.gateway.web.auth import needs
from deployments.gateway.web.listening import while_listening
from deployments.gateway.web.problems import c500_problem

TranscriptForm = Literal["json", "text", "srt", "vtt", "verbose_json"]
LISTS = ("timestamp_granularities",)
TEXT = r"^[^\x00-\x08\x0e-\x1f\x7f]*$"
"""As for hints, but prompts may have lines."""
EXPORTS = {"srt": "transcript.srt", "vtt": "transcript.vtt"}

LONGEST_WAIT_S = 3600.0
"""Longer than clients wait and proxies let them; the job goes on all the same."""


class Cancelled(Conflict):
    """Somebody cancelled the job."""

    code = "CANCELLED"


FAULTS: dict[str, type[C500Error]] = {
    kind.code: kind for kind in (BadAudio, BadInput, Cancelled, TooLarge, Unsupported)
}
"""Failures of a job that the client can do something about, by their code; all others are ours."""


class TranscriptionFailed(EngineFailed):
    """The job was taken, and failed."""

    code = "TRANSCRIPTION_FAILED"


class TranscriptionAsked(BaseModel):
    """Fields of a transcription; others that OpenAI's clients may send are passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    model: str = Field(description="`whisper-1` or `auto` for the engine that suits best, or an engine's name")
    language: str | None = Field(default=None, pattern="^[a-z]{2,3}$", description="ISO 639-1 code of what is spoken")
    prompt: str = Field(default="", max_length=4000, pattern=TEXT, description="names and terms likely to occur")
    response_format: TranscriptForm = "json"
    temperature: float = Field(default=0, ge=0, le=2, description="taken and not used: results are reproducible")
    timestamp_granularities: Annotated[tuple[Literal["word", "segment"], ...], BeforeValidator(listed)] = ("segment",)
    stream: bool = Field(default=False, description="must be false; see GET /v1/events")

    def options(self) -> JobOptions:
        """As options of a job. Raises `ModelNotFound`, `BadInput`."""
        if self.stream:
            raise BadInput("transcripts are not streamed", fix="leave stream out", field="stream")
        known = [entry.name for entry in entries()]
        if self.model not in (*AUTOMATIC, *known):
            raise ModelNotFound(
                f"there is no model {self.model[:64]!r}", fix=f"choose one of {', '.join((*AUTOMATIC, *known))}"
            )
        hints = tuple(term for part in self.prompt.split(",") if (term := " ".join(part.split())[:200]))
        return JobOptions(
            engine="auto" if self.model in AUTOMATIC else self.model,
            language=self.language,
            features=("raw_transcript",),
            hints=hints,
        )


@dataclass
class TranscriptionOperation(Operation):
    """Documents the form, which is read as a stream instead of by Litestar."""

    def __post_init__(self) -> None:
        form = form_schema(TranscriptionAsked, file=True)
        self.request_body = RequestBody(required=True, content={"multipart/form-data": OpenAPIMediaType(schema=form)})


@post(
    "/v1/audio/transcriptions",
    opt=needs("submit"),
    status_code=200,
    operation_id="transcribe",
    summary="Transcribe a recording, as OpenAI's API does",
    tags=["jobs"],
    operation_class=TranscriptionOperation,
    responses={
        200: ResponseSpec(dict[str, Any], generate_examples=False, description="The transcript in the form asked for.")
    },
)
async def transcribe(
    request: Request[Any, Any, Any],
    prefect: NamedDependency[PrefectClient],
    files: NamedDependency[Files],
    key: NamedDependency[ApiKey],
    quotas: NamedDependency[Quotas],
    admission: NamedDependency[Admission],
    watcher: NamedDependency[Watcher],
) -> Response[Any]:
    """Submit a recording and wait for its transcript.

    It is a job as any other: a client that goes away and sends the same again finds it.
    """

    def read(fields: Form) -> tuple[TranscriptionAsked, Callable[[], JobOptions]]:
        asked = read_asked(fields)
        return asked, asked.options

    run, asked = await take_recording(request, prefect, files, key, quotas, admission, read)
    run = run_for(key, await end_of(request, watcher, run, LONGEST_WAIT_S))
    if run.error is not None:
        return failure(request, run, run.error)
    return await in_thread(answer, files, await read_finished(prefect, files, run), asked)


async def end_of(request: Request[Any, Any, Any], watcher: Watcher, run: JobRun, longest_s: float) -> JobRun:
    """The run when it is finished, for as long as the client listens.

    Raises:
        ClientGone: it went away.
        TimedOut: the run has not ended after `longest_s`.
    """
    try:
        async with asyncio.timeout(longest_s):
            return await while_listening(request, watcher.wait_for_end(run))
    except TimeoutError:
        raise TimedOut(
            f"the transcript is not ready after {longest_s:g} s; the job goes on",
            fix=f"read /v1/status/{run.run_id}, or send the same again",
            task_id=str(run.run_id),
        ) from None


def read_asked(fields: Form) -> TranscriptionAsked:
    """The fields of a form; names of lists may end in `[]`. Raises `BadInput`."""
    given: dict[str, list[str]] = {}
    for name, values in fields.items():
        given.setdefault(name.removesuffix("[]"), []).extend(value for value in values if value.strip())
    return read_fields(
        TranscriptionAsked, {name: values if name in LISTS else values[-1] for name, values in given.items() if values}
    )


def failure(request: Request[Any, Any, Any], run: JobRun, error: RunError) -> Response[Any]:
    """What became of a job that failed: the client's fault as on submission, ours as 500 that is not to be repeated."""
    kind = FAULTS.get(error.code, TranscriptionFailed)
    response = c500_problem(request, kind(error.message, fix=error.fix, task_id=str(run.run_id), stage=error.stage))
    response.headers["x-should-retry"] = "false"  # its worker has tried again already
    return response


def answer(files: Files, result: JobResult, asked: TranscriptionAsked) -> Response[Any]:
    """The transcript in the form asked for. Reads the store."""
    form = asked.response_format
    if form in EXPORTS:
        ref = result.files[EXPORTS[form]]
        return Response(files.read_bytes(ref.key), media_type=ref.media_type)
    transcript = Transcript.model_validate_json(files.read_bytes(result.files["transcript.json"].key))
    text = " ".join(segment.text for segment in transcript.segments)
    if form == "text":
        return Response(f"{text}\n", media_type="text/plain")
    usage = {"type": "duration", "seconds": round(transcript.duration_s)}
    if form == "json":
        return Response({"text": text, "usage": usage})
    return Response(verbose(transcript, text, asked.timestamp_granularities) | {"usage": usage})


def verbose(transcript: Transcript, text: str, granularities: tuple[str, ...]) -> dict[str, Any]:
    """OpenAI's `verbose_json`."""
    content: dict[str, Any] = {
        "task": "transcribe",
        "language": transcript.language,
        "duration": transcript.duration_s,
        "text": text,
    }
    if "segment" in granularities:
        content["segments"] = [_segment(number, segment) for number, segment in enumerate(transcript.segments)]
    if "word" in granularities:
        words = [word for segment in transcript.segments for word in segment.words]
        content["words"] = [{"word": word.text, "start": word.start_s, "end": word.end_s} for word in words]
    return content


def _segment(number: int, segment: Segment) -> dict[str, Any]:
    text = segment.text.encode()
    return {
        "id": number,
        "seek": 0,
        "start": segment.start_s,
        "end": segment.end_s,
        "text": segment.text,
        "tokens": [],
        "temperature": 0.0,
        "avg_logprob": segment.avg_logprob,
        "compression_ratio": round(len(text) / len(zlib.compress(text)), 3),
        "no_speech_prob": segment.no_speech_prob,
    }


handlers = [transcribe]
