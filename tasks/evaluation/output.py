"""What a system gave for a case: of a job in the store, or of a file."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from blocks.enhanced import Enhanced
from blocks.job import JobResult
from blocks.model import Frozen
from blocks.store.files import Files
from blocks.transcript import Segment, Transcript
from tasks.evaluation.case import Case, SpeakerTurn, TimedWord
from tasks.evaluation.dataset import short_words
from tasks.evaluation.records import read_records
from tasks.evaluation.system import System


class Output(Frozen):
    """An output.

    Attributes:
        text: What was heard; None for a text case.
        words: The same with times, empty where there are none.
        turns: Who speaks when; None where speakers were not told apart.
        summary: The summary, None where there is none.
        said: What the summary was made from, speakers' names included.
        language: ISO 639-1 code.
        lost: What the job could not do, as its notices say; it is tried again the next time.
        job_id, rtf, cost_usd: Of the job; None for an output that was given.
    """

    text: str | None = None
    words: tuple[TimedWord, ...] = ()
    turns: tuple[SpeakerTurn, ...] | None = None
    summary: dict[str, Any] | None = None
    said: str = ""
    language: str | None = None
    lost: tuple[str, ...] = ()
    job_id: str | None = None
    rtf: float | None = None
    cost_usd: float | None = None


class Given(Frozen):
    """A record of a file of outputs.

    Attributes:
        id: The case's.
        text: What was heard.
        words, turns: As in a dataset.
        summary: The summary.
        error: Why there is no output.
    """

    id: str
    text: str | None = None
    words: tuple[TimedWord, ...] = ()
    turns: tuple[SpeakerTurn, ...] | None = None
    summary: dict[str, Any] | None = None
    error: str | None = None
    cost_usd: float | None = Field(default=None, ge=0)

    @model_validator(mode="before")
    @classmethod
    def _short_words(cls, given: Any) -> Any:
        return short_words(given)


def read_outputs(path: Path, cases: tuple[Case, ...]) -> dict[str, Given]:
    """The outputs of a file, by case.

    Raises:
        NotFound, Unsupported, BadInput: it cannot be read, is wrong, or names a case twice or one that there is not.
    """
    records = read_records(path, "hypotheses", "outputs")
    known, found = {case.id for case in cases}, dict[str, Given]()
    problems: list[tuple[int, str]] = []
    for one, line in records.read_as(Given):
        if one.id in found:
            problems.append((line, f"id: {one.id} stands here a second time"))
        found[one.id] = one
    if not known & found.keys():
        problems.append((1, "id: none of its ids is that of a case of the dataset"))
    if problems:
        raise records.wrong(problems)
    return found


def output_given(case: Case, given: Given) -> Output:
    """An output of a file, as far as it concerns the case."""
    words = " ".join(word.text for word in given.words) or None
    text = given.text if given.text is not None else words
    return Output(
        text=text,
        words=given.words,
        turns=given.turns,
        summary=given.summary,
        said=case.text or text or case.reference or "",
        language=case.language,
        cost_usd=given.cost_usd,
    )


def output_of(files: Files, system: System, case: Case, result: JobResult) -> Output:
    """The output of a job, read from the store."""
    raw = Transcript.model_validate_json(files.read_bytes(result.files["transcript.json"].key))
    better = None
    if "enhanced.json" in result.files:
        better = Enhanced.model_validate_json(files.read_bytes(result.files["enhanced.json"].key)).transcript
    # Nothing to enhance is no lack; an enhanced text that is not there is, and the raw one is not taken for it.
    scored = better if system.text == "enhanced" and raw.segments else raw
    return Output(
        text=None if case.text is not None or scored is None else scored.text,
        words=tuple(
            TimedWord(text=word.text, start_s=word.start_s, end_s=max(word.start_s, word.end_s))
            for segment in (() if scored is None else scored.segments)
            for word in segment.words
        ),
        turns=_turns(raw),
        summary=result.summary,
        said="\n".join(line for heard in (raw, better) if heard is not None for line in _lines(heard.segments)),
        language=case.language or result.language,
        lost=tuple(f"{one.step}: {one.message}" for one in result.notices) if result.status == "partial" else (),
        job_id=result.job_id,
        rtf=result.metrics.rtf,
        cost_usd=result.metrics.cost_usd,
    )


def _turns(transcript: Transcript) -> tuple[SpeakerTurn, ...] | None:
    """Who speaks when, None where nobody is named."""
    turns = tuple(
        SpeakerTurn(speaker=one.speaker, start_s=one.start_s, end_s=max(one.start_s, one.end_s))
        for one in transcript.segments
        if one.speaker
    )
    return turns or (None if transcript.segments else ())


def _lines(segments: tuple[Segment, ...]) -> Iterator[str]:
    return (f"{one.speaker}: {one.text}" if one.speaker else one.text for one in segments)
