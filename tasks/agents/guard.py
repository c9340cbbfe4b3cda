"""The outermost guard of an agent: stops, limits, loops and circuit breakers, before every call and while it runs."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any, Self

import structlog
from pydantic_ai.capabilities import AbstractCapability, CapabilityOrdering
from pydantic_ai.exceptions import AgentRunError, ApprovalRequired, CallDeferred, ModelAPIError, ModelRetry
from pydantic_ai.exceptions import ToolRetryError as Retried
from pydantic_ai.messages import ModelResponse, ToolCallPart
from pydantic_ai.models import ModelRequestContext
from pydantic_ai.tools import RunContext, ToolDefinition

from blocks.errors import C500Error
from blocks.switches import Switch, Switches, family
from tasks.agents.breaker import Attempt, BreakerOpen, Breakers, Outcome, outcome_of, outcome_of_error
from tasks.agents.guarded import AgentStopped, GuardedRun, GuardEvent, GuardTripped, Limits
from tasks.agents.loops import FoundLoop, Made
from tasks.agents.stoppable import stoppable

__all__ = ["AgentStopped", "Guard", "GuardEvent", "GuardTripped", "GuardedRun", "Limits"]

PUT_OFF = (CallDeferred, ApprovalRequired)
"""Such calls come again."""

Call = Callable[[], Awaitable[Any]]


async def _tell_nobody(_event: GuardEvent) -> None:
    """What a guard does is not written down."""


@dataclass(kw_only=True)
class Guard(AbstractCapability[Any]):
    """Stops a run when a switch says so, and ends one that passes a limit or goes round in circles.

    The switches are looked at before each call of the model and of a tool, and again right before it is made, when
    others had their say; while it runs they are watched, and a stop cancels it. A limit cancels nothing: tool calls are
    refused from there on, and the run ends before the model is called again. What ends a run comes out of `Agent.run`
    as it is: `AgentStopped`, `GuardTripped`, `BreakerOpen`.

    What the model is told, as that a call is refused, is the same in each replay of the run.

    Attributes:
        switches: Where stops are set.
        of: Gives the state of the run, made anew for each attempt of it.
        limits: What the run may take.
        polls: Tools whose use it is to be called again and again.
        read_only: Tools that change nothing.
        breakers: Circuit breakers of the tools and models; None for none.
        tell: Is told what the guard does, before the run ends or the model hears of it.
    """

    switches: Switches
    of: Callable[[RunContext[Any]], GuardedRun]
    limits: Limits = field(default_factory=Limits)
    polls: frozenset[str] = frozenset()
    read_only: frozenset[str] = frozenset()
    breakers: Breakers | None = None
    tell: Callable[[GuardEvent], Awaitable[None]] = _tell_nobody
    _run: GuardedRun | None = field(default=None, repr=False)

    @classmethod
    def get_serialization_name(cls) -> str | None:
        """None: a guard is made by code, not by a file."""
        return None

    def get_ordering(self) -> CapabilityOrdering:
        """Outermost: nothing happens that it does not see."""
        return CapabilityOrdering(position="outermost")

    async def for_run(self, ctx: RunContext[Any]) -> Self:
        """A guard with the state of this run."""
        return replace(self, _run=self.of(ctx))

    async def wrap_model_request(
        self,
        ctx: RunContext[Any],
        *,
        request_context: ModelRequestContext,
        handler: Callable[[ModelRequestContext], Awaitable[ModelResponse]],
    ) -> ModelResponse:
        """Have the model called while nothing speaks against it."""
        run, model = self._guarded, ctx.model.model_name
        run.steps += 1
        await self._look(run)
        if run.ended is None and (passed := run.passed(self.limits, tokens=ctx.usage.total_tokens)):
            await self._end(run, passed)
        if run.ended is not None:
            raise run.ended
        key, call_id = f"{run.agent}/model:{model}", f"{run.run_id}/model/{run.steps}"
        if (attempt := await self._admitted(key, call_id, lasting=False)) is None:
            told = f"the model {model} failed again and again"
            await self.tell(run.event("refused", "breaker", told))
            raise BreakerOpen(told, fix="see whether its accounts work, and resume the run in some minutes")
        async with stoppable(self.switches, run, lambda switch: self._stopped(run, switch)):
            return await _followed(attempt, lambda: handler(request_context))

    async def before_model_request(
        self, ctx: RunContext[Any], request_context: ModelRequestContext
    ) -> ModelRequestContext:
        """Look at the switches once more: since the first look, others may have waited."""
        await self._look(self._guarded)
        return request_context

    async def wrap_tool_execute(
        self,
        ctx: RunContext[Any],
        *,
        call: ToolCallPart,
        tool_def: ToolDefinition,
        args: dict[str, Any],
        handler: Callable[[dict[str, Any]], Awaitable[Any]],
    ) -> Any:
        """Have the tool called while nothing speaks against it; a refusal is its result."""
        run, tool, call_id = self._guarded, call.tool_name, call.tool_call_id
        # Counted before anything is waited for: calls that are made at once count in the model's order, in each replay.
        made, finding = run.loops.begin(tool, args, polls=tool in self.polls, read_only=tool in self.read_only)
        run.actions += 1
        try:
            await self._look(run, call_id, tool)
            if refusal := await self._refusal(run, made, finding, call_id):
                return {"refused": refusal}
            if (attempt := await self._admitted(f"{run.agent}/{tool}", f"{run.run_id}/{call_id}")) is None:
                told = f"{tool} failed again and again, and is not called for some minutes. Go on without it."
                await self.tell(run.event("refused", "breaker", told, call_id, tool))
                return {"refused": told}
            async with stoppable(self.switches, run, lambda switch: self._stopped(run, switch, call_id, tool)):
                return await _followed(attempt, lambda: _remembered(run, made, lambda: handler(args)))
        finally:
            run.loops.dropped(made)

    async def before_tool_execute(
        self, ctx: RunContext[Any], *, call: ToolCallPart, tool_def: ToolDefinition, args: dict[str, Any]
    ) -> dict[str, Any]:
        """Look at the switches once more: since the first look, a person may have been asked."""
        await self._look(self._guarded, call.tool_call_id, call.tool_name)
        return args

    @property
    def _guarded(self) -> GuardedRun:
        if self._run is None:
            raise RuntimeError("the guard was not bound to a run")
        return self._run

    async def _look(self, run: GuardedRun, call_id: str | None = None, tool: str | None = None) -> None:
        """Raises `AgentStopped` where a switch is set."""
        found = await self.switches.look(family(run.agent, run.run_id, run.parents))
        if found:
            raise await self._stopped(run, next(iter(found.values())), call_id, tool)

    async def _stopped(
        self, run: GuardedRun, switch: Switch, call_id: str | None = None, tool: str | None = None
    ) -> AgentStopped:
        error = AgentStopped.by(switch)
        try:
            await self.tell(run.event("stopped", switch.scope, error.message, call_id, tool))
        except C500Error as failed:  # a stop stops, also when it cannot be written down
            structlog.stdlib.get_logger("c500").warning("a stop was not told", run_id=run.run_id, error=failed.message)
        return error

    async def _refusal(self, run: GuardedRun, made: Made, finding: FoundLoop | None, call_id: str) -> str | None:
        """Why a call is not made: the run is to end, or it is the first of a loop."""
        if run.ended is None and (passed := run.passed(self.limits, made=made, finding=finding)):
            await self._end(run, passed, call_id, made.tool)
        if run.ended is not None:
            return f"{run.ended.message}. The run ends here: no call is made any more."
        if finding is None:
            return None
        await self.tell(run.event("warned", finding.kind, finding.told, call_id, made.tool))
        return finding.text

    async def _end(
        self, run: GuardedRun, error: GuardTripped, call_id: str | None = None, tool: str | None = None
    ) -> None:
        run.ended = error
        await self.tell(run.event("tripped", error.details["limit"], error.message, call_id, tool))

    async def _admitted(self, key: str, call_id: str, *, lasting: bool = True) -> Attempt | None:
        if self.breakers is None:
            return _Free()
        return await asyncio.to_thread(self.breakers.begin, key, call_id, lasting=lasting)


class _Free:
    """A call that no breaker follows."""

    def end(self, outcome: Outcome) -> None:
        """See `Attempt`."""


async def _followed(attempt: Attempt, call: Call) -> Any:
    """Make a call, and tell its breaker how it went."""
    outcome: Outcome = "none"
    try:
        result = await call()
        outcome = outcome_of(result)
        return result
    except Exception as error:
        outcome = _outcome_of_error(error)
        raise
    finally:
        await asyncio.to_thread(attempt.end, outcome)


async def _remembered(run: GuardedRun, made: Made, call: Call) -> Any:
    """Make a tool call, and remember what came back."""
    try:
        result = await call()
    except PUT_OFF:
        run.loops.withdraw(made)
        run.actions -= 1
        raise
    except Exception as error:
        run.loops.end(made, f"{type(error).__name__}: {error}")
        raise
    run.loops.end(made, result)
    return result


def _outcome_of_error(error: Exception) -> Outcome:
    """What an error tells of the health of what was called; that the model is to try again tells of the model."""
    if isinstance(error, (*PUT_OFF, ModelRetry, Retried)):
        return "none"
    if isinstance(error, AgentRunError) and not isinstance(error, ModelAPIError):
        return "none"
    return outcome_of_error(error)
