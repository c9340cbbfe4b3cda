"""Teams and their parts as the tests make them, with agents that do as a test says."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from blocks.accounts.chat import Answer, Caller, ChatReply, ChatRequest, TokenUsage
from blocks.errors import C500Error
from blocks.store import LocalFiles
from blocks.store.files import Files
from tasks.agents.definition import AgentDefinition
from tasks.agents.result import AgentOptions, AgentResult, AgentTrouble, AgentUsage
from tasks.agents.team.handoff import HandOffs
from tasks.agents.team.intents import Intents
from tasks.agents.team.message_log import MessageLog
from tasks.agents.team.plan import TeamPlan
from tasks.agents.team.result import TeamOptions
from tasks.agents.team.shares import Shares
from tasks.agents.team.team_store import TeamBegun, TeamStore
from tasks.agents.team.team_work import TeamWork

STARTED = datetime(2026, 11, 21, 9, tzinfo=UTC)
RESTART = {"verb": "restart", "object": "service web on host-3", "shared": True}

Says = str | C500Error | AgentResult | Callable[["Specialists", str], Awaitable[Any]]


def task(name: str, *needs: str, **more: Any) -> dict[str, Any]:
    """A task as a plan has it."""
    return {"id": name, "goal": f"Do {name}.", "agent": "worker", "depends_on": list(needs), **more}


def plan_of(*tasks: dict[str, Any]) -> TeamPlan:
    """A plan."""
    return TeamPlan.model_validate({"tasks": tasks})


def begun_of(run_id: str = "t1", **options: Any) -> TeamBegun:
    """A team's run as it was begun: no stagger, unless said otherwise."""
    user, workspace = options.pop("user", "ann"), options.pop("workspace", "/work")
    started = options.pop("started_at", STARTED)
    return TeamBegun(
        run_id=run_id,
        goal="Make the site fast.",
        coordinator=AgentDefinition(name="coordinator", description="d", role="You lead.", specialists=("worker",)),
        specialists={"worker": "does all"},
        options=TeamOptions(**{"stagger_s": 0.0, **options}),
        plan=None,
        user=user,
        workspace=workspace,
        started_at=started,
    )


def result(run_id: str, output: str = "Done.", **more: Any) -> AgentResult:
    """What came of a specialist's run."""
    fields = {"agent": "worker", "goal": "g", "status": "done", "profile": "development", "ended_at": STARTED} | more
    return AgentResult(run_id=run_id, output=output, **fields)


def limited(run_id: str, code: str) -> AgentResult:
    """A run that did not reach its goal."""
    return result(run_id, "", status="limited", trouble=AgentTrouble(code=code, message="it ended", fix="give more"))


def costing(usd: float) -> AgentUsage:
    """What a run took."""
    return AgentUsage(cost_usd=usd)


@dataclass
class Specialists:
    """Agents that answer by task.

    Attributes:
        says: By task: the output, an error, a result, or a function; `<id> is done.` where nothing is said.
        began: Tasks in the order in which they began.
        goals: What each was told, by task.
        options: How each was run, by task.
        runs: Run ids by task.
        now, most: How many are at work, and were at most.
    """

    says: dict[str, Says] = field(default_factory=dict)
    began: list[str] = field(default_factory=list)
    goals: dict[str, str] = field(default_factory=dict)
    options: dict[str, AgentOptions] = field(default_factory=dict)
    runs: dict[str, str] = field(default_factory=dict)
    now: int = 0
    most: int = 0

    async def __call__(self, goal: str, agent: str, options: AgentOptions, run_id: str) -> AgentResult:
        """Do a task."""
        name = goal.split(":")[0].removeprefix("Sub-task ")
        self.began.append(name)
        self.goals[name], self.options[name], self.runs[name] = goal, options, run_id
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            said = self.says.get(name, f"{name} is done.")
            if callable(said):
                said = await said(self, run_id)
            if isinstance(said, C500Error):
                raise said
            return said if isinstance(said, AgentResult) else result(run_id, said)
        finally:
            self.now -= 1


class Answers:
    """A pool that says what a test gives it, one after the other."""

    def __init__(self, *says: Any) -> None:
        self._says = list(says)
        self.asked: list[ChatRequest] = []
        self.callers: list[Caller | None] = []

    async def complete(self, request: ChatRequest, caller: Caller | None = None) -> Answer:
        """Answer, or raise."""
        self.asked.append(request)
        self.callers.append(caller)
        said = self._says.pop(0) if len(self._says) > 1 else self._says[0]
        if isinstance(said, C500Error):
            raise said
        reply = ChatReply(text=said, usage=TokenUsage(prompt_tokens=3, completion_tokens=2))
        return Answer(reply=reply, model="m", account="a", cost_usd=0.5, latency_s=0.1)


@dataclass
class Recorded:
    """An audit in memory: each entry once."""

    entries: dict[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)

    async def __call__(self, phase: str, entry_id: str, **facts: Any) -> None:
        """Write an entry."""
        self.entries.setdefault(entry_id, (phase, facts))


def work_of(
    place: Path | Files, plan: TeamPlan, specialists: Specialists, begun: TeamBegun | None = None, **more: Any
) -> TeamWork:
    """A team at work on a store."""
    files = LocalFiles(place) if isinstance(place, Path) else place
    begun = begun or begun_of()
    store = TeamStore(files, begun.run_id)
    fields: dict[str, Any] = {
        "messages": MessageLog(files, store.folder, more.pop("record", Recorded())),
        "intents": Intents(files, begun.workspace, poll_s=0.005),
        "handoffs": HandOffs(files),
        "shares": Shares(begun, plan.tasks, lambda: STARTED),
    }
    return TeamWork(begun=begun, plan=plan, store=store, specialist=specialists, **(fields | more))
