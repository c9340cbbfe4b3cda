"""The account pool as a model of pydantic-ai: agents share limits, budgets, books and connections with all others."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from typing import Any

from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, RetryPromptPart
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.settings import ModelSettings

from blocks.accounts.account import Tier
from blocks.accounts.chat import Caller, ChatRequest
from blocks.accounts.pool import Pool
from tasks.agents.exchange import chat_messages, chat_tools, response_of


class PooledModel(Model[Any]):
    """Any model of `accounts.yaml`, by name or by tier.

    Args:
        pool: Gives the accounts; asked at each call, since an agent may outlive a pool.
        caller: Gives for whom a call is made.
        model: A model's name in `accounts.yaml`; None leaves the choice to the tier.
        tier: How hard the work is; None has the rules of `accounts.yaml` decide.
        max_output_tokens: Most tokens of an answer; None for the model's default.
        hidden: Names of tools that the model is not told of.
    """

    def __init__(
        self,
        pool: Callable[[], Pool],
        caller: Callable[[], Caller],
        *,
        model: str | None = None,
        tier: Tier | None = None,
        max_output_tokens: int | None = None,
        hidden: frozenset[str] = frozenset(),
    ) -> None:
        super().__init__()
        self._pool, self._caller = pool, caller
        self._model, self._max_output_tokens = model, max_output_tokens
        self._tier: Tier | None = tier
        self._hidden = hidden

    @property
    def model_name(self) -> str:
        """Its name in `accounts.yaml`, or the tier."""
        return self._model or self._tier or "auto"

    @property
    def system(self) -> str:
        """The provider: the pool."""
        return "c500"

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
        run_context: Any = None,
    ) -> ModelResponse:
        """Have the pool answer.

        Raises:
            C500Error: as `Pool.complete`.
        """
        chosen, parameters = self.prepare_request(model_settings, model_request_parameters)
        answer = await self._pool().complete(self._asked(messages, chosen, parameters), self._caller())
        return response_of(answer)

    def _asked(
        self, messages: list[ModelMessage], chosen: ModelSettings | None, parameters: ModelRequestParameters
    ) -> ChatRequest:
        chosen = chosen or {}
        every = (*parameters.declared_function_tools, *parameters.output_tools)
        tools = [tool for tool in every if tool.name not in self._hidden]
        must_call = bool(tools) and not parameters.allow_text_output
        structured = parameters.output_object if parameters.output_mode == "native" else None
        instructions = self._get_instruction_parts(messages, parameters) or []
        return ChatRequest(
            messages=chat_messages(
                _without_unknown(messages, {tool.name for tool in every}, sorted(tool.name for tool in tools)),
                "\n\n".join(part.content for part in instructions),
            ),
            model=self._model,
            tier=self._tier,
            max_output_tokens=chosen.get("max_tokens") or self._max_output_tokens,
            temperature=chosen.get("temperature"),
            response_schema=structured.json_schema if structured else None,
            tools=chat_tools(tools),
            tool_choice="required" if must_call else None,
            stop=tuple(chosen.get("stop_sequences") or ()),
            seed=chosen.get("seed"),
        )


def _without_unknown(
    messages: Iterable[ModelMessage], known: Collection[str], shown: Collection[str]
) -> list[ModelMessage]:
    """The messages; where a model with tools called one that there is not, it is told of none that is hidden from it.

    pydantic-ai answers such a call with the names of all tools that it could make (2.59).
    """
    if not known:
        return list(messages)
    offer = f"use one of {', '.join(shown)}" if shown else "there is none"

    def told(message: ModelMessage) -> ModelMessage:
        if not isinstance(message, ModelRequest):
            return message
        parts = [
            replace(part, content=f"There is no tool {part.tool_name!r}: {offer}.")
            if isinstance(part, RetryPromptPart) and part.tool_name is not None and part.tool_name not in known
            else part
            for part in message.parts
        ]
        return replace(message, parts=parts)

    return [told(message) for message in messages]
