"""One job as a row of figures; no word of what was said, and no name of a recording, is in it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import chain
from typing import Any, Literal

from pydantic import AwareDatetime, Field, ValidationError

from blocks.audio import SAMPLE_RATE_HZ, Span, Speech
from blocks.errors import NotFound
from blocks.job import JobResult
from blocks.language.validation import problems_of
from blocks.model import Frozen
from blocks.transcript import Segment, Transcript, Word
from tasks.quality.audit.wording import TOLD, compression_ratio, language_of, repeated_share, words_of
from tasks.quality.results import StoredResult, Unreadable, why_unreadable

BYTES_PER_SAMPLE = 2
WAV_HEADER_BYTES = 44
SECONDS_PER_MINUTE = 60
TOKENS_PER_PRICE = 1_000

SHORTEST_S = 10.0
"""Recordings below this tell nothing by their shares and paces: a second more or less is a tenth of them."""


LEAST_COVERAGE = 0.1
"""Share of speech from which on a transcript should have words; below it a detector may err on noise."""


MOST_COVERAGE = 0.9
"""Share of speech above which its times tell nothing: wherever words lie, there is speech."""


@dataclass(frozen=True, kw_only=True)
class Known:
    """What rows are made with, besides the store.

    Attributes:
        schemas: JSON Schema of each summary template that there is now.
        dearest_usd: By model, the dollars for a token of input and of output at its dearest account.
        booked_usd: By job, what the books say that its calls cost.
        results_kept: For how long the store keeps results; None for good.
    """

    schemas: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    dearest_usd: Mapping[str, tuple[float, float]] = field(default_factory=dict[str, tuple[float, float]])
    booked_usd: Mapping[str, float] = field(default_factory=dict[str, float])
    results_kept: timedelta | None = None


class JobRow(Frozen):
    """A finished job in figures: the table `jobs` of audits, and a line of the history."""

    job_id: str = Field(description="id of the job")
    finished_at: AwareDatetime = Field(description="when it was finished, in UTC")
    kind: Literal["audio", "text"] = Field(description="what it was made of")
    status: str = Field(description="`complete`, `partial` or `no_speech`")
    engine: str | None = Field(default=None, description="speech engine, with its model")
    language_engine: str | None = Field(default=None, description="language engine, with its model")
    template: str | None = Field(default=None, description="summary template, where a summary was asked for")
    pipeline: str = Field(default="", description="version of C500")
    notices: str = Field(default="", description="codes of its notices, by name, joined by commas")

    audio_s: float | None = Field(default=None, description="length of the decoded audio, in seconds")
    claimed_s: float | None = Field(default=None, description="length by the recording's container, in seconds")
    decoded_share: float | None = Field(default=None, description="`audio_s` / `claimed_s`, at most 1.5")
    file_share: float | None = Field(default=None, description="length of audio.wav by its bytes / `audio_s`")
    last_word_s: float | None = Field(default=None, description="end of the last segment or word, in seconds")
    overrun_s: float | None = Field(default=None, description="seconds by which the transcript passes the audio's end")
    heard_share: float | None = Field(default=None, description="share of the speech found that segments cover")
    alignment: float | None = Field(
        default=None, description="how much more the words lie in the speech found than by chance: 1 all, 0 no more"
    )
    unheard_tail_share: float | None = Field(
        default=None, description="time from the last segment to the last speech found / `audio_s`"
    )

    segments: int | None = Field(default=None, description="segments of the transcript")
    words: int | None = Field(default=None, description="words of the transcript")
    words_per_min: float | None = Field(default=None, description="words per minute of the segments")
    is_empty: bool | None = Field(default=None, description="whether there is speech, and nothing in the text")
    repeated_share: float | None = Field(default=None, description="share of words in segments that came before")
    compression: float | None = Field(default=None, description="compression ratio of the text, its most of any part")
    asked_language: str | None = Field(default=None, description="language that was asked for")
    language: str | None = Field(default=None, description="language of the transcript, as its engine says")
    text_language: str | None = Field(default=None, description="language that its words are in; empty if undecided")
    language_agrees: bool | None = Field(default=None, description="whether the two agree; empty if undecided")
    removed_share: float | None = Field(default=None, description="segments that the guard took out / all")

    rtf: float | None = Field(default=None, description="processing time / audio length, of 10 s of audio or more")
    processing_s: float = Field(default=0.0, description="processing time, in seconds")
    coverage: float | None = Field(default=None, description="seconds with speech / length (VAD)")
    confidence: float | None = Field(default=None, description="mean of exp(avg_logprob), by duration")
    edit_rate: float | None = Field(default=None, description="words changed by the language engine / words")

    summary_problems: int | None = Field(default=None, description="ways in which the summary breaks its schema")
    summary_filled: float | None = Field(default=None, description="share of the schema's fields that are not empty")

    tokens: int = Field(default=0, description="tokens sent and answered")
    cost_usd: float | None = Field(default=None, description="cost in dollars; empty if unknown")
    cost_per_min: float | None = Field(default=None, description="dollars per minute of audio")
    cost_per_ktoken: float | None = Field(default=None, description="dollars per 1,000 tokens")
    cost_over_price: float | None = Field(
        default=None, description="cost / its tokens at the price of accounts.yaml (of several the dearest)"
    )
    cost_over_books: float | None = Field(default=None, description="cost / what the books say that its calls cost")


def job_row(stored: StoredResult, known: Known) -> tuple[JobRow, tuple[Unreadable, ...]]:
    """The row of a job, and which of its files cannot be read; the figures of those are empty.

    Args:
        stored: The job.
        known: See `Known`.
    """
    result, transcript, speech = stored.result, stored.transcript(), _speech(stored)
    unreadable = tuple(one for one in (transcript, speech) if isinstance(one, Unreadable))
    heard = None if isinstance(transcript, Unreadable) else transcript
    found = None if isinstance(speech, Unreadable) else speech
    facts = _identity(stored) | _lengths(result) | _figures(result) | _summary(result, known) | _costs(result, known)
    if heard is not None:
        facts |= _words(result, heard)
        if result.audio is not None:
            facts |= _ends(result, heard)
            facts |= _against_speech(heard, found) if found is not None else {}
    return JobRow(**facts), unreadable


def _speech(stored: StoredResult) -> Speech | Unreadable | None:
    """Where speech was found; None for a job that did not look for it."""
    if (ref := stored.result.files.get("speech.json")) is None:
        return None
    try:
        return Speech.model_validate_json(stored.files.read_bytes(ref.key))
    except (NotFound, ValidationError) as error:
        return why_unreadable(ref.key, error)


def _identity(stored: StoredResult) -> dict[str, Any]:
    result, versions = stored.result, stored.result.versions
    engines = {"engine": versions.speech, "language_engine": versions.language}
    return {
        "job_id": stored.job_id,
        "finished_at": stored.finished_at,
        "kind": "text" if result.audio is None else "audio",
        "status": result.status,
        "pipeline": versions.pipeline,
        "template": result.options.template if "summary" in result.options.features else None,
        "notices": ",".join(sorted({notice.code for notice in result.notices})),
        "asked_language": result.options.language,
    } | {name: "/".join(filter(None, (info.name, info.model))) if info else None for name, info in engines.items()}


def _lengths(result: JobResult) -> dict[str, Any]:
    """The length of the audio as its container, its decoder and its file say."""
    if result.audio is None:
        return {}
    audio_s, claimed_s = result.metrics.input_duration_s, result.audio.duration_s
    wav, channels = result.files.get("audio.wav"), 2 if result.options.diarise == "channels" else 1
    told: dict[str, Any] = {"audio_s": audio_s, "claimed_s": claimed_s}
    if claimed_s and claimed_s >= SHORTEST_S:
        told["decoded_share"] = min(audio_s / claimed_s, 1.5)
    if wav is not None and audio_s >= SHORTEST_S:
        by_size_s = (wav.size_bytes - WAV_HEADER_BYTES) / (SAMPLE_RATE_HZ * BYTES_PER_SAMPLE)
        # A recording of one channel cannot be split: whichever number of channels fits is the right one.
        told["file_share"] = min((by_size_s / number / audio_s for number in {1, channels}), key=lambda x: abs(x - 1))
    return told


def _figures(result: JobResult) -> dict[str, Any]:
    metrics = result.metrics
    return {
        "rtf": metrics.rtf if metrics.input_duration_s >= SHORTEST_S else None,
        "processing_s": metrics.processing_time_s,
        "coverage": metrics.vad_coverage,
        "confidence": metrics.asr_confidence_avg,
        "edit_rate": metrics.edit_rate_cleaning,
    }


def _words(result: JobResult, transcript: Transcript) -> dict[str, Any]:
    text, by_segment = transcript.text, [words_of(segment.text) for segment in transcript.segments]
    words = list(chain.from_iterable(by_segment))
    spoken_s = sum(one.end_s - one.start_s for one in transcript.segments)
    said = language_of(text, words)
    known = result.language in TOLD and said is not None
    all_segments = len(by_segment) + result.removed
    return {
        "segments": len(by_segment),
        "words": len(words),
        "words_per_min": len(words) * SECONDS_PER_MINUTE / spoken_s if spoken_s >= SHORTEST_S else None,
        "is_empty": not any(map(str.isalnum, text)) and (result.metrics.vad_coverage or 0) >= LEAST_COVERAGE,
        "repeated_share": repeated_share(by_segment),
        "compression": compression_ratio(text),
        "language": result.language,
        "text_language": said,
        "language_agrees": said == result.language if known else None,
        "removed_share": result.removed / all_segments if all_segments else None,
    }


def _ends(result: JobResult, transcript: Transcript) -> dict[str, Any]:
    ends = [max([one.end_s, *(word.end_s for word in one.words[-1:])]) for one in transcript.segments]
    if not ends:
        return {}
    last_s = max(ends)
    return {"last_word_s": last_s, "overrun_s": max(0.0, last_s - result.metrics.input_duration_s)}


def _against_speech(transcript: Transcript, speech: Speech) -> dict[str, Any]:
    """How well the transcript lies where the detector found speech; nothing where there is too little to tell."""
    found, said = _united(speech.spans), _united(transcript.segments)
    # Segments may reach over pauses; words do not.
    timed = _united([word for segment in transcript.segments for word in segment.words]) or said
    if _length(found) < SHORTEST_S or _length(timed) < SHORTEST_S:
        return {}
    told = {
        "heard_share": _both(found, said) / _length(found),
        "unheard_tail_share": max(0.0, found[-1][1] - said[-1][1]) / speech.duration_s,
    }
    by_chance = _length(found) / speech.duration_s
    if by_chance <= MOST_COVERAGE:
        told["alignment"] = (_both(found, timed) / _length(timed) - by_chance) / (1 - by_chance)
    return told


def _both(one: list[tuple[float, float]], other: list[tuple[float, float]]) -> float:
    """Seconds that are in both."""
    return _length(one) + _length(other) - _length(_merged([*one, *other]))


def _united(stretches: Sequence[Span | Segment | Word]) -> list[tuple[float, float]]:
    return _merged([(one.start_s, one.end_s) for one in stretches])


def _merged(stretches: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The same time in stretches that do not overlap, in order."""
    merged: list[tuple[float, float]] = []
    for start_s, end_s in sorted(stretches):
        if merged and start_s <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end_s))
        else:
            merged.append((start_s, end_s))
    return merged


def _length(stretches: list[tuple[float, float]]) -> float:
    return sum(end_s - start_s for start_s, end_s in stretches)


def _summary(result: JobResult, known: Known) -> dict[str, Any]:
    """How the summary fits its template's schema, where that is still there."""
    schema = known.schemas.get(result.options.template)
    if schema is None or result.summary is None:
        return {}
    fields = list(schema.get("properties") or schema.get("required") or ())
    filled = sum(result.summary.get(name) not in (None, "", [], {}) for name in fields)
    return {
        "summary_problems": len(problems_of(result.summary, dict(schema))),
        "summary_filled": filled / len(fields) if fields else None,
    }


def _costs(result: JobResult, known: Known) -> dict[str, Any]:
    metrics = result.metrics
    tokens, cost = metrics.prompt_tokens + metrics.completion_tokens, metrics.cost_usd
    told: dict[str, Any] = {"tokens": tokens, "cost_usd": cost}
    if cost is None:
        return told
    if metrics.input_duration_s >= SHORTEST_S:
        told["cost_per_min"] = cost * SECONDS_PER_MINUTE / metrics.input_duration_s
    if tokens:
        told["cost_per_ktoken"] = cost * TOKENS_PER_PRICE / tokens
    if at_price := _at_price(result, known):
        told["cost_over_price"] = cost / at_price
    if booked_usd := known.booked_usd.get(result.job_id):
        told["cost_over_books"] = cost / booked_usd
    return told


def _at_price(result: JobResult, known: Known) -> float | None:
    """What the job's tokens cost at most; None where a model is not known by name, or has no price."""
    engine = result.versions.language
    if engine is None or engine.model is None:
        return None
    models = {engine.model, str(engine.settings.get("enhance_model", engine.model))}
    prices = [known.dearest_usd.get(model) for model in models]
    if None in prices:
        return None
    used = (result.metrics.prompt_tokens, result.metrics.completion_tokens)
    return max(used[0] * price[0] + used[1] * price[1] for price in prices if price is not None)
