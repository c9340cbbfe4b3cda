"""What was said, when, by whom, and which engine heard it."""

from typing import Any, Literal

from pydantic import Field

from blocks.model import Frozen


class Word(Frozen):
    """One spoken word; times in seconds from the start of the recording."""

    start_s: float = Field(ge=0)
    end_s: float = Field(ge=0)
    text: str
    probability: float = Field(ge=0, le=1)


class Segment(Frozen):
    """One utterance.

    Attributes:
        start_s: Start in seconds from the start of the recording.
        end_s: End in seconds.
        text: What was said, not empty.
        words: The words with their times, empty when the engine gives none.
        speaker: Label of the speaker, None when not known.
        avg_logprob: Mean natural log of the word (or token) probabilities, at most 0.
        no_speech_prob: Probability that the engine heard no speech, None when it does not say.
    """

    start_s: float = Field(ge=0)
    end_s: float = Field(ge=0)
    text: str = Field(min_length=1)
    words: tuple[Word, ...] = ()
    speaker: str | None = None
    avg_logprob: float | None = Field(default=None, le=0)
    no_speech_prob: float | None = Field(default=None, ge=0, le=1)


class EngineInfo(Frozen):
    """Which engine, in which version, with which model and settings: part of every cache key.

    Attributes:
        name: The engine's name here (`sphinx`, `openai`, `extractive`).
        version: Version of the library that does the work.
        model: Model name or path; None when the engine has none.
        settings: Everything else that changes its output.
    """

    name: str
    version: str
    model: str | None = None
    settings: dict[str, Any] = Field(default_factory=dict)


class Removal(Frozen):
    """A segment that the hallucination guard took out.

    Attributes:
        start_s, end_s: Where it stood, seconds from the start of the recording.
        text: What the engine claimed to hear.
        reason: `silence` (no speech there), `repetition`, `no_speech` (the engine itself doubts), or `phantom` (a
            phrase that engines are known to invent).
        detail: The figure or phrase that decided.
    """

    start_s: float = Field(ge=0)
    end_s: float = Field(ge=0)
    text: str
    reason: Literal["silence", "repetition", "no_speech", "phantom"]
    detail: str


class Transcript(Frozen):
    """All segments of a recording in order of start.

    Attributes:
        language: ISO 639-1 code, given or detected; `und` when there was nothing to detect it from.
        language_probability: The engine's probability of the detected language, None when it was given or is unknown.
        segments: The utterances.
        engine: What recognised them.
        duration_s: Length of the recording.
        removed: What the hallucination guard took out.
    """

    language: str
    language_probability: float | None = Field(default=None, ge=0, le=1)
    segments: tuple[Segment, ...]
    engine: EngineInfo
    duration_s: float = Field(ge=0)
    removed: tuple[Removal, ...] = ()

    @property
    def text(self) -> str:
        """The words alone, one line a segment."""
        return "\n".join(segment.text for segment in self.segments)
