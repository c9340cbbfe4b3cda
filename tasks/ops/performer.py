"""Doing deeds: rules first, then a person where the rules say so; each at most once, all of it in the audit."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from blocks.action import Action, canonical
from blocks.approvals import ApprovalRequest
from blocks.audit import Entry
from blocks.effects import EffectLedger, InDoubt, StoredError
from blocks.errors import C500Error, Stopped
from blocks.escalation.channels import Posted
from blocks.policy import Decision, Policy
from blocks.progress import in_thread
from blocks.redact import Redactor
from blocks.switches import Switches
from tasks.ops.deed import JSON, Deed, Lost, Outcome

if TYPE_CHECKING:
    from blocks.approvals import ApprovalDecision
    from blocks.audit import AuditLog

Ask = Callable[[ApprovalRequest], Awaitable["ApprovalDecision"]]
Tell = Callable[[str, str], Awaitable[Posted | None]]
"""Takes subject and body of a message to the operators; says what became of it, where that is known."""

SHOWN_CHARS = 2000
PERSONS = {"rules": 0, "one": 1, "two": 2}


@dataclass(frozen=True, kw_only=True)
class Performer:
    """Does the deeds of one run of an operations flow.

    Attributes:
        run_id: Of the run; the same in all its attempts.
        flow: The flow's name; rules and stop switches know it as an agent's.
        user: For whom it is done.
        begun_by: Who began it.
        profile: Of the policy.
        attended: Whether somebody can be asked.
        dry_run: Whether nothing is changed.
        ask_model: Whether a model may be asked for words.
        approval_s: Seconds that a question to a person stands.
        policy: The rules.
        effects: Which deeds were done already.
        audit: Where all is written down.
        switches: Where stops are set.
        redactor: Takes secrets out.
        ask: Waits for the answer of a person.
        tell: Sends a message to the operators.
        outcomes: What came of the deeds of this attempt, in order.
    """

    run_id: str
    flow: str
    user: str
    begun_by: str
    profile: str
    attended: bool
    dry_run: bool
    approval_s: float
    ask_model: bool
    policy: Policy
    effects: EffectLedger
    audit: "AuditLog"
    switches: Switches
    redactor: Redactor
    ask: Ask
    tell: Tell
    outcomes: list[Outcome] = field(default_factory=list[Outcome])

    async def do(self, deed: Deed, perform: Callable[[], Awaitable[JSON]]) -> Outcome:
        """Do a deed, unless an earlier attempt of the run has; then what it gave is given again.

        Args:
            deed: What.
            perform: Does it; gives JSON, in which secrets are taken out. A typed error is an outcome, too; one that
                raises `Lost` is in doubt.

        Returns:
            What came of it; no error is raised for one that was refused or failed.

        Raises:
            Stopped: a switch stops the flow, or it was cancelled.
            StoreFailed: it cannot be written down; then it is not done.
        """
        await self.check_stopped()
        outcome = await self._outcome(deed, perform)
        self.outcomes.append(outcome)
        return outcome

    async def check_stopped(self) -> None:
        """Raises `Stopped` where a switch stops all agents, this flow or this run."""
        if (switch := await self.switches.stopped(self.flow, self.run_id)) is not None:
            raise Stopped(str(switch), fix="clear it with `c500 stop --clear`, then run it again to go on")

    async def note(self, phase: str, name: str, **facts: Any) -> None:
        """Write something into the audit, once for each name within the run. Raises `StoreFailed`."""
        entry = Entry(
            entry_id=f"{self.run_id}/{name}",
            run_id=self.run_id,
            agent=self.flow,
            user=self.user,
            phase=phase,  # pyright: ignore[reportArgumentType] - pydantic checks it
            policy_version=self.policy.version,
            **facts,
        )
        # Shielded: a stop must not leave the log with half a note.
        await asyncio.shield(in_thread(self.audit.append, entry))

    async def _outcome(self, deed: Deed, perform: Callable[[], Awaitable[JSON]]) -> Outcome:
        if not deed.read_only and (known := self.effects.look(self.effect_id(deed))) and known.state != "begun":
            return await self._had(deed, perform, ())  # done by an earlier attempt: what was decided stands
        decision = self._judged(deed)
        await self._note_decision(deed, decision)
        if decision.verdict in ("deny", "forbid"):
            return _outcome(deed, "refused", why=f"{decision.reason} (rule {decision.rule})")
        if self.dry_run and decision.verdict == "ask":
            return _outcome(deed, "planned", why=f"would ask: {decision.reason}")
        if self.dry_run and not deed.read_only:
            return _outcome(deed, "planned")
        approvers: tuple[str, ...] = ()
        if decision.verdict == "ask":
            answer = await self._asked(deed, decision)
            if not answer.approved:
                return _outcome(deed, "refused", why=answer.reason or "no person agreed in time")
            approvers = answer.by
        if decision.verdict == "notify":
            await self.tell(f"{self.flow}: {deed.says}", f"run {self.run_id}: {decision.reason}")
        return await self._had(deed, perform, approvers)

    def _judged(self, deed: Deed) -> Decision:
        """What the rules say, narrowed by what the plan wants."""
        action, now = deed.action(self.user, self.flow), datetime.now(UTC)
        decision = self.policy.decide(action, self.profile, now=now, attended=self.attended or self.dry_run)
        persons = PERSONS[deed.consent]
        if persons == 0 or decision.verdict in ("deny", "forbid"):
            return decision
        if not (self.attended or self.dry_run):
            reason = "the plan wants a person to agree, and nobody can be asked"
            return decision.model_copy(update={"verdict": "deny", "rule": "unattended", "reason": reason})
        if decision.verdict != "ask":
            told = {"verdict": "ask", "rule": "plan", "reason": "the plan wants a person to agree"}
            decision = decision.model_copy(update=told)
        return decision.model_copy(update={"persons": max(persons, decision.persons)})

    async def _asked(self, deed: Deed, decision: Decision) -> "ApprovalDecision":
        action, now = deed.action(self.user, self.flow), datetime.now(UTC)
        request = ApprovalRequest(
            approval_id=self._approval_id(deed, action),
            run_id=self.run_id,
            call_id=deed.name,
            agent=self.flow,
            requester=self.user,
            begun_by=self.begun_by,
            tool=deed.tool,
            arguments=self.redactor.value(deed.arguments),
            arguments_hash=action.arguments_hash,
            risk=deed.risk,
            persons=decision.persons,
            reason=f"{deed.says}: {decision.reason}",
            policy_version=self.policy.version,
            asked_at=now,
            expires_at=now + timedelta(seconds=self.approval_s),
            flow_run_id=None,
        )
        await self.note("asked", f"{deed.name}/asked/{request.approval_id}", **_facts(deed, action), rule=decision.rule)
        answer = await self.ask(request)
        if answer.edited:
            # A plan is changed in its file, where all of it is checked again, and not in an approval.
            answer = answer.model_copy(
                update={"approved": False, "reason": "deeds of plans cannot be changed here; change the plan"}
            )
        await self.note(
            "answered",
            f"{deed.name}/answered/{request.approval_id}",
            **_facts(deed, action),
            outcome="approved" if answer.approved else "refused",
            approvers=answer.by,
            reasoning=answer.reason or None,
        )
        return answer

    async def _had(self, deed: Deed, perform: Callable[[], Awaitable[JSON]], approvers: tuple[str, ...]) -> Outcome:
        async def cleaned() -> JSON:
            return self.redactor.value(await perform())

        # Since the first look a person may have been asked; once the effect has begun, a stop would leave it in doubt.
        await self.check_stopped()
        action = deed.action(self.user, self.flow)
        if not deed.read_only:
            await self.note("started", f"{deed.name}/started", **_facts(deed, action), reversible=deed.reversible)
        try:
            if deed.read_only:
                result = await cleaned()
            else:
                result = await self.effects.once(self.effect_id(deed), cleaned, repeatable=deed.repeatable)
        except Stopped:
            raise
        except (InDoubt, Lost) as error:
            why = str(error)[:SHOWN_CHARS]
            await self.note("failed", f"{deed.name}/in-doubt", **_facts(deed, action), outcome=why)
            return _outcome(deed, "in_doubt", why=why, approvers=approvers)
        except C500Error as error:
            await self.note(
                "failed", f"{deed.name}/failed", **_facts(deed, action), outcome=error.message[:SHOWN_CHARS]
            )
            return _outcome(deed, "failed", error=StoredError.of(error), approvers=approvers)
        await self.note("done", f"{deed.name}/done", **_facts(deed, action), outcome=canonical(result)[:SHOWN_CHARS])
        return _outcome(deed, "done", result=result, approvers=approvers)

    def effect_id(self, deed: Deed) -> str:
        """Names the deed in the ledger of effects; other arguments are another deed."""
        return f"{self.run_id}/{deed.name}/{deed.action(self.user, self.flow).arguments_hash[:16]}"

    def _approval_id(self, deed: Deed, action: Action) -> str:
        told = f"{self.run_id}/{deed.name}/{action.arguments_hash}/{self.policy.version}"
        return sha256(told.encode()).hexdigest()[:16]

    async def _note_decision(self, deed: Deed, decision: Decision) -> None:
        action = deed.action(self.user, self.flow)
        await self.note(
            "decided",
            f"{deed.name}/decided/{action.arguments_hash[:12]}/{decision.policy_version[:12]}",
            **_facts(deed, action),
            arguments=self.redactor.value(deed.arguments),
            decision=decision.verdict,
            rule=decision.rule,
            reversible=deed.reversible,
            trigger=decision.reason,
            details={"profile": decision.profile, "dry_run": self.dry_run},
        )


def _facts(deed: Deed, action: Action) -> dict[str, Any]:
    return {"tool": deed.tool, "call_id": deed.name, "arguments_hash": action.arguments_hash, "risk": deed.risk}


def _outcome(deed: Deed, status: Any, **more: Any) -> Outcome:
    return Outcome(name=deed.name, says=deed.says, status=status, **more)
