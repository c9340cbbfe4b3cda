"""A summary in the form of a template."""

from bisect import bisect_left
from collections.abc import Callable, Sequence

from blocks.enhanced import Enhanced, Summary
from blocks.job import Notice
from blocks.language.protocol import LanguageEngine, Prompt
from blocks.language.registry import choose
from blocks.progress import in_thread
from blocks.residency import loaded
from blocks.steps import step
from blocks.store import open_store
from blocks.store.files import FileRef
from blocks.transcript import EngineInfo, Segment, Transcript
from tasks.llm.template import Template, load_template, render

SYSTEM = "You write structured summaries and answer with JSON alone."

MAX_INPUT_WORDS = 12_000
"""About an hour and a half of speech: fits the 32,768 tokens that models of today take at least. For engines that do
not say what fits."""


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
    async with loaded(choose(engine.name, "summarise")) as model:
        summary = await summarise(text, load_template(template), model, job=folder.rpartition("/")[2])
    made = summary.model_dump_json(indent=2).encode()
    return await in_thread(files.put_bytes, f"{folder}/summary.json", made, "application/json")


async def summarise(
    transcript: Transcript,
    template: Template,
    engine: LanguageEngine,
    max_input_words: int = MAX_INPUT_WORDS,
    *,
    job: str | None = None,
) -> Summary:
    """Summarise a transcript; what cannot be had is named in the notices, never made up.

    Args:
        transcript: Raw or enhanced.
        template: The form.
        engine: What writes.
        max_input_words: Words of text given to an engine without a budget of tokens; whole segments beyond are
            left out, as they are beyond the budget of one that has it.
        job: For which job, for the books.
    """
    if not transcript.segments:
        return Summary(
            template=template.name,
            content=None,
            engine=engine.info(),
            notices=(Notice(step="summarise", code="no_speech", message="There is nothing to summarise."),),
        )
    prompt = await in_thread(_prompt, transcript, template, engine, max_input_words)
    [answer] = await engine.complete([prompt.model_copy(update={"job": job})], template.schema_)
    notices: list[Notice] = []
    if left_out := len(transcript.segments) - len(prompt.segments):
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


def _prompt(transcript: Transcript, template: Template, engine: LanguageEngine, max_input_words: int) -> Prompt:
    """The request with as many of the first segments as fit, at least one."""
    budget = engine.budget()

    def request(segments: Sequence[Segment]) -> str:
        return render(template, _text(segments), transcript.language)

    def fits(segments: Sequence[Segment]) -> bool:
        if budget is not None:
            return budget.takes(SYSTEM, request(segments))
        return sum(len(segment.text.split()) for segment in segments) <= max_input_words

    segments = _within(transcript.segments, fits)
    return Prompt(
        task="summarise",
        system=SYSTEM,
        user=request(segments),
        text=_text(segments),
        segments=segments,
        language=transcript.language,
    )


def _within(segments: tuple[Segment, ...], fits: Callable[[Sequence[Segment]], bool]) -> tuple[Segment, ...]:
    """The most first segments that fit, at least one."""
    more = range(2, len(segments) + 1)
    return segments[: bisect_left(more, True, key=lambda count: not fits(segments[:count])) + 1]


def _shortened(left_out: int, total: int) -> Notice:
    message = f"The text was too long: the last {left_out} of {total} segments are not in the summary."
    return Notice(step="summarise", code="input_shortened", message=message)


def _text(segments: Sequence[Segment]) -> str:
    return "\n".join(_said(segment) for segment in segments)


def _said(segment: Segment) -> str:
    return f"{segment.speaker}: {segment.text}" if segment.speaker else segment.text
