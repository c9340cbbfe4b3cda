"""Whether a tool call may be made: rules first, then a person where the rules say so; and what became of it."""

import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from pydantic_ai.capabilities import AbstractCapability
from pydantic_ai.exceptions import ModelRetry
from pydantic_ai.messages import ModelResponse, ToolCallPart
from pydantic_ai.tools import RunContext, ToolDefinition

from blocks.action import Action, canonical
from blocks.errors import BadInput, C500Error, NotAllowed
from blocks.model import Frozen
from blocks.policy import Decision
from tasks.agents.exchange import said
from tasks.agents.measured import count_approval, count_decision
from tasks.agents.opened import Opened, work_of
from tasks.agents.perform import checked_arguments, note_outcome
from tasks.agents.tool import Tool

REDACTED = "[REDACTED:"
"""Approvers see arguments without secrets; what they send back changed must not have the gaps as its text."""


class Permitted(Frozen):
    """What was decided of a call; kept, so that a run that goes on after a crash finds the same.

    Attributes:
        arguments: With which it may be made; None when it may not.
        why: Why it may not, or what the model should know.
        rule: Which rule decided.
        approvers: Who agreed.
        edited: Whether a person changed the arguments.
    """

    arguments: dict[str, Any] | None
    why: str = ""
    rule: str = ""
    approvers: tuple[str, ...] = ()
    edited: bool = False


class Permission(AbstractCapability[str]):
    """Puts every tool call before the policy, and before a person where the policy wants one."""

    async def wrap_tool_execute(
        self,
        ctx: RunContext[str],
        *,
        call: ToolCallPart,
        tool_def: ToolDefinition,
        args: dict[str, Any],
        handler: Callable[[dict[str, Any]], Awaitable[Any]],
    ) -> Any:
        """Make the call where it is permitted; else tell the model why it is not."""
        work = work_of(ctx.deps)
        tool = work.tools.get(call.tool_name)
        if tool is None:  # tools of capabilities, which change nothing outside of the conversation
            return await handler(args)
        try:
            checked_arguments(tool, args)
        except BadInput as error:
            raise ModelRetry(error.message) from None
        permitted = await self._permitted(work, tool, call.tool_call_id, args, _reasons(ctx))
        if permitted.arguments is None:
            work.tally.refused.append(f"{tool.name}: {permitted.why}")
            return {"refused": permitted.why}
        if work.dry_run and not tool.read_only:
            return {"dry_run": await _preview(work, tool, call.tool_call_id, permitted.arguments)}
        result = await handler(permitted.arguments)
        work.tally.actions += 1
        note_outcome(work, tool, call.tool_call_id, permitted.arguments, result)
        work.labels |= tool.labels
        return {"note": permitted.why, "result": result} if permitted.edited else result

    async def _permitted(
        self, work: Opened, tool: Tool[Any], call_id: str, arguments: dict[str, Any], reasons: str
    ) -> Permitted:
        """What is decided, once for each call and version of the policy."""
        return await work.kept.once(
            Permitted,
            f"{call_id}/permitted/{work.policy.version}",
            lambda: _decided(work, tool, call_id, arguments, reasons),
            sync=not tool.read_only,
        )


async def _decided(work: Opened, tool: Tool[Any], call_id: str, arguments: dict[str, Any], reasons: str) -> Permitted:
    try:
        action = action_of(work, tool, arguments)
    except (NotAllowed, BadInput) as error:
        _note_decision(work, tool, call_id, arguments, reasons, "deny", "reach", error.message)
        return Permitted(arguments=None, why=f"{error.message} ({error.fix})", rule="reach")
    decision = await _judged(work, tool, action)
    _note_decision(work, tool, call_id, arguments, reasons, decision.verdict, decision.rule, decision.reason)
    if decision.verdict in ("deny", "forbid"):
        return Permitted(arguments=None, why=decision.reason, rule=decision.rule)
    if decision.verdict == "ask" and not work.dry_run:
        return await _asked(work, tool, call_id, action, decision)
    if decision.verdict == "notify":
        told = f"agent {work.definition.name} ({work.run_id}) calls {tool.name}: {decision.reason}"
        await work.notify(work.place.redactor.text(told))
        work.note("notified", f"{call_id}/notified", tool=tool.name, call_id=call_id, rule=decision.rule)
    return Permitted(arguments=arguments, rule=decision.rule)


async def _judged(work: Opened, tool: Tool[Any], action: Action) -> Decision:
    """What the rules say, and who gives a second opinion: the stricter of the two."""
    decision = work.policy.decide(action, work.profile, now=datetime.now(UTC), attended=work.attended)
    if work.governor is None:
        return decision
    return await work.governor.judged(work, tool, action.arguments, decision)


def action_of(work: Opened, tool: Tool[Any], arguments: dict[str, Any]) -> Action:
    """A call as the rules see it.

    Raises:
        NotAllowed, BadInput: what it would reach cannot be reached by anybody.
    """
    return Action(
        tool=tool.name,
        arguments=arguments,
        risk=tool.risk,
        read_only=tool.read_only,
        reversible=tool.reversible,
        outside=tool.outside,
        touched=tool.touches(checked_arguments(tool, arguments), work.place),
        labels=frozenset(work.labels),
        user=work.user,
        agent=work.definition.name,
    )


async def _asked(work: Opened, tool: Tool[Any], call_id: str, action: Action, decision: Any) -> Permitted:
    """Have a person decide; what was changed by the person is put before the rules again."""
    from blocks.approvals import ApprovalRequest

    now = datetime.now(UTC)
    request = ApprovalRequest(
        approval_id=approval_id(work.run_id, call_id, action.arguments_hash, work.policy.version),
        run_id=work.run_id,
        call_id=call_id,
        agent=work.definition.name,
        requester=work.user,
        begun_by=work.begun_by,
        tool=tool.name,
        arguments=work.place.redactor.value(action.arguments),
        arguments_hash=action.arguments_hash,
        risk=tool.risk,
        persons=decision.persons,
        reason=decision.reason,
        policy_version=work.policy.version,
        asked_at=now,
        expires_at=now + timedelta(seconds=work.approval_s),
        flow_run_id=None,
    )
    about = {"tool": tool.name, "call_id": call_id, "arguments_hash": action.arguments_hash, "risk": tool.risk}
    await work.record("asked", f"{call_id}/asked", **about, rule=decision.rule, trigger=decision.reason)
    start = time.monotonic()
    with work.guarded.waiting(), work.live.waiting():
        answer = await work.ask(request)
    waited_s = time.monotonic() - start
    work.waited_s += waited_s
    count_approval(work, call_id, tool.risk, approved=answer.approved, waited_s=waited_s)
    outcome = "approved" if answer.approved else "refused"
    await work.record(
        "answered", f"{call_id}/answered", **about, outcome=outcome, approvers=answer.by, reasoning=answer.reason
    )
    if not answer.approved:
        why = answer.reason or "no person agreed in time"
        return Permitted(arguments=None, why=f"not approved: {why}", rule=decision.rule, approvers=answer.by)
    if not answer.edited:
        return Permitted(arguments=action.arguments, rule=decision.rule, approvers=answer.by)
    return await _edited(work, tool, answer, decision.rule)


async def _edited(work: Opened, tool: Tool[Any], answer: Any, rule: str) -> Permitted:
    """The call with the arguments that a person gave it; they may be refused, but are not asked about again."""
    if REDACTED in canonical(answer.arguments):
        why = "the changed arguments hold a place where a secret was taken out"
        return Permitted(arguments=None, why=why, rule=rule, approvers=answer.by)
    try:
        action = action_of(work, tool, answer.arguments)
        decision = await _judged(work, tool, action)
    except C500Error as error:
        return Permitted(arguments=None, why=f"as {', '.join(answer.by)} changed it: {error.message}", rule=rule)
    if decision.verdict in ("deny", "forbid"):
        return Permitted(arguments=None, why=decision.reason, rule=decision.rule, approvers=answer.by)
    return Permitted(
        arguments=answer.arguments,
        why=f"{', '.join(answer.by)} changed the arguments before agreeing",
        rule=rule,
        approvers=answer.by,
        edited=True,
    )


def approval_id(run_id: str, call_id: str, arguments_hash: str, policy_version: str) -> str:
    """Names a question to a person: 16 hexadecimal digits, the same in every attempt of the run."""
    return sha256(f"{run_id}/{call_id}/{arguments_hash}/{policy_version}".encode()).hexdigest()[:16]


def _note_decision(
    work: Opened,
    tool: Tool[Any],
    call_id: str,
    arguments: dict[str, Any],
    reasons: str,
    verdict: str,
    rule: str,
    reason: str,
) -> None:
    count_decision(work, call_id, verdict, rule)
    work.note(
        "decided",
        f"{call_id}/decided",
        tool=tool.name,
        call_id=call_id,
        arguments=work.place.redactor.value(arguments),
        decision=verdict,
        rule=rule,
        risk=tool.risk,
        reversible=tool.reversible,
        trigger=reason,
        reasoning=work.place.redactor.text(reasons) or None,
        details={"labels": sorted(work.labels)},
    )


async def _preview(work: Opened, tool: Tool[Any], call_id: str, arguments: dict[str, Any]) -> Any:
    if tool.preview is None:
        return {"tool": tool.name, "arguments": work.place.redactor.value(arguments)}
    shown = await tool.preview(checked_arguments(tool, arguments), work.call(call_id))
    return work.place.redactor.text(shown)


def _reasons(ctx: RunContext[str]) -> str:
    """What the model said when it asked for the call."""
    last = next((message for message in reversed(ctx.messages) if isinstance(message, ModelResponse)), None)
    return said(last) if last else ""
