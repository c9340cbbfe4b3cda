"""How a user answers the coordinator's questions: at once where somebody listens, or by resuming a paused run."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from typing import Any
from uuid import UUID

from prefect.input import RunInput
from prefect.runtime import flow_run
from pydantic import Field, create_model

from flows.paused_form import PausedForm
from tasks.dispatch.means import Means
from tasks.dispatch.publish import store_answers, stored_answers
from tasks.dispatch.request import DispatchRequest
from tasks.dispatch.result import Clarification, Question

Listener = Callable[[Sequence[Question]], Awaitable[Sequence[str]]]
"""Asks the user; gives an answer for each question, empty for none."""

listener: ContextVar[Listener | None] = ContextVar("answers_listener", default=None)

POLL_S = 2.0
"""Seconds between two looks whether somebody has resumed the run."""

REPEAT_S = 1.0
"""The same once time is up and we resume it."""


async def clarified(
    asked: DispatchRequest, questions: Sequence[Question], means: Means, *, refresh: bool
) -> tuple[Clarification, ...]:
    """The questions with the user's answers; what nobody answers stays with its assumption.

    Answers are stored: nobody is asked the same twice, whatever becomes of this attempt.
    """
    if not refresh and (stored := await stored_answers(asked)) is not None:
        return stored
    with means.clock_stopped():
        answers = await _answers(asked, questions)
    made = tuple(
        Clarification(question=question, answer=answer.strip() or None)
        for question, answer in zip(questions, answers, strict=True)
    )
    if any(one.answer for one in made):
        await store_answers(asked, made)
    return made


async def _answers(asked: DispatchRequest, questions: Sequence[Question]) -> Sequence[str]:
    if (listening := listener.get()) is not None:
        return await listening(questions)
    if asked.options.answer_within_s > 0:
        return await pause_for_answers(questions, asked.options.answer_within_s, f"clarify-{asked.dispatch_id}")
    return [""] * len(questions)


async def pause_for_answers(questions: Sequence[Question], within_s: float, key: str) -> list[str]:
    """Pause the flow run until somebody resumes it with answers, or time is up.

    Args:
        questions: What is asked.
        within_s: How long, in seconds.
        key: Of the pause: only `[a-z0-9-]`, else Prefect refuses it after the run is paused already.
    """
    form = answer_form(questions)
    paused = PausedForm(UUID(str(flow_run.id)), key, form, within_s)
    ends_at = time.monotonic() + within_s
    while (given := await paused.look()) is None:
        left_s = ends_at - time.monotonic()
        if left_s <= 0:
            await paused.take_down()  # the next look finds the form sent, with nothing filled in
        await asyncio.sleep(min(left_s, POLL_S) if left_s > 0 else REPEAT_S)
    return [str(getattr(given, name)) for name in form.model_fields]


def answer_form(questions: Sequence[Question]) -> type[RunInput]:
    """The form that the Prefect UI shows: a line for each question."""
    fields: dict[str, Any] = {
        f"answer_{number}": (str, Field(default="", title=one.question, description=_hint(one)))
        for number, one in enumerate(questions, start=1)
    }
    form: type[RunInput] = create_model("Answers", __base__=RunInput, **fields)
    lines = [f"{number}. {one.question} {_hint(one)}" for number, one in enumerate(questions, start=1)]
    return form.with_initial_data(description="\n".join(["Before the request is planned:", "", *lines]))


def _hint(question: Question) -> str:
    why = f"{question.why.rstrip('.')}. " if question.why else ""
    return f"{why}Left empty: {question.assumption}"
