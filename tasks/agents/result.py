"""What comes of an agent's run, and how runs and conversations are kept in the store."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from blocks.accounts.chat import Label as Named
from blocks.action import Label
from blocks.model import Frozen

Status = Literal["done", "limited", "stopped", "failed"]
"""`limited`: it reached a limit or a budget before its goal."""


class AgentUsage(Frozen):
    """What a run took.

    Attributes:
        steps: Calls of the model.
        actions: Tool calls that were made.
        prompt_tokens: Sent.
        completion_tokens: Answered.
        cost_usd: Dollars, as far as prices are known.
        duration_s: Seconds at work in this attempt.
        waited_s: Seconds of it that people were waited for.
    """

    steps: int = 0
    actions: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float = 0.0
    duration_s: float = 0.0
    waited_s: float = 0.0


class AgentTrouble(Frozen):
    """Why a run did not reach its goal.

    Attributes:
        code: Of the error.
        message: What is wrong.
        fix: What to do.
    """

    code: str
    message: str
    fix: str


class AgentResult(Frozen):
    """What came of a run.

    Attributes:
        run_id: Names the run; `c500 audit why RUN` tells its story.
        agent: Which agent.
        goal: What it was to reach.
        status: How it ended.
        output: What the agent said at the end, cut where its trouble says so; empty when it did not get there.
        session: Its conversation, for further runs.
        profile: The autonomy profile.
        dry_run: Whether nothing was changed.
        refused: Tool calls that were not permitted, or that nothing on the machine can make, as `tool: reason`.
        would_change: What a dry run would have changed, as `tool: what it would have done`.
        notices: What else the user should know: which tools it had to do without, which effects are in doubt.
        labels: What the run has seen; whoever uses its output has seen it too.
        trouble: Why it did not end well.
        usage: What it took.
        ended_at: When.
    """

    run_id: str
    agent: str
    goal: str
    status: Status
    output: str = ""
    session: str | None = None
    profile: str
    dry_run: bool = False
    refused: tuple[str, ...] = ()
    would_change: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    labels: tuple[Label, ...] = ()
    trouble: AgentTrouble | None = None
    usage: AgentUsage = AgentUsage()
    ended_at: datetime


class AgentOptions(Frozen):
    """How a run is made.

    Attributes:
        profile: Autonomy profile; None for AGENT_PROFILE.
        session: Conversation that it continues; made when there is none of that name.
        user: For whom it works; None for the login name. Budgets go by it, and it may not approve its own calls.
        workspace: Folder that the agent may work in; None for one of its own.
        attended: Whether somebody can be asked; None as the agent says.
        dry_run: Only read; say what would be changed.
        approval_s: Seconds that a question to a person stands before it counts as refused.
        budget_usd: Most dollars of the run, where that is less than the agent's own limit.
        labels: What the goal carries, where it quotes what others wrote or what must not leave.
    """

    profile: str | None = None
    session: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")
    user: Annotated[Named, Field(min_length=1, max_length=200)] | None = None
    workspace: str | None = None
    attended: bool | None = None
    dry_run: bool = False
    approval_s: float = Field(default=3600, gt=0, le=30 * 86_400)
    budget_usd: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    labels: tuple[Label, ...] = ()
