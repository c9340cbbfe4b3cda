"""Whether a tool call may be made: rules first, then a person where the rules say so; and what became of it."""

import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from pydantic_ai.capabilities import AbstractCapability
from pydantic_ai.exceptions import ModelRetry
from pydantic_ai.messages import ModelResponse, ToolCallPart
from pydantic_ai.tools import RunContext, ToolDefinition

from blocks.action import Action, Label, canonical, hash_of
from blocks.errors import BadInput, C500Error, NotAllowed
from blocks.model import Frozen
from blocks.policy import Decision
from tasks.agents.exchange import said
from tasks.agents.folded import as_text
from tasks.agents.measured import count_approval, count_decision
from tasks.agents.opened import Opened, work_of
from tasks.agents.perform import capped, checked_arguments, note_outcome, previewed
from tasks.agents.tool import Tool

if TYPE_CHECKING:
    from blocks.approvals import ApprovalDecision

REDACTED = "[REDACTED:"
"""Approvers see arguments without secrets; what they send back changed must not have the gaps as its text."""


SHOWN_OF_CHANGE = 2000
"""Characters of what a call would do, in the result of a dry run."""

SHOWN_LABELS: frozenset[Label] = frozenset({"untrusted"})
"""What a preview carries: it quotes files, or what runs in a cluster."""


class Permitted(Frozen):
    """What was decided of a call; kept, so that a run that goes on after a crash or a stop finds the same.

    Attributes:
        arguments: With which it may be made; None when it may not.
        why: Why it may not, or what the model should know.
        verdict: Of the rules, before anybody was asked.
        rule: Which rule decided.
        reason: Why, as the rule says.
        labels: What the run had seen by then.
        policy_version: Of the rules.
        profile: That was in force.
        approvers: Who agreed.
        edited: Whether a person changed the arguments.
    """

    arguments: dict[str, Any] | None
    why: str = ""
    verdict: str
    rule: str
    reason: str
    labels: tuple[Label, ...] = ()
    policy_version: str
    profile: str
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
        work, call_id = work_of(ctx.deps), call.tool_call_id
        tool = work.tools.get(call.tool_name)
        if tool is None:
            raise ModelRetry(f"there is no tool {call.tool_name}")
        try:
            checked_arguments(tool, args)
        except BadInput as error:
            raise ModelRetry(error.message) from None
        name = f"{call_id}/permitted/{hash_of(tool.name, args)}"
        permitted = await self._permitted(work, tool, call_id, args, name, _reasons(ctx))
        if permitted.arguments is None:
            work.tally.refused.append(f"{tool.name}: {permitted.why}")
            return {"refused": permitted.why}
        if work.dry_run and not tool.read_only:
            return await _rehearsed(work, tool, call_id, permitted.arguments)
        result = await handler(permitted.arguments)
        if tool.read_only:
            work.kept.put(name, permitted, sync=False)
        work.tally.actions += 1
        note_outcome(work, tool, call_id, permitted.arguments, result)
        work.labels |= tool.labels | tool.labels_of(result)
        return {"note": permitted.why, "result": result} if permitted.edited else result

    async def _permitted(
        self, work: Opened, tool: Tool[Any], call_id: str, arguments: dict[str, Any], name: str, reasons: str
    ) -> Permitted:
        """What is decided: once, unless the rules have changed before the call was made.

        What only reads is kept when it was made: until then it can be decided anew.
        """
        found = work.kept.find(Permitted, name)
        if found is not None and _stands(work, tool, call_id, found):
            # The attempt that decided may have died with its note.
            _note_decision(work, tool, call_id, arguments, found, reasons)
            return found
        decided = await _decided(work, tool, call_id, arguments, reasons)
        if not tool.read_only or decided.arguments is None:
            work.kept.put(name, decided, sync=not tool.read_only)
        return decided


def _stands(work: Opened, tool: Tool[Any], call_id: str, found: Permitted) -> bool:
    """Whether a decision of an earlier attempt holds: its call was made, or refused, or the same rules are in force."""
    if found.arguments is None or tool.read_only or work.effects.look(work.call(call_id).effect_id) is not None:
        return True
    in_force = (work.policy.version, work.policy.in_force(work.profile))
    return (found.policy_version, found.profile) == in_force


async def _decided(work: Opened, tool: Tool[Any], call_id: str, arguments: dict[str, Any], reasons: str) -> Permitted:
    try:
        action = action_of(work, tool, arguments)
    except (NotAllowed, BadInput) as error:
        permitted = _permitted_by(work, _beyond_reach(work, error), None, f"{error.message} ({error.fix})")
        _note_decision(work, tool, call_id, arguments, permitted, reasons)
        return permitted
    decision = await _judged(work, tool, action)
    is_refused = decision.verdict in ("deny", "forbid")
    permitted = _permitted_by(work, decision, None if is_refused else arguments, decision.reason if is_refused else "")
    _note_decision(work, tool, call_id, arguments, permitted, reasons)
    if work.dry_run and not tool.read_only:  # it is only shown what the call would do
        return permitted
    if decision.verdict == "ask":
        return await _asked(work, tool, call_id, action, decision)
    if decision.verdict == "notify":
        await _notified(work, tool, call_id, decision)
    return permitted


def _beyond_reach(work: Opened, error: C500Error) -> Decision:
    """The decision on a call that no rule could allow."""
    version, profile = work.policy.version, work.policy.in_force(work.profile)
    return Decision(verdict="deny", rule="reach", reason=error.message, policy_version=version, profile=profile)


def _permitted_by(
    work: Opened, decision: Decision, arguments: dict[str, Any] | None, why: str = "", **more: Any
) -> Permitted:
    return Permitted(
        arguments=arguments,
        why=work.place.redactor.text(why),
        verdict=decision.verdict,
        rule=decision.rule,
        reason=decision.reason,
        labels=tuple(sorted(work.labels)),
        policy_version=decision.policy_version,
        profile=decision.profile,
        **more,
    )


async def _notified(work: Opened, tool: Tool[Any], call_id: str, decision: Decision) -> None:
    told = f"agent {work.definition.name} ({work.run_id}) calls {tool.name}: {decision.reason}"
    await work.notify(work.place.redactor.text(told))
    work.note("notified", f"{call_id}/notified", tool=tool.name, call_id=call_id, rule=decision.rule)


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


async def _asked(work: Opened, tool: Tool[Any], call_id: str, action: Action, decision: Decision) -> Permitted:
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
    await work.record(
        "asked", f"{call_id}/asked/{request.approval_id}", **about, rule=decision.rule, trigger=decision.reason
    )
    start = time.monotonic()
    with work.guarded.waiting(), work.live.waiting():
        answer = await work.ask(request)
    waited_s = time.monotonic() - start
    work.waited_s += waited_s
    count_approval(work, call_id, tool.risk, approved=answer.approved, waited_s=waited_s)
    outcome = "approved" if answer.approved else "refused"
    name = f"{call_id}/answered/{request.approval_id}"
    await work.record("answered", name, **about, outcome=outcome, approvers=answer.by, reasoning=answer.reason)
    if not answer.approved:
        why = answer.reason or "no person agreed in time"
        return _permitted_by(work, decision, None, f"not approved: {why}", approvers=answer.by)
    if not answer.edited:
        return _permitted_by(work, decision, action.arguments, approvers=answer.by)
    return await _edited(work, tool, call_id, answer, decision)


async def _edited(
    work: Opened, tool: Tool[Any], call_id: str, answer: "ApprovalDecision", asked: Decision
) -> Permitted:
    """The call with the arguments that a person gave it; they may be refused, but are not asked about again."""

    def refused(why: str) -> Permitted:
        return _permitted_by(work, asked, None, f"as {', '.join(answer.by)} changed it: {why}", approvers=answer.by)

    if REDACTED in canonical(answer.arguments):
        return refused("the arguments hold a place where a secret was taken out")
    try:
        action = action_of(work, tool, answer.arguments)
    except (NotAllowed, BadInput) as error:
        return refused(error.message)
    decision = await _judged(work, tool, action)
    changed = _permitted_by(
        work,
        decision,
        answer.arguments,
        f"{', '.join(answer.by)} changed the arguments before agreeing",
        approvers=answer.by,
        edited=True,
    )
    _note_decision(work, tool, call_id, answer.arguments, changed, answer.reason, of="changed")
    await work.written()
    if decision.verdict in ("deny", "forbid"):
        return refused(decision.reason)
    if decision.verdict == "ask" and decision.persons > len(set(answer.by)):
        return refused(f"{decision.persons} persons would have to agree ({decision.reason})")
    if decision.verdict == "notify":
        await _notified(work, tool, call_id, decision)
    return changed


def approval_id(run_id: str, call_id: str, arguments_hash: str, policy_version: str) -> str:
    """Names a question to a person: 16 hexadecimal digits, the same in every attempt of the run."""
    return sha256(f"{run_id}/{call_id}/{arguments_hash}/{policy_version}".encode()).hexdigest()[:16]


def _note_decision(
    work: Opened,
    tool: Tool[Any],
    call_id: str,
    arguments: dict[str, Any],
    permitted: Permitted,
    reasons: str,
    of: str = "decided",
) -> None:
    """Have a decision written down; in each attempt, since one that died may have taken the note along."""
    count_decision(work, f"{call_id}/{of}", permitted.verdict, permitted.rule)
    work.note(
        "decided",
        f"{call_id}/{of}/{permitted.policy_version[:12]}",
        tool=tool.name,
        call_id=call_id,
        arguments=work.place.redactor.value(arguments),
        arguments_hash=hash_of(tool.name, arguments),
        decision=permitted.verdict,
        rule=permitted.rule,
        policy_version=permitted.policy_version,
        risk=tool.risk,
        reversible=tool.reversible,
        trigger=permitted.reason,
        reasoning=work.place.redactor.text(reasons) or None,
        details={"labels": list(permitted.labels), "profile": permitted.profile},
    )


async def _rehearsed(work: Opened, tool: Tool[Any], call_id: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """What a call would do, for the model and for the user; a preview may show what lies there already."""
    shown = await previewed(work, tool, call_id, arguments)
    if "error" not in shown:
        work.tally.would_change.append(f"{tool.name}: {capped(as_text(shown['dry_run']), SHOWN_OF_CHANGE)}")
    if tool.preview is not None:
        work.labels |= tool.labels | SHOWN_LABELS
    return shown


def _reasons(ctx: RunContext[str]) -> str:
    """What the model said when it asked for the call."""
    last = next((message for message in reversed(ctx.messages) if isinstance(message, ModelResponse)), None)
    return said(last) if last else ""
