"""The hallucination guard: takes out what speech engines invent, and records each removal."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from blocks.audio import Speech
from blocks.transcript import Removal, Segment, Transcript
from tasks.audio.loops import loop_of
from tasks.audio.phantoms import consists_of, normalised, phrases
from tasks.audio.spans import PAD_S
from tasks.audio.voice import Voice

SILENCE_SHARE = 0.1
"""A segment with less than this share of its time in speech stands in silence."""

SILENCE_S = 2 * PAD_S
"""A segment with more speech than this is never silence, however long it is: some servers give one segment for
ten minutes with a few words in them. A segment in a pause can touch the padding of the spans on both sides."""

MAX_NO_SPEECH_PROB = 0.6
MIN_AVG_LOGPROB = -1.0
"""Source: openai/whisper, `whisper/transcribe.py`, defaults of no_speech_threshold and logprob_threshold."""

REPEATED_SEGMENTS = 4
REPEATED_LETTERS = 12
"""A sentence of at least 12 letters is not said in four segments in a row; "yes" and "dạ vâng ạ" are."""

DOUBTFUL_VOICED_SHARE = 0.5
DOUBTFUL_AVG_LOGPROB = -0.7
DOUBTFUL_NO_SPEECH_PROB = 0.5
"""A phrase that people say too is taken out only when half of it lies outside speech, or when the engine is unsure:
stricter than Whisper's own limits, because the phrase itself is evidence already."""

Reason = Literal["silence", "repetition", "no_speech", "phantom"]


@dataclass(frozen=True, kw_only=True)
class Case:
    """A segment before the rules.

    Attributes:
        segment: What the engine gave.
        words: Its normalised words.
        voiced_s: Seconds of it in speech.
        language: The transcript's language.
    """

    segment: Segment
    words: tuple[str, ...]
    voiced_s: float
    language: str

    @property
    def duration_s(self) -> float:
        """Length of the segment in seconds."""
        return self.segment.end_s - self.segment.start_s


def guard(transcript: Transcript, speech: Speech) -> Transcript:
    """Remove the segments that the engine most likely invented.

    Each goes to `removed` under the first rule it breaks: silence, repetition within the segment, no_speech, phantom.
    A sentence repeated from segment to segment is looked for last, among those that remain, and its first is kept;
    so a second pass finds nothing more.

    Args:
        transcript: As the engine gave it; what is in `removed` stays there.
        speech: The spans with speech. In a split call a segment of `Speaker n` is measured on channel n alone.
    """
    voice = Voice(speech)
    kept: list[Segment] = []
    removed: list[Removal] = []
    for segment in transcript.segments:
        case = Case(
            segment=segment,
            words=normalised(segment.text),
            voiced_s=voice.within(segment),
            language=transcript.language,
        )
        removal = next((_removal(segment, reason, said) for reason, rule in RULES if (said := rule(case))), None)
        if removal is None:
            kept.append(segment)
        else:
            removed.append(removal)
    kept, repeats = without_repeats(kept)
    found = sorted([*removed, *repeats], key=lambda removal: removal.start_s)
    return transcript.model_copy(update={"segments": tuple(kept), "removed": (*transcript.removed, *found)})


def silence(case: Case) -> str | None:
    """There is no speech where the segment stands."""
    if case.voiced_s < SILENCE_SHARE * case.duration_s and case.voiced_s <= SILENCE_S:
        return f"{case.voiced_s:.2f} s of {case.duration_s:.2f} s in speech"
    return None


def repetition(case: Case) -> str | None:
    """The segment is a loop; see `loop_of`."""
    return loop_of(case.words)


def no_speech(case: Case) -> str | None:
    """The engine itself heard no speech and doubts its words (Whisper's rule)."""
    probability, logprob = case.segment.no_speech_prob, case.segment.avg_logprob
    if probability is None or logprob is None:
        return None
    if probability > MAX_NO_SPEECH_PROB and logprob < MIN_AVG_LOGPROB:
        return f"no_speech_prob {probability:.2f}, avg_logprob {logprob:.2f}"
    return None


def phantom(case: Case) -> str | None:
    """The segment consists of phrases that engines are known to invent, or of no word at all ("♪♪", "...")."""
    if not case.words:
        return case.segment.text
    always, doubtful = phrases(case.language)
    said = " ".join(case.words)
    if consists_of(case.words, always):
        return said
    return said if consists_of(case.words, always | doubtful) and _weak(case) else None


RULES: tuple[tuple[Reason, Callable[[Case], str | None]], ...] = (
    ("silence", silence),
    ("repetition", repetition),
    ("no_speech", no_speech),
    ("phantom", phantom),
)
"""In order; each gives the figure or phrase that decided, None when the segment may stay."""


def without_repeats(segments: Sequence[Segment]) -> tuple[list[Segment], list[Removal]]:
    """Keep the first of a sentence that fills four or more segments in a row."""
    kept: list[Segment] = []
    removed: list[Removal] = []
    for words, group in groupby(segments, key=lambda segment: normalised(segment.text)):
        run = list(group)
        if len(run) >= REPEATED_SEGMENTS and len("".join(words)) >= REPEATED_LETTERS:
            removed += [_removal(segment, "repetition", f"in {len(run)} segments in a row") for segment in run[1:]]
            run = run[:1]
        kept += run
    return kept, removed


def _weak(case: Case) -> bool:
    """Whether anything but the phrase speaks against the segment; figures the engine does not give do not."""
    probability, logprob = case.segment.no_speech_prob, case.segment.avg_logprob
    return (
        case.voiced_s < DOUBTFUL_VOICED_SHARE * case.duration_s
        or (logprob is not None and logprob < DOUBTFUL_AVG_LOGPROB)
        or (probability is not None and probability > DOUBTFUL_NO_SPEECH_PROB)
    )


def _removal(segment: Segment, reason: Reason, detail: str) -> Removal:
    return Removal(start_s=segment.start_s, end_s=segment.end_s, text=segment.text, reason=reason, detail=detail)
