"""What the model was asked and what it answered, in the audit."""

from typing import Any

from pydantic_ai.capabilities import AbstractCapability
from pydantic_ai.messages import ModelResponse
from pydantic_ai.models import ModelRequestContext
from pydantic_ai.tools import RunContext

from tasks.agents.exchange import asked_tools, said
from tasks.agents.measured import count_model_call
from tasks.agents.opened import work_of


class Trail(AbstractCapability[str]):
    """Writes down every answer of the model: its reasons, the calls it asks for, its tokens and its cost."""

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
        return response
