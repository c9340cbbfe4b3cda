"""Ids of tool calls that are told apart over a whole run, whatever a provider gives."""

from dataclasses import replace
from hashlib import sha256

from pydantic_ai.capabilities import AbstractCapability
from pydantic_ai.messages import ModelResponse, ToolCallPart
from pydantic_ai.models import ModelRequestContext
from pydantic_ai.tools import RunContext

ID_CHARS = 9
"""Mistral takes ids of nine letters and digits only; all others take those too."""


class CallIds(AbstractCapability[str]):
    """Gives a call another id where its own is empty, or was that of an earlier call of the run.

    Decisions, effects and the audit go by the id: a server that counts its calls anew in every answer, as some do,
    would have the second call find what was decided for the first, and what came of it. Each attempt gives the same.
    """

    def __init__(self) -> None:
        self._taken = {""}

    async def after_model_request(
        self, ctx: RunContext[str], *, request_context: ModelRequestContext, response: ModelResponse
    ) -> ModelResponse:
        """The answer with ids that no other call of the run has."""
        parts = [
            replace(part, tool_call_id=self._own(part.tool_call_id, f"{ctx.run_step}/{number}"))
            if isinstance(part, ToolCallPart)
            else part
            for number, part in enumerate(response.parts)
        ]
        return replace(response, parts=parts)

    def _own(self, given: str, place: str) -> str:
        own = given
        while own in self._taken:
            own = sha256(f"{place}/{own}".encode("utf-8", "surrogatepass")).hexdigest()[:ID_CHARS]
        self._taken.add(own)
        return own
