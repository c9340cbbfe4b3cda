"""`c500 team`: what is wrong is told before anything starts, and how a result is shown."""

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result
from typer.testing import CliRunner

from blocks.effects import EffectLedger
from blocks.errors import BadInput, NotFound
from blocks.settings import settings
from blocks.store import open_store
from deployments.cli import app, session
from deployments.cli import team as command
from tasks.agents.team.result import Finding, TaskOutcome, TeamAnswer, TeamResult, TeamStatus
from tasks.agents.team.team_store import Assignment, TeamStore
from tests.flows.teaming import task, write_agents
from tests.tasks.agents.team.making import STARTED, begun_of, plan_of

assert command.EXIT

ACCOUNT = {"name": "a", "provider": "openai", "key": "none", "models": {"m": {"tiers": ["simple"]}}}


@pytest.fixture(autouse=True)
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Agents and accounts; flows that are started are noted, and end as `c500` says."""
    monkeypatch.setenv("AGENTS_DIR", str(write_agents(tmp_path / "definitions")))
    settings.cache_clear()
    (tmp_path / "accounts.yaml").write_text(yaml.safe_dump({"accounts": [ACCOUNT]}))
    noted: list[Any] = []

    def run(start: Callable[[], Any], *, quiet: bool) -> TeamResult:
        noted.append(quiet)
        return ended("done" if quiet else "limited")

    monkeypatch.setattr(session, "run_flow", run)
    yield noted
    settings.cache_clear()


def ended(status: TeamStatus) -> TeamResult:
    waits = TaskOutcome(task_id="ask", agent="mender", state="handed_off", run_id="r1", handoff_id="r1-1")
    return TeamResult(
        run_id="t1",
        agent="coordinator",
        goal="Look.",
        status=status,
        answer=TeamAnswer(findings=(Finding(text="All is well.", sources=("look",)),)),
        outcomes=(TaskOutcome(task_id="look", agent="looker", state="done"), waits),
        plan=plan_of(task("look"), task("ask")),
        ended_at=STARTED,
    )


def c500(*arguments: str, stdin: str | None = None) -> Result:
    """Run a command in this process; what it raises is in `exception`."""
    return CliRunner().invoke(app, ["team", *arguments], input=stdin)


@pytest.mark.parametrize(
    ("arguments", "error", "named"),
    [
        ((" ",), BadInput, "no goal"),
        (("Look.", "--agent", "nobody"), NotFound, "nobody"),
        (("Look.", "--agent", "looker"), BadInput, "no specialists"),
        (("Look.", "--plan", "none.yaml"), NotFound, "none.yaml"),
        (("Look.", "--plan", "wrong.yaml"), BadInput, "agent stranger"),
        (("Look.", "--profile", "wild"), NotFound, "wild"),
        (("Look.", "--deadline", "0"), BadInput, "--deadline"),
        (("--resume", "t9"), NotFound, "t9"),
        (("--resume", "../x"), BadInput, "../x"),
        (("Look.", "--workspace", "nowhere"), BadInput, "nowhere"),
    ],
)
def test_what_is_wrong_is_told_before_anything_starts(
    tmp_path: Path, started: list[Any], arguments: tuple[str, ...], error: type[Exception], named: str
) -> None:
    (tmp_path / "wrong.yaml").write_text(yaml.safe_dump({"tasks": [task("a", agent="stranger")]}))
    failure = c500(*arguments).exception
    assert isinstance(failure, error)
    assert named in str(failure)
    assert not started


def test_what_a_team_that_goes_on_would_not_look_at_is_refused(started: list[Any]) -> None:
    for given in (["Look."], ["--budget-usd", "1"], ["--deadline", "60"], ["--dry-run"]):
        failure = c500("--resume", "t1", *given).exception
        assert isinstance(failure, BadInput)
        assert "does not go with --resume" in failure.message
    assert not started


def test_the_answer_is_shown_and_what_waits_for_the_user(started: list[Any]) -> None:
    told = c500("Look.")
    assert told.exit_code == 1
    assert "All is well. [look]" in told.output
    assert "ask waits for you: c500 handoff show r1-1" in told.output
    assert started == [False]


def test_its_id_is_told_at_its_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(start: Callable[[], Any], *, quiet: bool) -> TeamResult:
        start().close()
        return ended("done")

    monkeypatch.setattr(session, "run_flow", run)
    told = c500("Look.")
    assert re.search(r"^team [0-9a-f]{16} begins$", told.stderr, re.MULTILINE)


def test_effects_in_doubt_of_its_agents_are_told_before_it_goes_on() -> None:
    store, ledger = TeamStore(open_store(), "t1"), EffectLedger(settings().agents_home / "effects")
    store.begin(begun_of("t1"))
    store.put("assignments/look", Assignment(task_id="look", run_id="r7", goal="Look.", budget_usd=None))

    async def dies() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(ledger.once("r7/call_1", dies))
    assert "c500 effects settle r7/call_1" in c500("--resume", "t1").stderr


def test_programs_get_json_and_a_plan_of_ones_own_may_be_json(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text(json.dumps({"tasks": [task("look")]}))
    told = c500("-", "--plan", "plan.json", "--json", stdin="Look.")
    assert told.exit_code == 0
    assert json.loads(told.output)["run_id"] == "t1"
