"""A job: what was asked for, and what came of it."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from blocks.audio import AudioInfo, Channels
from blocks.content import content_hash
from blocks.model import Frozen
from blocks.settings import settings
from blocks.store.files import FileRef
from blocks.transcript import EngineInfo

Feature = Literal["raw_transcript", "clean_transcript", "summary", "enhancement_metrics"]
Diarise = Literal["none", "channels", "cluster", "pyannote"]
Status = Literal["complete", "partial", "no_speech"]

DEFAULT_FEATURES: tuple[Feature, ...] = ("clean_transcript", "summary")
DEFAULT_TEMPLATE = "meeting_notes"


class JobOptions(Frozen):
    """What to do with a recording.

    Attributes:
        language: ISO 639-1 code of the language spoken, or None to leave it to the engine.
        engine: Speech engine: a name from `c500 engines`, or `auto`.
        language_engine: Engine that enhances and summarises: a name, or `auto`.
        template: Summary template: a name from `c500 templates list`.
        features: What to make besides the transcript.
        diarise: How speakers are told apart: `none`; `channels` of a stereo call, one speaker each; `cluster` by
            voice; `pyannote`.
        speakers: Number of speakers, None when not known; only `cluster` and `pyannote` use it.
        guard: Whether the hallucination guard takes out what engines invent; HALLUCINATION_GUARD when not given.
        loudness_lufs: Integrated loudness to normalise to, in LUFS, or None; LOUDNESS_LUFS when not given.
        vad_threshold: Speech probability above which a window counts as speech; VAD_THRESHOLD when not given.
        hints: Names and terms likely to occur, for engines that take them.
    """

    language: str | None = Field(default=None, pattern=r"^[a-z]{2,3}$")
    engine: str = "auto"
    language_engine: str = "auto"
    template: str = DEFAULT_TEMPLATE
    features: tuple[Feature, ...] = DEFAULT_FEATURES
    diarise: Diarise = "none"
    speakers: int | None = Field(default=None, ge=1, le=20)
    guard: bool = Field(default_factory=lambda: settings().hallucination_guard)
    loudness_lufs: float | None = Field(default_factory=lambda: settings().loudness_lufs, ge=-70, le=-5)
    vad_threshold: float = Field(default_factory=lambda: settings().vad_threshold, gt=0, lt=1)
    hints: tuple[str, ...] = ()

    @property
    def channels(self) -> Channels:
        """Whether channels are mixed into one or kept apart."""
        return "split" if self.diarise == "channels" else "mix"


class Notice(Frozen):
    """Something the user should know about a result: a fallback, a refusal, a shortened input."""

    step: str
    code: str
    message: str


class Metrics(Frozen):
    """Figures of one job.

    Attributes:
        input_duration_s: Length of the audio.
        processing_time_s: Wall time from the first step to the last.
        step_time_s: Wall time by step; 0 for a step found done.
        rtf: Real-time factor = processing time / audio duration.
        vad_coverage: Seconds with speech / duration.
        vad_segments: Number of stretches of speech.
        asr_confidence_avg: Mean of exp(avg_logprob) over segments, weighted by their duration.
        edit_rate_cleaning: Levenshtein distance in words, raw to enhanced / number of raw words.
        prompt_tokens, completion_tokens: Tokens used by language engines, 0 without a model.
        cost_usd: Their price, None when not known.
        peak_rss_bytes: Peak resident memory of the process.
        peak_vram_bytes: Peak GPU memory, None without a GPU.
    """

    input_duration_s: float
    processing_time_s: float
    step_time_s: dict[str, float] = Field(default_factory=dict)
    rtf: float | None = None
    vad_coverage: float | None = None
    vad_segments: int | None = None
    asr_confidence_avg: float | None = None
    edit_rate_cleaning: float | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float | None = None
    peak_rss_bytes: int | None = None
    peak_vram_bytes: int | None = None


class Versions(Frozen):
    """Everything whose change could change the result."""

    pipeline: str
    speech: EngineInfo | None = None
    diarisation: EngineInfo | None = None
    language: EngineInfo | None = None
    template: str | None = None


class JobPlan(Frozen):
    """A job before its input is known: every choice made, every version named.

    Attributes:
        options: The options with nothing left open.
        versions: What will do the work.
        template_sha256: Hash of the template's files, None without a summary.
    """

    options: JobOptions
    versions: Versions
    template_sha256: str | None = None

    @property
    def speech_engine(self) -> EngineInfo:
        """The engine that listens; only a job of audio has one."""
        if self.versions.speech is None:
            raise TypeError("a job of text has no speech engine")
        return self.versions.speech

    def job_id(self, content_sha256: str) -> str:
        """First 16 hex digits of sha256 over the input, the options and all versions."""
        return content_hash([content_sha256, self])[:16]


class Job(Frozen):
    """A job whose input lies in the store.

    Attributes:
        job_id: First 16 hex digits of sha256 over content, options and versions.
        source: The input.
        source_name: File name or address as given.
        plan: What will be done.
    """

    job_id: str
    source: FileRef
    source_name: str
    plan: JobPlan

    @property
    def folder(self) -> str:
        """Where the job keeps its files in the store."""
        return job_folder(self.job_id)


def job_folder(job_id: str) -> str:
    """The folder of a job in the store."""
    return f"jobs/{job_id}"


class JobResult(Frozen):
    """The finished job; stored as `jobs/<job_id>/result.json`, whose presence means complete.

    Attributes:
        job_id: First 16 hex digits of sha256 over content, options and versions.
        status: `complete`; `partial` when a step could not do its work (see notices); `no_speech`.
        source_name: File name or address as given.
        source: The recording in the store; None for a text job.
        audio: What its container says.
        language: Language of the transcript.
        language_probability: The speech engine's, when it detected the language.
        removed: How many segments the hallucination guard took out; `transcript.json` says which.
        summary: The summary, as the template's schema says; None when not asked for or not to be had.
        files: Everything made, by file name.
    """

    job_id: str
    status: Status
    source_name: str
    source: FileRef | None = None
    audio: AudioInfo | None = None
    options: JobOptions
    language: str | None = None
    language_probability: float | None = None
    removed: int = 0
    summary: dict[str, Any] | None = None
    notices: tuple[Notice, ...] = ()
    metrics: Metrics
    versions: Versions
    files: dict[str, FileRef] = Field(default_factory=dict)
    finished_at: datetime
