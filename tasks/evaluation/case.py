"""What is evaluated: inputs, and what a person says the output should be."""

from typing import Any, Literal

from pydantic import Field, model_validator

from blocks.model import Frozen

Match = Literal["exact", "normalised", "f1"]
"""How a text is held against the expected one; see `tasks.evaluation.fields`."""


class TimedWord(Frozen):
    """A word and when it is spoken; times in seconds from the start of the recording."""

    text: str
    start_s: float = Field(ge=0)
    end_s: float = Field(ge=0)

    @model_validator(mode="after")
    def _ends_after_it_starts(self) -> "TimedWord":
        if self.end_s < self.start_s:
            raise ValueError(f"it ends at {self.end_s:g} s, before it starts at {self.start_s:g} s")
        return self


class SpeakerTurn(Frozen):
    """Who speaks when; labels need not be those of the output."""

    speaker: str = Field(min_length=1)
    start_s: float = Field(ge=0)
    end_s: float = Field(ge=0)

    @model_validator(mode="after")
    def _ends_after_it_starts(self) -> "SpeakerTurn":
        if self.end_s < self.start_s:
            raise ValueError(f"it ends at {self.end_s:g} s, before it starts at {self.start_s:g} s")
        return self


class Case(Frozen):
    """One recording or text, and what is right about it. What is not given is not measured.

    Attributes:
        id: Its name; no two cases have the same.
        audio: Path or address of the recording; None for a text.
        start_s, end_s: The stretch of the recording that is meant; None for its beginning and its end.
        text: The text to summarise; None for a recording.
        reference: What is said in the recording, word for word; empty: nothing is said.
        words: The same with times, counted from `start_s`.
        turns: Who speaks when, counted from `start_s`; None: not labelled.
        language: ISO 639-1 code; None leaves it to the configuration.
        template: Summary template; None leaves it to the configuration.
        expected: Fields that the summary should have, by name; those not named are not looked at.
        match: How fields are compared, by name.
        rubrics: Statements that should be true of the output, for the judge.
        group: What belongs together, as a speaker's utterances: drawn as one by the bootstrap.
    """

    id: str
    audio: str | None = None
    start_s: float | None = None
    end_s: float | None = None
    text: str | None = None
    reference: str | None = None
    words: tuple[TimedWord, ...] = ()
    turns: tuple[SpeakerTurn, ...] | None = None
    language: str | None = None
    template: str | None = None
    expected: dict[str, Any] = Field(default_factory=dict)
    match: dict[str, Match] = Field(default_factory=dict)
    rubrics: tuple[str, ...] = ()
    group: str | None = None

    @property
    def wants_summary(self) -> bool:
        """Whether there is something to say about a summary."""
        return self.text is not None or self.template is not None or bool(self.expected or self.rubrics)


class Dataset(Frozen):
    """Cases, in the order of their file.

    Attributes:
        name: The file's name without its ending.
        path: The file.
        cases: At least one.
    """

    name: str
    path: str
    cases: tuple[Case, ...]
