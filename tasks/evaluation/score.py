"""One case: its output held against what a person says is right."""

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import Field

from blocks.language.validation import problems_of
from blocks.model import Frozen
from tasks.evaluation.case import Case
from tasks.evaluation.faithful import claims_of
from tasks.evaluation.fields import field_scores
from tasks.evaluation.normalise import BY_NAME, Normalisation
from tasks.evaluation.output import Output
from tasks.evaluation.scores import CaseScore, Difference, Judgement, SchemaCheck
from tasks.evaluation.speakers import speaker_errors
from tasks.evaluation.word_times import time_errors
from tasks.evaluation.words import Chunk, character_errors, word_errors

VERSION = 2
"""Raise it when the same output gives other scores."""

SchemaOf = Callable[[str], Mapping[str, Any]]
"""The schema of a template, by its name."""


class Scoring(Frozen):
    """How outputs are held against references.

    Attributes:
        normalisation: What counts as the same word; a name of `tasks.evaluation.normalise`.
        collar_s: Seconds on each side of a speaker's boundary that do not count.
        skip_overlap: Whether stretches in which several speak do not count for the diarisation error.
    """

    normalisation: str = Field(default="words", pattern="^(" + "|".join(BY_NAME) + ")$")
    collar_s: float = Field(default=0.25, ge=0, le=5)
    skip_overlap: bool = False


def score(
    case: Case,
    output: Output,
    scoring: Scoring,
    *,
    template: str | None,
    schema_of: SchemaOf,
    judgements: tuple[Judgement, ...] = (),
) -> CaseScore:
    """The scores of a case.

    Args:
        case: What is right.
        output: What was given.
        scoring: How they are compared.
        template: Of the summary; None when it is not known.
        schema_of: Finds its schema.
        judgements: What a model said of it.
    """
    heard, lacks = _heard(case, output, scoring)
    told, missing = _told(case, output, template, schema_of)
    return CaseScore(
        case=case.id,
        group=case.group,
        judgements=judgements,
        lacks=(*lacks, *missing),
        job_id=output.job_id,
        rtf=output.rtf,
        cost_usd=output.cost_usd,
        **heard,
        **told,
    )


def _heard(case: Case, output: Output, scoring: Scoring) -> tuple[dict[str, Any], list[str]]:
    """What can be said of the transcript."""
    found: dict[str, Any] = {}
    lacks: list[str] = []
    by, language = BY_NAME[scoring.normalisation], case.language or output.language
    if case.reference is not None and output.text is None:
        lacks += ["wer", "cer"]
    elif case.reference is not None:
        found |= _texts(case.reference, output.text or "", by, language)
    if case.words and not output.words:
        lacks += ["word_start", "word_end"]
    elif case.words:
        found["times"] = time_errors(case.words, output.words, by, language)
    if case.turns is not None and output.turns is None:
        lacks.append("der")
    elif case.turns is not None:
        found["speakers"] = speaker_errors(
            case.turns, output.turns or (), collar_s=scoring.collar_s, skip_overlap=scoring.skip_overlap
        )
    return found, lacks


def _texts(reference: str, hypothesis: str, by: Normalisation, language: str | None) -> dict[str, Any]:
    said, heard = by.words(reference, language), by.words(hypothesis, language)
    errors, chunks = word_errors(said, heard)
    return {
        "words": errors,
        "characters": character_errors(said, heard),
        "diff": tuple(_difference(one, said, heard) for one in chunks),
    }


def _difference(chunk: Chunk, said: list[str], heard: list[str]) -> Difference:
    return Difference(
        reference=" ".join(said[at] for at in chunk.reference),
        hypothesis=" ".join(heard[at] for at in chunk.hypothesis),
        equal=chunk.equal,
    )


def _told(case: Case, output: Output, template: str | None, schema_of: SchemaOf) -> tuple[dict[str, Any], list[str]]:
    """What can be said of the summary."""
    if not case.wants_summary and output.summary is None:
        return {}, []
    language = case.language or output.language
    found: dict[str, Any] = {"fields": field_scores(case.expected, output.summary, case.match, language)}
    if template is not None:
        problems = ["there is no summary"]
        if output.summary is not None:
            problems = problems_of(output.summary, dict(schema_of(template)))
        found["schema_check"] = SchemaCheck(template=template, valid=not problems, problems=tuple(problems))
    if output.summary is None:
        return found, ["faithfulness"]
    found["claims"] = claims_of(output.summary, output.said, language)
    return found, []
