"""Decide everything about a job before it starts, so that what cannot work fails at once."""

from importlib.metadata import version

from blocks.diarisation import registry as diarisers
from blocks.job import JobOptions, JobPlan, Versions
from blocks.language import registry as language_engines
from blocks.speech import registry as speech_engines

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
    wants_text = template_sha256 is not None or wants_cleaning(options)
    writer = language_engines.choose(options.language_engine).info() if wants_text else None
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


def wants_cleaning(options: JobOptions) -> bool:
    """Whether the transcript is to be enhanced."""
    return any(feature in options.features for feature in CLEANING)


def wants_summary(options: JobOptions) -> bool:
    """Whether a summary is to be written."""
    return "summary" in options.features
