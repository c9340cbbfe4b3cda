"""Minimal correction of a transcript, guarded: what changes too much or loses something stays raw."""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any

from blocks.edits import edit_rate, loss
from blocks.enhanced import Enhanced
from blocks.errors import EngineFailed, EngineUnavailable
from blocks.job import Notice
from blocks.language.protocol import Completion, LanguageEngine, Usage
from blocks.language.registry import choose
from blocks.progress import in_thread
from blocks.residency import loaded
from blocks.steps import step
from blocks.store import open_store
from blocks.store.files import FileRef
from blocks.transcript import EngineInfo, Segment, Transcript
from tasks.llm.windows import Lines, Window, any_size, fits_budget, prompt_for, windows


@step("enhance", timeout_s=3600, tags=("language",))
async def enhance_step(
    folder: str, transcript: FileRef, engine: EngineInfo, max_edit_rate: float, hints: tuple[str, ...]
) -> FileRef:
    """Write `enhanced.json`.

    Raises:
        EngineUnavailable: the language engine could not be reached; a window that merely failed is
            kept raw, with a notice.
    """
    files = open_store()
    raw = Transcript.model_validate_json(await in_thread(files.read_bytes, transcript.key))
    async with loaded(choose(engine.name, "enhance")) as model:
        job = folder.rpartition("/")[2]
        enhanced = await enhance(raw, model, max_edit_rate=max_edit_rate, hints=hints, job=job)
    content = enhanced.model_dump_json(indent=2).encode()
    return await in_thread(files.put_bytes, f"{folder}/enhanced.json", content, "application/json")


async def enhance(
    transcript: Transcript,
    engine: LanguageEngine,
    *,
    max_edit_rate: float,
    hints: tuple[str, ...] = (),
    job: str | None = None,
) -> Enhanced:
    """Correct all segments, window by window.

    Args:
        transcript: What was recognised.
        engine: What corrects.
        max_edit_rate: Share of changed words above which a window stays raw, 0 to 1.
        hints: Names and terms that must not be lost.
        job: For which job, for the books.
    """
    budget = await in_thread(engine.budget)
    fits = partial(fits_budget, budget, transcript.language) if budget else any_size
    cut = await in_thread(windows, transcript.segments, fits=fits)
    segments: list[Segment] = []
    notices: list[Notice] = []
    usage = Usage()
    cost_usd: float | None = 0.0
    for window, answer in zip(cut, await _answers(cut, transcript.language, engine, job), strict=True):
        texts, reason = _accepted(window.lines, answer, max_edit_rate, hints)
        segments += [s.model_copy(update={"text": text}) for s, text in zip(window.lines, texts, strict=True)]
        if reason:
            notices.append(_notice(window.lines, reason))
        if isinstance(answer, Completion):
            usage = _sum(usage, answer.usage)
            cost_usd = None if cost_usd is None or answer.cost_usd is None else cost_usd + answer.cost_usd
    return Enhanced(
        transcript=transcript.model_copy(update={"segments": tuple(segments)}),
        engine=engine.info(),
        edit_rate=edit_rate(transcript.text, "\n".join(segment.text for segment in segments)),
        windows=len(cut),
        notices=tuple(notices),
        usage=usage,
        cost_usd=cost_usd,
    )


def schema_for(count: int) -> dict[str, Any]:
    """JSON Schema of the answer for a window of so many lines."""
    lines = {
        "type": "array",
        "minItems": count,
        "maxItems": count,
        "items": {"type": "string", "minLength": 1},
    }
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["lines"],
        "properties": {"lines": lines},
    }


async def _answers(
    cut: Sequence[Window], language: str, engine: LanguageEngine, job: str | None
) -> list[Completion | EngineFailed]:
    """One answer a window; the schema counts lines, so each window is a request of its own."""
    slots = asyncio.Semaphore(engine.prompts_at_once)
    stop: list[EngineUnavailable] = []

    async def answer(window: Window) -> Completion | EngineFailed | EngineUnavailable:
        async with slots:
            if stop:
                return stop[0]
            try:
                prompt = prompt_for(window, language).model_copy(update={"job": job})
                [made] = await engine.complete([prompt], schema_for(len(window.lines)))
                return made
            except EngineFailed as error:
                return error
            except EngineUnavailable as error:
                stop.append(error)
                return error

    outcomes = await asyncio.gather(*(answer(window) for window in cut))
    answers = [outcome for outcome in outcomes if not isinstance(outcome, EngineUnavailable)]
    if stop:
        raise stop[0]
    return answers


def _accepted(
    lines: Lines, answer: Completion | EngineFailed, max_edit_rate: float, hints: tuple[str, ...]
) -> tuple[list[str], str | None]:
    """The texts to use, and why they are the raw ones."""
    raw = [line.text for line in lines]
    if isinstance(answer, EngineFailed):
        return raw, answer.message
    if answer.problems or answer.parsed is None:
        return raw, "the answer did not fit: " + "; ".join(answer.problems)
    better = [" ".join(str(text).split()) for text in answer.parsed["lines"]]
    if not all(better):
        return raw, "a line was lost"
    before, after = "\n".join(raw), "\n".join(better)
    if missing := loss(before, after, hints):
        return raw, f"{missing} was lost"
    if (rate := edit_rate(before, after)) > max_edit_rate:
        return raw, f"{rate:.0%} of the words were changed, over the limit of {max_edit_rate:.0%}"
    return better, None


def _notice(lines: Lines, reason: str) -> Notice:
    where = f"from {lines[0].start_s:.0f} s to {lines[-1].end_s:.0f} s" if lines[-1].end_s else "of the text"
    return Notice(step="enhance", code="window_kept_raw", message=f"The window {where} was kept raw: {reason}.")


def _sum(first: Usage, second: Usage) -> Usage:
    return Usage(
        prompt_tokens=first.prompt_tokens + second.prompt_tokens,
        completion_tokens=first.completion_tokens + second.completion_tokens,
    )
