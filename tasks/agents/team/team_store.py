"""Records of a team's run in the store: made once, and found again by every later attempt of it."""

from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from datetime import datetime
from typing import TypeVar

from pydantic import ValidationError

from blocks.errors import Conflict, NotFound, StoreFailed
from blocks.model import Frozen
from blocks.progress import in_thread
from blocks.store.files import Files
from tasks.agents.definition import AgentDefinition
from tasks.agents.given import smaller
from tasks.agents.team.plan import Bounds, TeamPlan
from tasks.agents.team.result import TaskOutcome, TeamOptions, TeamResult

R = TypeVar("R", bound=Frozen)

TEAMS = "agents/teams"


class TeamBegun(Frozen):
    """A team's run as it was begun; every later attempt goes by this, whatever has been changed since.

    Attributes:
        run_id: Of the run.
        goal: What it is to reach.
        coordinator: The agent that plans and puts results together, as it was then.
        specialists: The agents that do the tasks: what each is for, by name.
        options: How it works.
        plan: The caller's own; None has the coordinator plan.
        user: For whom it works.
        workspace: Folder that all its agents work in.
        started_at: When.
    """

    run_id: str
    goal: str
    coordinator: AgentDefinition
    specialists: dict[str, str]
    options: TeamOptions
    plan: TeamPlan | None
    user: str
    workspace: str
    started_at: datetime

    @property
    def bounds(self) -> Bounds:
        """What a plan may ask for."""
        return Bounds(agents=tuple(self.specialists), tasks=self.options.max_tasks, depth=self.options.max_depth)

    @property
    def budget_usd(self) -> float | None:
        """Most dollars of the whole team: the smaller of what was asked for and the coordinator's own limit."""
        return smaller(self.options.budget_usd, self.coordinator.limits.budget_usd)


class Assignment(Frozen):
    """What a specialist was given; kept, so that a later attempt gives it the same.

    Attributes:
        task_id: Of the plan.
        run_id: Of the specialist's run.
        goal: All that it is told.
        budget_usd: Its share of the team's money.
    """

    task_id: str
    run_id: str
    goal: str
    budget_usd: float | None


class TeamStore:
    """Records of one team's run.

    Args:
        files: The store.
        run_id: Of the team's run.
    """

    def __init__(self, files: Files, run_id: str) -> None:
        self.folder = f"{TEAMS}/{run_id}"
        self._files, self._run_id = files, run_id

    def begun(self) -> TeamBegun | None:
        """The run as it was begun; None when it was not."""
        return self.find(TeamBegun, "begun")

    def begin(self, begun: TeamBegun) -> TeamBegun:
        """Keep how it was begun. Raises `Conflict`: another process began it first."""
        self._files.put_if(self._key("begun"), begun.model_dump_json(indent=1).encode(), None)
        return begun

    def outcome(self, task_id: str) -> TaskOutcome | None:
        """What came of a task; None while that is open."""
        return self.find(TaskOutcome, f"outcomes/{task_id}")

    def keep(self, outcome: TaskOutcome) -> TaskOutcome:
        """Keep what came of a task."""
        self.put(f"outcomes/{outcome.task_id}", outcome)
        return outcome

    def assignments(self) -> list[Assignment]:
        """What specialists were given so far. Raises `StoreFailed`."""
        keys = self._files.list(f"{self.folder}/assignments/")
        names = [key.removeprefix(f"{self.folder}/").removesuffix(".json") for key in keys]
        return [found for name in names if (found := self.find(Assignment, name)) is not None]

    def result(self) -> TeamResult | None:
        """What came of the run; None while it is not over."""
        return self.find(TeamResult, "result")

    def end(self, result: TeamResult) -> TeamResult:
        """Keep what came of the run."""
        self.put("result", result)
        return result

    async def once(self, kind: type[R], name: str, make: Callable[[], Awaitable[R]]) -> R:
        """A record; made when there is none. What fails to be made is made again next time."""
        if (found := await in_thread(self.find, kind, name)) is not None:
            return found
        made = await make()
        await in_thread(self.put, name, made)
        return made

    def find(self, kind: type[R], name: str) -> R | None:
        """A record; None when there is none.

        Raises:
            StoreFailed: it is damaged.
        """
        try:
            return kind.model_validate_json(self._files.read_bytes(self._key(name)))
        except NotFound:
            return None
        except ValidationError as error:
            raise StoreFailed(
                f"the record {name} of team {self._run_id} is damaged: {error.error_count()} faults",
                fix="begin a new run of the team",
            ) from None

    def put(self, name: str, record: Frozen) -> None:
        """Keep a record."""
        self._files.put_bytes(self._key(name), record.model_dump_json(indent=1).encode())

    @contextmanager
    def alone(self) -> Generator[None]:
        """Have the run alone for the block. Raises `Conflict`: another process does it."""
        with self._files.lock(f"agents/team/{self._run_id}", wait=False) as alone:
            if not alone:
                raise Conflict(f"another process does the team run {self._run_id}", fix="wait until it has ended")
            yield

    def _key(self, name: str) -> str:
        return f"{self.folder}/{name}.json"


def team_ids(files: Files) -> list[str]:
    """The ids of all teams' runs, sorted."""
    return sorted({key.split("/")[2] for key in files.list(f"{TEAMS}/")})
