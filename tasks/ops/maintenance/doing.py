"""What tasks do their work with: a host, and someone who does deeds on it under the task's name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from blocks.errors import EngineFailed
from blocks.hosts import CommandResult, Host
from tasks.ops.deed import Outcome
from tasks.ops.maintenance.plan import Task
from tasks.ops.maintenance.result import TaskResult, TaskStatus
from tasks.ops.on_host import result_of, run_on_host
from tasks.ops.performer import Performer


@dataclass(frozen=True)
class OnHost:
    """A task on a host.

    Attributes:
        performer: Does the deeds.
        host: Where.
        task: Which.
    """

    performer: Performer
    host: Host
    task: Task

    async def look(self, *argv: str, env: Mapping[str, str] = {}, become: bool | None = None) -> CommandResult:
        """Run a command of ours that changes nothing. Raises `EngineUnavailable`."""
        become = self.task.become if become is None else become
        return await self.host.run(argv, env=env, timeout_s=self.task.timeout_s, become=become)

    async def do(self, name: str, argv: Sequence[str], says: str, **facts: Any) -> Outcome:
        """Run a command as a deed, with the task's consent, rights and time."""
        facts = dict[str, Any](consent=self.task.approval) | facts
        return await run_on_host(
            self.performer,
            self.host,
            argv,
            name=f"{self.host.name}/{self.task.name}/{name}",
            says=f"{says} on {self.host.name}",
            timeout_s=self.task.timeout_s,
            become=self.task.become,
            **facts,
        )

    async def unwell(self, when: str = "after") -> list[str] | None:
        """The last lines of what the task's check says; None where the host is well, or nothing checks it.

        Args:
            when: Names the look among those of the task.
        """
        if self.task.check is None:
            return None
        looked = await self.do(f"check-{when}", self.task.check, "check", consent="rules", risk="low", read_only=True)
        if (failed := self.not_done(looked)) is None or failed.status == "planned":
            return None
        return said(result_of(looked)) if looked.status == "done" else [failed.summary]

    def result(self, status: TaskStatus, summary: str, details: Sequence[str] = ()) -> TaskResult:
        """What came of it."""
        return TaskResult(
            task=self.task.name, host=self.host.name, status=status, summary=summary, details=tuple(details)
        )

    def not_done(self, outcome: Outcome) -> TaskResult | None:
        """The result of a task whose deed was not done, or whose command failed; None where all is well."""
        if outcome.status == "planned":
            asked = f" ({outcome.why})" if outcome.why else ""
            return self.result("planned", outcome.says + asked)
        if outcome.status in ("refused", "in_doubt"):
            return self.result("refused" if outcome.status == "refused" else "failed", outcome.why)
        if outcome.error is not None:
            return self.result("failed", outcome.error.message)
        try:
            result_of(outcome).checked()
        except EngineFailed as error:
            return self.result("failed", error.message.splitlines()[0], error.message.splitlines()[1:])
        return None


def said(done: CommandResult) -> list[str]:
    """The last lines of what a command wrote."""
    return (done.stderr.strip() or done.stdout.strip()).splitlines()[-10:]
