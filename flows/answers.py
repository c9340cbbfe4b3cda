"""How a user answers the coordinator's questions: at once where somebody listens, or by resuming a paused run."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, cast
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.responses import SetStateStatus
from prefect.flow_runs import apause_flow_run
from prefect.input import RunInput, keyset_from_base_key
from prefect.runtime import flow_run
from pydantic import Field, create_model

from tasks.dispatch.means import Means
from tasks.dispatch.publish import store_answers, stored_answers
from tasks.dispatch.request import DispatchRequest
from tasks.dispatch.result import Clarification, Question

Listener = Callable[[Sequence[Question]], Awaitable[Sequence[str]]]
"""Asks the user; gives an answer for each question, empty for none."""

listener: ContextVar[Listener | None] = ContextVar("answers_listener", default=None)

POLL_S = 2
"""Seconds between two looks whether somebody has resumed the run."""

REPEAT_S = 1.0
NEVER_S = 3600
"""The pause itself ends so much later than we resume it: a run whose pause ends by itself fails."""


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
    unanswered = asyncio.create_task(_resume_unanswered(UUID(str(flow_run.id)), within_s))
    try:
        form_given = await apause_flow_run(
            wait_for_input=form, timeout=int(within_s) + NEVER_S, poll_interval=POLL_S, key=key
        )
    finally:
        unanswered.cancel()
        with suppress(asyncio.CancelledError):
            await unanswered
    given = cast("RunInput | None", form_given)
    if given is None:  # Prefect 3.8 returns nothing when a run that was paused here before comes by again
        given = await form.aload(keyset_from_base_key(f"paused-{key}"))
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


async def _resume_unanswered(run_id: UUID, within_s: float) -> None:
    """Resume without answers when time is up; tried again, since right after pausing the server refuses it."""
    await asyncio.sleep(within_s)
    async with get_client() as client:
        while (await client.resume_flow_run(run_id, run_input={})).status != SetStateStatus.ACCEPT:  # noqa: ASYNC110
            await asyncio.sleep(REPEAT_S)
