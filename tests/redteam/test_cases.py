"""Every attack of the red team ends blocked or asked, with a record of it, and nothing leaks or happens."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt
from prefect.artifacts import Artifact

from blocks.settings import settings
from tests.redteam import audits, budgets, teams
from tests.redteam.attack import attacked
from tests.redteam.case import AuditCase, BudgetCase, RunCase, TeamCase, categories
from tests.redteam.judge import judge, missing, written
from tests.redteam.parts import Wanted
from tests.redteam.world import built

needs_sandbox = pytest.mark.skipif(not shutil.which("bwrap"), reason="bubblewrap is not installed")


def of(driver: str) -> Any:
    """Runs a test for each case of a driver; heavy ones are marked."""
    cases = [case for category in categories() for case in category.cases if case.driver == driver]
    marked = [pytest.param(case, id=case.id, marks=[pytest.mark.soak] if case.heavy else []) for case in cases]
    return pytest.mark.parametrize("case", marked)


@needs_sandbox
@of("call")
async def test_a_run_under_attack(case: RunCase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with built(case, tmp_path, monkeypatch) as world:
        before = world.state()
        judge(case, world, before, await attacked(case, world, monkeypatch))


@needs_sandbox
@of("run")
@pytest.mark.usefixtures("prefect_api")
async def test_a_flow_under_attack(case: RunCase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with built(case, tmp_path, monkeypatch) as world:
        before = world.state()
        ended = await attacked(case, world, monkeypatch)
        judge(case, world, before, ended)
        shown = await Artifact.aget(f"agent-{ended.result.run_id}")
        assert shown is not None
        page = MarkdownIt().render(str(shown.data))
        assert not [text for text in case.expected.unshown if text in page], page


@needs_sandbox
@of("team")
@pytest.mark.usefixtures("prefect_api")
async def test_a_team_under_attack(case: TeamCase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with built(case, tmp_path, monkeypatch) as world:
        before = world.state()
        ended, charged_usd = await teams.attacked(case, world)
        judge(case, world, before, ended)
    assert charged_usd >= case.least_usd
    assert case.most_usd is None or charged_usd <= case.most_usd


@of("budget")
async def test_a_budget_under_attack(case: BudgetCase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    charged_usd, results = await budgets.spent(case, tmp_path, monkeypatch)
    assert case.least_usd <= charged_usd <= case.most_usd
    assert {result.trouble and result.trouble.code for result in results} == {"BUDGET_EXCEEDED"}
    assert [result.status for result in results] == ["limited"] * case.runs
    for result in results:
        mine = [entry for entry in written() if entry.run_id == result.run_id]
        assert not missing([Wanted(phase="run_ended", outcome="limited")], mine)


@of("audit")
def test_an_audit_under_attack(case: AuditCase) -> None:
    log = audits.attacked(case, settings().agents_home)
    verdict = log.verdict()
    assert tuple(fault.kind for fault in verdict.faults) == case.faults, verdict.faults
    assert verdict.ok is not bool(case.faults)
    assert not missing(case.records, log.entries())
