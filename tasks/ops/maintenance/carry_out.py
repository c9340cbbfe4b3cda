"""Carrying a plan out: task after task, on several hosts at once, each where what came before went well."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime

from blocks.errors import C500Error, Stopped
from blocks.hosts import Host, HostUnreachable, Inventory, Machine, open_host
from tasks.ops.maintenance.doing import OnHost
from tasks.ops.maintenance.kinds import KINDS
from tasks.ops.maintenance.plan import AnyTask, MaintenancePlan
from tasks.ops.maintenance.result import TaskResult
from tasks.ops.performer import Performer


class CarryingOut:
    """A plan under way.

    Args:
        performer: Does the deeds.
        plan: What is to be done.
        inventory: The hosts.
        ignore_windows: Whether tasks begin at any time.
    """

    def __init__(
        self, performer: Performer, plan: MaintenancePlan, inventory: Inventory, *, ignore_windows: bool = False
    ) -> None:
        self._performer, self._plan, self._inventory = performer, plan, inventory
        self._ignore_windows = ignore_windows
        self._results: list[TaskResult] = []
        self._hosts: dict[str, Host | HostUnreachable] = {}

    async def carry_out(self, tasks: Sequence[AnyTask]) -> tuple[TaskResult, ...]:
        """Do tasks in their order, each on its hosts; what came of each.

        Raises:
            NotFound: a task names a host that there is not; nothing is done then.
            Stopped: a switch stops it.
        """
        places = [(task, self._inventory.chosen(task.hosts)) for task in tasks]
        async with AsyncExitStack() as stack:
            for task, machines in places:
                await self._everywhere(task, machines, stack)
        return tuple(self._results)

    async def _everywhere(self, task: AnyTask, machines: Sequence[Machine], stack: AsyncExitStack) -> None:
        at_once = asyncio.Semaphore(task.parallel or self._plan.parallel)
        failures = 0

        async def on(machine: Machine) -> TaskResult:
            nonlocal failures
            async with at_once:
                result = self._prevented(task, machine, failures) or await self._on(task, machine, stack)
                failures += result.status in ("failed", "refused")
                return result

        # All end before any of what they raise is raised: an effect must not be cut off by what goes wrong beside it.
        ends = await asyncio.gather(*map(on, machines), return_exceptions=True)
        for end in ends:
            if isinstance(end, BaseException):
                raise end
            self._results.append(end)

    def _prevented(self, task: AnyTask, machine: Machine, failures: int) -> TaskResult | None:
        """The result of a task that does not begin on a host."""

        def skipped(why: str) -> TaskResult:
            return TaskResult(task=task.name, host=machine.name, status="skipped", summary=why)

        done = {one.task: one for one in self._results if one.host == machine.name}
        for before in task.after:
            if before in done and not done[before].is_well:
                return skipped(f"{before} did not go well here")
        if failures >= task.stop_after_failures:
            return skipped(f"it failed on {failures} other hosts")
        if task.window is not None and not self._ignore_windows:
            now = datetime.now(UTC)
            if not any(window.holds(now) for window in self._plan.windows[task.window]):
                return skipped(f"it is outside of the window {task.window} now")
        return None

    async def _on(self, task: AnyTask, machine: Machine, stack: AsyncExitStack) -> TaskResult:
        try:
            host = await self._opened(machine, stack)
            return await KINDS[task.kind](OnHost(self._performer, host, task), task)
        except Stopped:
            raise
        except C500Error as error:
            return TaskResult(
                task=task.name, host=machine.name, status="failed", summary=error.message, details=(error.fix,)
            )

    async def _opened(self, machine: Machine, stack: AsyncExitStack) -> Host:
        """The host, connected once; one that cannot be reached is not tried for each task anew."""
        if machine.name not in self._hosts:
            try:
                self._hosts[machine.name] = await stack.enter_async_context(open_host(machine))
            except HostUnreachable as error:
                self._hosts[machine.name] = error
        found = self._hosts[machine.name]
        if isinstance(found, HostUnreachable):
            raise found
        return found
