"""Decide everything about a job before it starts, so that what cannot work fails at once."""

from importlib.metadata import version

from blocks.job import JobOptions, JobPlan, Versions
from blocks.language import registry as language_engines
from blocks.settings import Settings, settings
from blocks.speech import registry as speech_engines

CLEANING = ("clean_transcript", "enhancement_metrics")


def plan_job(options: JobOptions, *, audio: bool, template_sha256: str | None) -> JobPlan:
    """Resolve `auto`, defaults and versions.

    Args:
        options: What the user asked for.
        audio: Whether speech is to be recognised.
        template_sha256: Hash of the chosen template, None when no summary is wanted.

    Raises:
        Unsupported: no installed engine has the name or speaks the language.
    """
    chosen = _with_defaults(options, settings())
    heard = speech_engines.choose(chosen.engine, chosen.language).info() if audio else None
    wants_text = template_sha256 is not None or wants_cleaning(chosen)
    writer = language_engines.choose(chosen.language_engine).info() if wants_text else None
    return JobPlan(
        options=chosen.model_copy(
            update={
                "engine": heard.name if heard else chosen.engine,
                "language_engine": writer.name if writer else chosen.language_engine,
            }
        ),
        versions=Versions(
            pipeline=version("c500"),
            speech=heard,
            language=writer,
            template=chosen.template if template_sha256 else None,
        ),
        template_sha256=template_sha256,
    )


def wants_cleaning(options: JobOptions) -> bool:
    """Whether the transcript is to be enhanced."""
    return any(feature in options.features for feature in CLEANING)


def wants_summary(options: JobOptions) -> bool:
    """Whether a summary is to be written."""
    return "summary" in options.features


def _with_defaults(options: JobOptions, defaults: Settings) -> JobOptions:
    """Fill what the options leave to the settings."""
    update: dict[str, object] = {}
    if options.vad_threshold is None:
        update["vad_threshold"] = defaults.vad_threshold
    if options.loudness_lufs is None:
        update["loudness_lufs"] = defaults.loudness_lufs
    return options.model_copy(update=update)
