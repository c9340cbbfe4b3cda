"""Every attack of the red team ends blocked or asked, with a record of it, and nothing leaks or happens."""

from pathlib import Path
from typing import Any

import pytest

from tests.redteam.attack import attacked
from tests.redteam.case import AnyCase, RunCase, categories
from tests.redteam.judge import judge
from tests.redteam.world import built


def of_drivers(*drivers: str) -> list[Any]:
    """The cases of these drivers, heavy ones marked."""
    cases: list[AnyCase] = [case for category in categories() for case in category.cases]
    return [
        pytest.param(case, id=case.id, marks=[pytest.mark.soak] if case.heavy else [])
        for case in cases
        if case.driver in drivers
    ]


@pytest.mark.parametrize("case", of_drivers("call"))
async def test_a_run_under_attack(case: RunCase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with built(case, tmp_path, monkeypatch) as world:
        before = world.state()
        ended = await attacked(case, world, monkeypatch)
        judge(case, world, before, ended)
