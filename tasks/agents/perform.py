"""Doing a tool call that was permitted: once, in its time, without secrets in what comes back."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import structlog
from pydantic import BaseModel, ValidationError
from pydantic_ai.exceptions import AgentRunError

from blocks.action import hash_of
from blocks.effects import InDoubt
from blocks.errors import BadInput, C500Error, EngineFailed, Stopped, TimedOut, Unsupported
from tasks.agents.folded import as_text
from tasks.agents.opened import Opened
from tasks.agents.tool import Call, Tool

log = structlog.stdlib.get_logger("c500")

SHOWN_IN_AUDIT = 2000
"""Characters of a result that its audit record shows; its hash is over all of it."""


async def perform(work: Opened, tool: Tool[Any], call_id: str, arguments: dict[str, Any]) -> Any:
    """Do a call; a call with effects that was done already gives what it gave then.

    Args:
        work: The run.
        tool: Which.
        call_id: Names the call in all attempts of the run.
        arguments: As they were permitted.

    Returns:
        What the model is told: JSON, or `{"error": …}` with code, message and fix.

    Raises:
        Stopped: the run was stopped.
        StoreFailed: it cannot be written down that the call begins; it is not made.
        AgentRunError: the tool ends the run.
    """
    call = work.call(call_id)
    if not tool.read_only:
        await work.record(
            "started", f"{call_id}/started", **facts_of(tool, call_id, arguments), reversible=tool.reversible
        )
    try:
        checked = checked_arguments(tool, arguments)
        if tool.read_only:
            return await _within_time(work, tool, checked, call)
        return await work.effects.once(
            call.effect_id, lambda: _within_time(work, tool, checked, call), repeatable=tool.repeatable
        )
    except (Stopped, AgentRunError):
        raise
    except C500Error as error:
        return _told(work, error)
    except Exception as error:  # noqa: BLE001 - a fault of the tool ends no run; the ledger leaves its effect in doubt
        undone = "" if tool.read_only else "; whether its effect happened is not known"
        return _told(work, _broken(work, tool, error, undone))


async def previewed(work: Opened, tool: Tool[Any], call_id: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """What a call would do, which is not made.

    Args:
        work: The run.
        tool: Which.
        call_id: Names the call.
        arguments: As they were permitted.

    Returns:
        `{"dry_run": …}`, or `{"error": …}` as `perform`, where it could not be done so.

    Raises:
        Stopped: the run was stopped.
    """
    if tool.preview is None:
        return {"dry_run": work.place.redactor.value(arguments)}
    try:
        async with _in_time(tool):
            shown = await tool.preview(checked_arguments(tool, arguments), work.call(call_id))
        return {"dry_run": work.place.redactor.text(shown)}
    except Stopped:
        raise
    except C500Error as error:
        return _told(work, error)
    except Exception as error:  # noqa: BLE001 - as in `perform`
        return _told(work, _broken(work, tool, error))


def _told(work: Opened, error: C500Error) -> dict[str, Any]:
    redact = work.place.redactor.text
    return {"error": {"code": error.code, "message": redact(error.message), "fix": redact(error.fix)}}


def _broken(work: Opened, tool: Tool[Any], error: Exception, undone: str = "") -> EngineFailed:
    """The error for one that a tool should not have raised: what it says may hold anything."""
    told = work.place.redactor.text(f"{type(error).__name__}: {error}")[:SHOWN_IN_AUDIT]
    log.error("tool_broke", run_id=work.run_id, tool=tool.name, error=told)
    return EngineFailed(
        f"{tool.name} broke off: {told}{undone}", fix="go on without it; the operator finds it in the log"
    )


def note_outcome(work: Opened, tool: Tool[Any], call_id: str, arguments: dict[str, Any], result: Any) -> None:
    """Have it written down what came of a call; the same in every attempt of the run."""
    facts = facts_of(tool, call_id, arguments)
    if isinstance(result, dict) and "error" in result:
        work.note("failed", f"{call_id}/failed", **facts, outcome=as_text(result)[:SHOWN_IN_AUDIT])  # pyright: ignore[reportUnknownArgumentType]
        _tell_user(work, tool, call_id, result["error"])
        return
    details = {"result_sha256": hash_of(tool.name, result)}
    work.note("done", f"{call_id}/done", **facts, outcome=as_text(result)[:SHOWN_IN_AUDIT], details=details)


def _tell_user(work: Opened, tool: Tool[Any], call_id: str, error: Any) -> None:
    """Keep for the run's result what its user should know of a call that failed."""
    match error:
        case {"code": InDoubt.code}:
            work.tally.in_doubt[work.call(call_id).effect_id] = tool.name
        case {"code": Unsupported.code, "message": str(message)}:
            work.tally.refused.append(f"{tool.name}: {message}")
        case _:
            pass


def facts_of(tool: Tool[Any], call_id: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """What each record of a call has."""
    hashed = hash_of(tool.name, arguments)
    return {"tool": tool.name, "call_id": call_id, "arguments_hash": hashed, "risk": tool.risk}


def checked_arguments(tool: Tool[Any], arguments: dict[str, Any]) -> BaseModel:
    """The arguments as the tool takes them. Raises `BadInput`, naming each that is wrong."""
    try:
        return tool.arguments.model_validate(arguments)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc'])) or 'arguments'}: {fault['msg']}"
            for fault in error.errors(include_url=False, include_input=False)
        )
        raise BadInput(
            f"{tool.name} cannot be called so: {faults}", fix="correct the arguments", field="arguments"
        ) from None


@asynccontextmanager
async def _in_time(tool: Tool[Any], undone: str = "") -> AsyncGenerator[None]:
    try:
        async with asyncio.timeout(tool.timeout_s):
            yield
    except TimeoutError as error:
        raise TimedOut(
            f"{tool.name} did not end within {tool.timeout_s:g} s{undone}",
            fix="look at the state, then take a smaller step",
        ) from error


async def _within_time(work: Opened, tool: Tool[Any], arguments: BaseModel, call: Call) -> Any:
    async with _in_time(tool, "" if tool.read_only else "; a part of its effect may have happened"):
        result = await tool.call(arguments, call)
    return capped(work.place.redactor.value(result), tool.output_chars)


def capped(result: Any, most_chars: int) -> Any:
    """The result, or the beginning and the end of its text when it is longer than the model should see."""
    text = as_text(result)
    if len(text) <= most_chars:
        return result
    head, tail = most_chars * 3 // 4, most_chars // 4
    left_out = len(text) - head - tail
    return f"{text[:head]}\n… {left_out} characters left out …\n{text[-tail:]}"
