"""What a team is asked, what comes of its tasks, and what it answers."""

from collections.abc import Iterable
from datetime import datetime
from typing import Literal

from pydantic import Field

from blocks.action import Label
from blocks.job import Notice
from blocks.model import Frozen
from tasks.agents.result import AgentOptions, AgentResult, AgentTrouble, AgentUsage
from tasks.agents.team.message_log import Message
from tasks.agents.team.plan import TeamPlan
from tasks.agents.team.text import Clean

HANDED_OFF = "HANDED_OFF"
"""Code of the trouble of a run that waits for a person."""

TaskState = Literal["done", "reused", "limited", "handed_off", "stopped", "failed", "skipped"]
"""`reused`: another task made the same change, and this is its result. `skipped`: what it needs has no result."""

GOOD: frozenset[TaskState] = frozenset({"done", "reused"})

TeamStatus = Literal["done", "partial", "limited", "stopped", "failed"]
"""`done`: every task is, and a model put the results together. `partial`: some failed. `limited`: a limit, the deadline
or a hand-off to a person kept some from their goal. `failed`: there is no result at all."""


class TeamOptions(Frozen):
    """How a team works.

    Attributes:
        profile: Autonomy profile of all its agents; None for AGENT_PROFILE.
        user: For whom it works; None for the login name.
        workspace: Folder that all its agents work in; None for one of the team's own.
        attended: Whether somebody can be asked; None as each agent says.
        dry_run: Only read; say what would be changed.
        approval_s: Seconds that a question to a person stands before it counts as refused.
        budget_usd: Most dollars of the whole team; shared out as its tasks begin.
        deadline_s: Seconds from its first start within which it ends, done or not; None for no deadline.
        at_once: Most agents at work side by side.
        stagger_s: Seconds between agents that could begin in the same moment; chance adds up to as much.
        max_tasks: Most tasks of a plan.
        max_depth: Most tasks that follow each other.
        wait_s: Seconds that a task waits for another one, of whatever team, that is making the same change.
    """

    profile: str | None = None
    user: str | None = Field(default=None, min_length=1, max_length=200)
    workspace: str | None = None
    attended: bool | None = None
    dry_run: bool = False
    approval_s: float = Field(default=3600, gt=0, le=30 * 86_400)
    budget_usd: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    deadline_s: float | None = Field(default=None, gt=0, le=30 * 86_400)
    at_once: int = Field(default=4, ge=1, le=64)
    stagger_s: float = Field(default=2.0, ge=0, le=600)
    max_tasks: int = Field(default=12, ge=1, le=100)
    max_depth: int = Field(default=6, ge=1, le=100)
    wait_s: float = Field(default=900, gt=0, le=86_400)


class TaskOutcome(Frozen):
    """What came of a task.

    Attributes:
        task_id: Which.
        agent: Who did it.
        state: How it ended.
        run_id: The agent's run; `c500 audit why RUN` tells its story. None where it never began.
        output: What the agent said at the end.
        shared_with: The run that made the same change, where this one did not make it again.
        handoff_id: What it handed to a person.
        refused: Tool calls that were not permitted.
        would_change: What a dry run would have changed.
        notices: What else the user should know of its run.
        labels: What its agent has seen: who is given its result has seen it too.
        trouble: Why it has no result.
        usage: What it took.
    """

    task_id: str
    agent: str
    state: TaskState
    run_id: str | None = None
    output: Clean = ""
    shared_with: str | None = None
    handoff_id: str | None = None
    refused: tuple[str, ...] = ()
    would_change: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    labels: tuple[Label, ...] = ()
    trouble: AgentTrouble | None = None
    usage: AgentUsage = AgentUsage()

    @property
    def is_good(self) -> bool:
        """Whether others can build on it."""
        return self.state in GOOD


def outcome_of(task_id: str, result: AgentResult, handoff_id: str | None = None) -> TaskOutcome:
    """What came of a task whose agent has ended."""
    handed_off = result.trouble is not None and result.trouble.code == HANDED_OFF
    return TaskOutcome(
        task_id=task_id,
        agent=result.agent,
        state="handed_off" if handed_off else result.status,
        run_id=result.run_id,
        output=result.output,
        handoff_id=handoff_id,
        refused=result.refused,
        would_change=result.would_change,
        notices=result.notices,
        labels=result.labels,
        trouble=result.trouble,
        usage=result.usage,
    )


class Finding(Frozen):
    """One statement of the answer, with the tasks whose results say so."""

    text: Clean
    sources: tuple[str, ...]


class Contradiction(Frozen):
    """Results that cannot all be true; none is chosen."""

    about: Clean
    sides: tuple[Finding, ...]


class Missing(Frozen):
    """What the answer does not cover.

    Attributes:
        what: The missing part, or why the task has no result.
        task_id: The task that should have covered it; None where no task was to.
    """

    what: Clean
    task_id: str | None = None


class TeamAnswer(Frozen):
    """The results put together.

    Attributes:
        findings: The answer, in the order it is read; every statement has its sources.
        contradictions: What results disagree about.
        missing: What there is no result for.
        by: Whether a model compared the results, or they stand one after the other, by rule.
        notices: What had to be left out or mended.
    """

    findings: tuple[Finding, ...] = ()
    contradictions: tuple[Contradiction, ...] = ()
    missing: tuple[Missing, ...] = ()
    by: Literal["model", "rule"] = "model"
    notices: tuple[Notice, ...] = ()


class TeamResult(Frozen):
    """What came of a team's work.

    Attributes:
        run_id: Names the run; the same id goes on with what is not final.
        agent: The agent that coordinates.
        goal: What it was to reach.
        status: How it ended.
        answer: The results put together.
        outcomes: What came of each task, in the order of the plan.
        plan: The plan.
        messages: What went between the coordinator and its agents.
        notices: What the user should know.
        trouble: What kept it from its goal first.
        usage: What all of it took.
        ended_at: When.
    """

    run_id: str
    agent: str
    goal: str
    status: TeamStatus
    answer: TeamAnswer
    outcomes: tuple[TaskOutcome, ...]
    plan: TeamPlan
    messages: tuple[Message, ...] = ()
    notices: tuple[Notice, ...] = ()
    trouble: AgentTrouble | None = None
    usage: AgentUsage = AgentUsage()
    ended_at: datetime


def usage_sum(*parts: AgentUsage) -> AgentUsage:
    """What several took together; seconds add up also where they passed side by side."""
    return AgentUsage(
        steps=sum(one.steps for one in parts),
        actions=sum(one.actions for one in parts),
        prompt_tokens=sum(one.prompt_tokens for one in parts),
        completion_tokens=sum(one.completion_tokens for one in parts),
        cost_usd=round(sum(one.cost_usd for one in parts), 9),
        duration_s=round(sum(one.duration_s for one in parts), 3),
        waited_s=round(sum(one.waited_s for one in parts), 3),
    )


def agent_options(
    options: TeamOptions, user: str, workspace: str, budget_usd: float | None, labels: Iterable[Label] = ()
) -> AgentOptions:
    """How a specialist's run is made; `labels` are those of the results that it is given."""
    return AgentOptions(
        profile=options.profile,
        user=user,
        workspace=workspace,
        attended=options.attended,
        dry_run=options.dry_run,
        approval_s=options.approval_s,
        budget_usd=budget_usd,
        labels=tuple(sorted(labels)),
    )
