"""A team at work: what its tasks need, and how far they are."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from blocks.errors import C500Error
from blocks.job import Notice
from blocks.redact import default_redactor
from tasks.agents.result import AgentOptions, AgentResult, AgentTrouble
from tasks.agents.team.begin import specialist_id
from tasks.agents.team.handoff import HandOffs
from tasks.agents.team.intents import Intents
from tasks.agents.team.message_log import MessageLog
from tasks.agents.team.plan import TeamPlan, TeamTask
from tasks.agents.team.result import TaskOutcome, TaskState
from tasks.agents.team.shares import Shares
from tasks.agents.team.team_store import TeamBegun, TeamStore
from tasks.agents.team.text import storable

Specialist = Callable[[str, str, AgentOptions, str], Awaitable[AgentResult]]
"""Runs an agent: goal, agent, options, run id. The same id goes on where an earlier attempt died."""


@dataclass(kw_only=True)
class TeamWork:
    """A team's run in hand.

    Attributes:
        begun: As it was begun.
        plan: Its plan.
        store: Its records.
        messages: What goes between its agents.
        intents: Who makes which change.
        handoffs: What waits for persons.
        shares: Money and time of each task.
        specialist: Runs an agent.
        dry_run: Whether nothing is changed: then nobody claims to change anything.
        outcomes: What came of the tasks that ended.
        states: What each task does now; none for those that wait.
        stopped: Why nothing begins any more.
        notices: What the user should know.
    """

    begun: TeamBegun
    plan: TeamPlan
    store: TeamStore
    messages: MessageLog
    intents: Intents
    handoffs: HandOffs
    shares: Shares
    specialist: Specialist
    dry_run: bool = False
    outcomes: dict[str, TaskOutcome] = field(default_factory=dict[str, TaskOutcome])
    states: dict[str, str] = field(default_factory=dict[str, str])
    stopped: C500Error | None = None
    notices: list[Notice] = field(default_factory=list[Notice])

    @property
    def coordinator(self) -> str:
        """Its name: through it goes all that agents tell each other."""
        return self.begun.coordinator.name

    def run_of(self, task: TeamTask) -> str:
        """The id of the run that does a task."""
        return specialist_id(self.begun.run_id, task.id)

    def without_result(
        self, task: TeamTask, state: TaskState, trouble: AgentTrouble, run_id: str | None = None
    ) -> TaskOutcome:
        """The outcome of a task that has none to give."""
        return TaskOutcome(task_id=task.id, agent=task.agent, state=state, run_id=run_id, trouble=trouble)

    def note(self, step: str, code: str, message: str) -> None:
        """Tell the user something."""
        self.notices.append(Notice(step=step, code=code, message=message))


def trouble_of(error: C500Error) -> AgentTrouble:
    """An error as a record, without secrets."""
    redact = default_redactor().text
    return AgentTrouble(code=error.code, message=redact(storable(error.message)), fix=redact(storable(error.fix)))
