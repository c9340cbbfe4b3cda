"""`c500 ask` as docs/dispatch.md shows it, against the simulator with the files that come with C500."""

import getpass
import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from blocks.accounts.costs import sums
from blocks.accounts.schema import open_engine
from blocks.errors import BadInput
from deployments.cli import app, load_commands
from tasks.dispatch.plan import read_plan
from tests.conftest import ROOT
from tests.deployments.here import c500_here
from tests.fakes.llm.simulated import Simulated, simulated

DEMO = ROOT / "deployments/demo/dispatch"
REQUEST = "Should our bakery in Da Nang open a second shop?"


BEHAVIOUR = yaml.safe_load((DEMO / "behaviour.yaml").read_text()) | {"latency": {"mean_ms": 0}}


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulated]:
    folder = tmp_path_factory.mktemp("simulator")
    accounts = folder / "rehearsal.yaml"
    accounts.write_bytes((DEMO / "accounts.yaml").read_bytes())
    with simulated(accounts, folder, **BEHAVIOUR) as running:
        yield running


@pytest.fixture
def rehearsal(simulator: Simulated, monkeypatch: pytest.MonkeyPatch) -> Simulated:
    """The rehearsal's accounts, simulated and unused; the settings lead to them."""
    simulator.reset()
    simulator.change(rules=BEHAVIOUR["rules"])
    monkeypatch.setenv("ACCOUNTS_FILE", str(simulator.accounts))
    return simulator


def c500(*arguments: str, stdin: int | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "deployments", *arguments]
    return subprocess.run(command, capture_output=True, text=True, stdin=stdin, timeout=300)


def test_the_rehearsal_of_the_docs(prefect_api: str, rehearsal: Simulated, tmp_path: Path) -> None:
    run = c500("ask", REQUEST)
    assert run.returncode == 0, run.stderr
    said = " ".join(run.stdout.split())
    assert "Open the second shop. It costs about 5,000 dollars a month. [proposal, costs]" in said
    assert "No bakery near has more than 250. [rivals]" in said
    assert "0.67 → 0.97 (kept)" in said
    assert "complete" in said
    assert "proposal: done" in run.stderr
    before = rehearsal.books()
    again = json.loads(c500_here("ask", REQUEST, "--json").stdout)
    assert rehearsal.books() == before  # the same request is answered from the store
    charged = before["total"]["charged"]
    assert (again["spent"]["calls"], again["spent"]["cost_usd"]) == (charged["calls"], charged["cost_units"] / 1e9)
    providers = {name.rstrip("-12") for name, book in before["accounts"].items() if book["accepted"]}
    assert len(providers) >= 3
    [paid] = sums(open_engine(f"sqlite:///{tmp_path}/books.db"), ["user"], since=0)
    assert paid.group == {"user": getpass.getuser()}


def test_questions_are_answered_on_the_terminal(prefect_server: str, rehearsal: Simulated) -> None:
    ours, theirs = pty.openpty()
    os.write(ours, b"90,000 dollars\n")
    run = c500("ask", REQUEST, "--questions", "--rounds", "0", "--accounts", "team", "--json", stdin=theirs)
    os.close(theirs)
    os.close(ours)
    assert run.returncode == 0, run.stderr
    assert "How much money is there for the second shop?" in run.stderr
    [clarified] = json.loads(run.stdout)["clarifications"]
    assert clarified["answer"] == "90,000 dollars"
    used = {name for name, book in rehearsal.books()["accounts"].items() if book["accepted"]}
    assert used <= {"openai-1", "openai-2", "claude-1", "gemini-1", "gemini-2"}


@pytest.fixture
def circle(tmp_path: Path) -> str:
    """A plan file whose sub-tasks wait for each other."""
    tasks = [{"id": one, "title": one, "instruction": one, "depends_on": [other]} for one, other in ("ab", "ba")]
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump({"tasks": tasks}))
    return "plan.yaml"


def test_what_is_wrong_is_said_before_anything_starts(circle: str) -> None:
    run = c500("ask", "Do it.", "--plan", circle)
    assert run.returncode == 2
    assert "in a circle: a → b → a" in run.stderr
    assert "fix: " in run.stderr
    assert "Traceback" not in run.stderr
    assert "start Prefect" not in run.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--accounts", "nolabel"], "no account is named or labelled nolabel"),
        (["--model", "nomodel"], "no account has model 'nomodel'"),
        (["--accounts", "team", "--model", "kimi-k2"], "no account has model 'kimi-k2'"),
        (["--specialities", "mine.yaml"], "no account has model 'nomodel'"),
    ],
)
def test_accounts_and_models_that_there_are_not_are_named_at_once(
    arguments: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text("law: {description: Law, system: You know the law., model: nomodel}\n")
    monkeypatch.setenv("ACCOUNTS_FILE", str(DEMO / "accounts.yaml"))
    run = c500_here("ask", "Do it.", *arguments)
    assert (run.returncode, says in run.stderr) == (2, True), run.stderr
    assert "start Prefect" not in run.stderr


def test_a_plan_is_shown_without_being_carried_out(rehearsal: Simulated, tmp_path: Path) -> None:
    run = c500_here("ask", REQUEST, "--plan-only")
    assert run.returncode == 0, run.stderr
    assert "start Prefect" not in run.stderr
    assert rehearsal.books()["total"]["charged"]["calls"] == 1
    (tmp_path / "plan.yaml").write_text(run.stdout)
    plan = read_plan(tmp_path / "plan.yaml")
    assert "proposal" in [task.id for task in plan.tasks]
    assert f"this plan takes {len(plan.tasks) + 2} calls" in run.stderr
    assert c500_here("ask", REQUEST, "--plan-only", "--plan", str(tmp_path / "plan.yaml")).returncode == 2


def test_a_partial_answer_is_printed_and_ends_with_1(prefect_api: str, rehearsal: Simulated, tmp_path: Path) -> None:
    rehearsal.change(rules=[])  # as a plain `c500 simulate-llm`: an echo is no merged answer
    (tmp_path / "plan.yaml").write_text("tasks: [{id: rent, title: Rents, instruction: Find the rent.}]")
    run = c500_here("ask", REQUEST, "--plan", str(tmp_path / "plan.yaml"))
    assert "Nothing was merged" in run.stdout, run.stderr
    assert "partial" in run.stdout
    assert run.returncode == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([" "], "the request is empty"),
        (["Do it.", "--rounds", "99"], "--rounds is 99"),
        (["Do it.", "--budget-usd", "0"], "--budget-usd is 0"),
        (["Do it.", "--deadline", "-1"], "--deadline is -1"),
        (["Do it.", "--model", "no such name!"], "--model is"),
        (["Do it.", "--specialities", "nowhere.yaml"], "there is no file nowhere.yaml"),
        (["Do it."], "accounts.yaml"),
    ],
)
def test_options_are_checked(arguments: list[str], says: str) -> None:
    load_commands()
    failure = CliRunner().invoke(app, ["ask", *arguments]).exception
    assert isinstance(failure, BadInput)
    assert says in failure.message
