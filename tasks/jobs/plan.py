"""Decide everything about a job before it starts, so that what cannot work fails at once."""

from importlib.metadata import version
from typing import Any

from blocks.diarisation import registry as diarisers
from blocks.job import JobOptions, JobPlan, Versions
from blocks.language import registry as language_engines
from blocks.language.protocol import LanguageTask
from blocks.settings import settings
from blocks.speech import registry as speech_engines
from blocks.transcript import EngineInfo

VOICES = ("cluster", "pyannote")
"""Ways to tell speakers apart that need a model."""

CLEANING = ("clean_transcript", "enhancement_metrics")


def plan_job(options: JobOptions, *, audio: bool, template_sha256: str | None) -> JobPlan:
    """Resolve `auto`, defaults and versions.

    Args:
        options: What the user asked for.
        audio: Whether speech is to be recognised.
        template_sha256: Hash of the chosen template, None when no summary is wanted.

    Raises:
        Unsupported: no installed engine or diariser has the name, or none speaks the language.
    """
    heard = speech_engines.choose(options.engine, options.language).info() if audio else None
    diariser = diarisers.choose(options.diarise).info() if audio and options.diarise in VOICES else None
    writer = _writer(options, summary=template_sha256 is not None)
    return JobPlan(
        options=options.model_copy(
            update={
                "engine": heard.name if heard else options.engine,
                "language_engine": writer.name if writer else options.language_engine,
            }
        ),
        versions=Versions(
            pipeline=version("c500"),
            speech=heard,
            diarisation=diariser,
            language=writer,
            template=options.template if template_sha256 else None,
        ),
        template_sha256=template_sha256,
    )


def _writer(options: JobOptions, *, summary: bool) -> EngineInfo | None:
    """The language engine with all models the job uses, None when it writes nothing."""
    cleaning: list[LanguageTask] = ["enhance"] if wants_cleaning(options) else []
    tasks: list[LanguageTask] = ["summarise", *cleaning] if summary else cleaning
    if not tasks:
        return None
    name = language_engines.resolve(options.language_engine, *tasks)
    first, *others = (language_engines.choose(name, task).info() for task in tasks)
    others = [info.model_dump(include={"model", "settings"}) for info in others if info != first]
    more: dict[str, Any] = {"enhance": others[0]} if others else {}
    more |= {"max_edit_rate": settings().enhance_max_edit_rate} if cleaning else {}  # what is over it stays raw
    return first.model_copy(update={"settings": first.settings | more})


def wants_cleaning(options: JobOptions) -> bool:
    """Whether the transcript is to be enhanced."""
    return any(feature in options.features for feature in CLEANING)


def wants_summary(options: JobOptions) -> bool:
    """Whether a summary is to be written."""
    return "summary" in options.features
