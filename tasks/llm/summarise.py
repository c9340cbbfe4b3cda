"""A summary in the form of a template."""

from blocks.enhanced import Enhanced, Summary
from blocks.job import Notice
from blocks.language.protocol import LanguageEngine, Prompt
from blocks.language.registry import choose
from blocks.progress import in_thread
from blocks.steps import step
from blocks.store import open_store
from blocks.store.files import FileRef
from blocks.transcript import EngineInfo, Segment, Transcript
from tasks.llm.template import Template, load_template, render

SYSTEM = "You write structured summaries and answer with JSON alone."

MAX_INPUT_WORDS = 12_000
"""About an hour and a half of speech: fits the 32,768 tokens that models of today take at least."""


@step("summarise", timeout_s=3600, tags=("language",))
async def summarise_step(
    folder: str,
    transcript: FileRef,
    enhanced: FileRef | None,
    template: str,
    template_sha256: str,
    engine: EngineInfo,
) -> FileRef:
    """Write `summary.json`, of the enhanced text where there is one.

    Args:
        folder: Where to write.
        transcript: The recognised transcript.
        enhanced: The enhanced one, None when there is none.
        template: The template's name.
        template_sha256: Its hash, so that a changed template is another summary.
        engine: The language engine.

    Raises:
        EngineFailed, EngineUnavailable: the language engine did not work.
    """
    files = open_store()
    if enhanced is not None:
        content = await in_thread(files.read_bytes, enhanced.key)
        text = Enhanced.model_validate_json(content).transcript
    else:
        text = Transcript.model_validate_json(await in_thread(files.read_bytes, transcript.key))
    summary = await summarise(text, load_template(template), choose(engine.name))
    made = summary.model_dump_json(indent=2).encode()
    return await in_thread(files.put_bytes, f"{folder}/summary.json", made, "application/json")


async def summarise(
    transcript: Transcript, template: Template, engine: LanguageEngine, max_input_words: int = MAX_INPUT_WORDS
) -> Summary:
    """Summarise a transcript; what cannot be had is named in the notices, never made up.

    Args:
        transcript: Raw or enhanced.
        template: The form.
        engine: What writes.
        max_input_words: Words of text given to the engine; whole segments beyond are left out.
    """
    if not transcript.segments:
        return Summary(
            template=template.name,
            content=None,
            engine=engine.info(),
            notices=(Notice(step="summarise", code="no_speech", message="There is nothing to summarise."),),
        )
    segments, left_out = _within(transcript.segments, max_input_words)
    text = "\n".join(_said(segment) for segment in segments)
    prompt = Prompt(
        task="summarise",
        system=SYSTEM,
        user=render(template, text, transcript.language),
        text=text,
        segments=segments,
        language=transcript.language,
    )
    [answer] = await engine.complete([prompt], template.schema_)
    notices: list[Notice] = []
    if left_out:
        notices.append(_shortened(left_out, len(transcript.segments)))
    if answer.problems:
        message = f"The summary does not fit the template {template.name}: {'; '.join(answer.problems)}."
        notices.append(Notice(step="summarise", code="summary_invalid", message=message))
    return Summary(
        template=template.name,
        content=None if answer.problems else answer.parsed,
        engine=engine.info(),
        notices=tuple(notices),
        usage=answer.usage,
        cost_usd=answer.cost_usd,
    )


def _within(segments: tuple[Segment, ...], most_words: int) -> tuple[tuple[Segment, ...], int]:
    """The first segments that fit, at least one, and how many are left out."""
    words = 0
    for index, segment in enumerate(segments):
        words += len(segment.text.split())
        if words > most_words and index:
            return segments[:index], len(segments) - index
    return segments, 0


def _shortened(left_out: int, total: int) -> Notice:
    message = f"The text was too long: the last {left_out} of {total} segments are not in the summary."
    return Notice(step="summarise", code="input_shortened", message=message)


def _said(segment: Segment) -> str:
    return f"{segment.speaker}: {segment.text}" if segment.speaker else segment.text
