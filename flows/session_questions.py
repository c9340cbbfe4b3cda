"""A question of an agent in a session, put to people by a form in the Prefect UI."""

import asyncio
import time
from hashlib import sha256
from typing import Any
from uuid import UUID

from prefect.context import FlowRunContext
from prefect.input import RunInput
from pydantic import Field, ValidationError

from blocks.markdown import fenced
from blocks.plain_text import cut, visible
from blocks.progress import only_informing
from flows.paused_form import PausedForm

POLL_S = 2.0
"""Seconds between two looks whether somebody has answered."""

LOOK_S = 10.0


class AnswerForm(RunInput):
    """What is asked of whoever opens it."""

    answer: str = Field(default="", title="Answer", max_length=100_000, description="The agent is told it.")


class AskPeople:
    """Puts the questions of one task to people, as long as somebody may answer.

    Args:
        task_id: The task.
        within_s: Seconds that each question waits.
    """

    def __init__(self, task_id: str, within_s: float) -> None:
        self._task_id, self._within_s = task_id, within_s

    async def __call__(self, question: str, key: str) -> str | None:
        """The answer; None where nobody gave one in time, or nobody could: no flow run waits. Raises `Stopped`."""
        context = FlowRunContext.get()
        if context is None or context.flow_run is None:
            return None
        until, turn = time.monotonic() + self._within_s, 0
        form = self._form(context.flow_run.id, question, key, turn)
        try:
            while time.monotonic() < until:
                said: str | None = None
                async with only_informing(within_s=LOOK_S):
                    said = await _looked(form)
                if said:
                    return said
                if said is not None:  # sent without an answer: it is shown again
                    turn += 1
                    form = self._form(context.flow_run.id, question, key, turn)
                    continue
                await asyncio.sleep(POLL_S)
            return None
        finally:
            async with only_informing("the end of a form", within_s=LOOK_S):
                await form.take_down()

    def _form(self, run_id: UUID, question: str, key: str, turn: int) -> PausedForm:
        told = "\n".join(["The agent asks:", "", fenced(cut(visible(question)))])
        kind: Any = AnswerForm.with_initial_data(description=told)
        name = sha256(f"{self._task_id}/{key}/{turn}".encode()).hexdigest()[:16]
        return PausedForm(run_id, f"question-{name}", kind, self._within_s)


async def _looked(form: PausedForm) -> str | None:
    """What somebody sent; None while nobody did."""
    try:
        sent: Any = await form.look()
    except ValidationError:
        return ""
    return None if sent is None else str(sent.answer).strip()
