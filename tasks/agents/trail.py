"""What the model was asked and what it answered, in the audit."""

from typing import Any

from pydantic_ai.capabilities import AbstractCapability
from pydantic_ai.messages import ModelResponse
from pydantic_ai.models import ModelRequestContext
from pydantic_ai.tools import RunContext

from blocks.model import Frozen
from tasks.agents.exchange import asked_tools, said
from tasks.agents.measured import count_model_call
from tasks.agents.opened import work_of

ACTIVE = "active"
KEEP_EVERY_S = 5.0
"""So much of its time at work a run may forget when it is killed."""


class Active(Frozen):
    """How long a run was at work, kept for its next attempt.

    Attributes:
        active_s: Seconds over all attempts, without waiting for people.
    """

    active_s: float


class Trail(AbstractCapability[str]):
    """Writes down every answer of the model: its reasons, the calls it asks for, its tokens and its cost."""

    def __init__(self) -> None:
        self._kept_s = 0.0

    async def after_model_request(
        self, ctx: RunContext[str], *, request_context: ModelRequestContext, response: ModelResponse
    ) -> ModelResponse:
        """Write the answer down, once for each step of the run."""
        work = work_of(ctx.deps)
        redactor, details = work.place.redactor, response.provider_details or {}
        facts: dict[str, Any] = {
            "model": response.model_name,
            "account": details.get("account"),
            "cost_usd": details.get("cost_usd"),
            "prompt_tokens": response.usage.input_tokens,
            "completion_tokens": response.usage.output_tokens,
            "asks_for": redactor.value(asked_tools(response)),
        }
        tally = work.tally
        tally.steps += 1
        tally.prompt_tokens += response.usage.input_tokens
        tally.completion_tokens += response.usage.output_tokens
        tally.cost_usd += float(details.get("cost_usd") or 0)
        count_model_call(work, ctx.run_step, response)
        work.note("model_call", f"model/{ctx.run_step}", reasoning=redactor.text(said(response)) or None, details=facts)
        if (active_s := work.guarded.active_s) - self._kept_s >= KEEP_EVERY_S:
            self._kept_s = active_s
            work.kept.put(ACTIVE, Active(active_s=active_s), sync=False)
        return response
