"""The tools of a run as pydantic-ai calls them."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from pydantic_ai.tools import RunContext
from pydantic_ai.tools import Tool as AgentTool
from pydantic_ai.toolsets import FunctionToolset
from pydantic_core import SchemaValidator, core_schema

from blocks.action import canonical
from tasks.agents.opened import work_of
from tasks.agents.perform import perform
from tasks.agents.tool import Tool

TOOLSET = "c500"
"""Prefect finds stored results of tool calls by this name."""


def toolset_of(tools: Iterable[Tool[Any]]) -> FunctionToolset[str]:
    """The tools as a toolset; the model sees name, description and arguments of each."""
    return FunctionToolset([_agent_tool(tool) for tool in tools], id=TOOLSET)


def _agent_tool(tool: Tool[Any]) -> AgentTool[str]:
    made: AgentTool[str] = AgentTool.from_schema(
        _performing(tool),
        name=tool.name,
        description=tool.description,
        json_schema=tool.arguments.model_json_schema(),
        takes_ctx=True,
        # One after the other, in the order in which the model asked: effects must not overtake their decisions.
        sequential=not tool.read_only or tool.outside,
    )
    # It would take anything, as a list; the tool itself looks at the fields.
    made.function_schema.validator = SchemaValidator(ARGUMENTS)
    return made


def _kept_as_json(arguments: dict[str, Any]) -> dict[str, Any]:
    """Raises `ValueError` for what no record can hold: NaN, infinity, halves of characters."""
    canonical(arguments).encode()
    return arguments


ARGUMENTS = core_schema.no_info_after_validator_function(
    _kept_as_json, core_schema.dict_schema(core_schema.str_schema(), core_schema.any_schema())
)


def _performing(tool: Tool[Any]) -> Callable[..., Awaitable[Any]]:
    async def call(ctx: RunContext[str], /, **arguments: Any) -> Any:
        if ctx.tool_call_id is None:
            raise TypeError("a tool is called by an agent")
        return await perform(work_of(ctx.deps), tool, ctx.tool_call_id, arguments)

    return call
