"""The agent at work: from the goal to what it says at the end, whatever comes in between."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from pydantic_ai import capture_run_messages
from pydantic_ai.capabilities import AbstractCapability
from pydantic_ai.exceptions import AgentRunError, UsageLimitExceeded
from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.usage import UsageLimits

from blocks.errors import BudgetExceeded, C500Error, EngineFailed, LimitReached, Stopped
from tasks.agents.agent import agent_of
from tasks.agents.doubts import ways_out
from tasks.agents.opened import Opened, opened
from tasks.agents.result import AgentResult, AgentTrouble, AgentUsage, Status
from tasks.agents.runs import Begun

UNBOUNDED = UsageLimits(request_limit=None)
"""The guard and the purse limit a run, also over its attempts."""

LIMITING = ("BUDGET_EXCEEDED", "GUARD_TRIPPED", "LIMIT_REACHED", "HANDED_OFF")
"""Codes of errors after which a run has not failed: it was ended by what it was given."""


@dataclass(kw_only=True)
class Acted:
    """What was said and done in a run.

    Attributes:
        messages: The conversation with the run in it.
        output: What the agent said at the end, as far as it came.
        error: Why it did not get there.
        duration_s: Seconds that this attempt took.
    """

    messages: list[ModelMessage] = field(default_factory=list[ModelMessage])
    output: str = ""
    error: C500Error | None = None
    duration_s: float = 0.0


async def act(
    work: Opened,
    run: Begun,
    history: Sequence[ModelMessage],
    results: Path,
    *,
    outer: Sequence[AbstractCapability[str]] = (),
    inner: Sequence[AbstractCapability[str]] = (),
) -> Acted:
    """Have the agent work on its goal.

    Args:
        work: What it works with.
        run: As it was begun.
        history: The conversation before it.
        results: Where results of model and tool calls are stored.
        outer: The guard.
        inner: Compaction and memory.

    Raises:
        Stopped: a switch stopped it; a later attempt goes on there.
    """
    agent = agent_of(work, run.definition.role, results, outer=outer, inner=inner)
    acted, start = Acted(), time.monotonic()
    with opened(work), capture_run_messages() as said:
        try:
            made = await agent.run(
                run.goal, deps=run.run_id, message_history=list(history) or None, usage_limits=UNBOUNDED
            )
            acted.output, acted.messages = made.output, made.all_messages()
            acted.error = _cut(made.response)
        except Stopped:
            raise
        except (C500Error, AgentRunError) as error:
            acted.error, acted.messages = as_c500(error), list(said)
    acted.duration_s = time.monotonic() - start
    return acted


def _cut(response: ModelResponse) -> LimitReached | None:
    """The error for a last answer that was cut; it stands as far as it goes."""
    if response.finish_reason != "length":
        return None
    return LimitReached(
        f"the last answer was cut after {response.usage.output_tokens} tokens",
        fix="raise output_tokens in the agent's limits, or max_output_tokens of the model in accounts.yaml",
    )


def as_c500(error: C500Error | AgentRunError) -> C500Error:
    """The error in our terms."""
    if isinstance(error, C500Error):
        return error
    if isinstance(error.__cause__, C500Error):
        return error.__cause__
    if isinstance(error, UsageLimitExceeded):
        return BudgetExceeded(str(error), fix="raise the agent's limits")
    return EngineFailed(
        f"the model did not go on in a form that can be used: {error.message}"[:1000],
        fix="try another model or tier for this agent; `c500 audit why RUN` shows what it said",
    )


def result_of(work: Opened, run: Begun, acted: Acted) -> AgentResult:
    """What came of the run."""
    error, tally = acted.error, work.tally
    trouble = error and AgentTrouble(
        code=error.code, message=work.place.redactor.text(error.message), fix=work.place.redactor.text(error.fix)
    )
    usage = AgentUsage(
        steps=tally.steps,
        actions=tally.actions,
        prompt_tokens=tally.prompt_tokens,
        completion_tokens=tally.completion_tokens,
        cost_usd=round(tally.cost_usd, 9),
        duration_s=round(acted.duration_s, 3),
        waited_s=round(work.waited_s, 3),
    )
    return AgentResult(
        run_id=run.run_id,
        agent=run.definition.name,
        goal=work.place.redactor.text(run.goal),
        status=_status(error),
        output=work.place.redactor.text(acted.output),
        session=run.session,
        profile=run.profile,
        dry_run=work.dry_run,
        refused=tuple(tally.refused),
        would_change=tuple(tally.would_change),
        notices=tuple(map(work.place.redactor.text, (*work.notices, *_doubts(work)))),
        labels=tuple(sorted(work.labels)),
        trouble=trouble,
        usage=usage,
        ended_at=datetime.now(UTC),
    )


def _doubts(work: Opened) -> list[str]:
    return [
        f"nobody knows whether {tool} happened, and the agent was told so: {ways_out(effect_id)}"
        for effect_id, tool in work.tally.in_doubt.items()
    ]


def _status(error: C500Error | None) -> Status:
    if error is None:
        return "done"
    return "limited" if error.code in LIMITING else "failed"
