"""A run that is killed at its only effect goes on with the same run id: one branch, one commit."""

import asyncio
import signal
import sys

import pytest

from tests.fakes.repository import Repo
from tests.tasks.ops.fixing.conftest import CART, Fixing


@pytest.mark.parametrize("when", ["before", "after"])
async def test_killed_at_its_branch_it_goes_on(repo: Repo, fixing: Fixing, when: str) -> None:
    repo.put({"shop/cart.py": None, "shop/basket.py": CART})
    command = [sys.executable, "-m", "tests.tasks.ops.fixing.killed", str(repo.folder), when]
    assert await (await asyncio.create_subprocess_exec(*command)).wait() == -signal.SIGKILL
    (fix,) = (await fixing()).fixes
    assert fix.status == "fixed"
    branches = repo.git("branch", "--format=%(refname:short)").split()
    assert branches == [fix.branch, "main"]
    assert repo.git("rev-parse", fix.branch) == fix.commit
    assert repo.git("status", "--porcelain") == ""
