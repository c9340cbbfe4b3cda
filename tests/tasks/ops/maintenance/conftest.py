"""A task on this machine, done as a plan would have it done."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from blocks.hosts.inventory import ONLY_HERE, Inventory
from tasks.ops.maintenance.carry_out import CarryingOut
from tasks.ops.maintenance.plan import FORM
from tasks.ops.maintenance.result import TaskResult
from tests.tasks.ops.conftest import MakePerformer

Maintain = Callable[..., Awaitable[tuple[TaskResult, ...]]]


@pytest.fixture
def maintain(make_performer: MakePerformer) -> Maintain:
    """Carry tasks out, given as in a plan's file; keywords are those of the performer."""

    async def run(
        *tasks: dict[str, Any], inventory: Inventory = ONLY_HERE, windows: Any = None, **facts: Any
    ) -> tuple[TaskResult, ...]:
        plan = FORM.validate_python({"tasks": list(tasks), "windows": windows or {}})
        return await CarryingOut(make_performer(**facts), plan, inventory).carry_out(plan.tasks)

    return run
