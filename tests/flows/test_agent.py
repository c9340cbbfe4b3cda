"""An agent at work in a flow: tools, rules, people, limits, stops, sessions."""

from pathlib import Path
from typing import Any

import pytest

from flows import run_agent
from tasks.agents.result import AgentOptions, AgentResult
from tests.fakes.llm.agent_model import agent_model, results_in

pytestmark = pytest.mark.usefixtures("prefect_api")


@pytest.fixture
def accounts(tmp_path: Path) -> Path:
    """Where the settings look for accounts."""
    return tmp_path / "accounts.yaml"


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    folder.mkdir()
    (folder / "notes.txt").write_text("The pump is at 71 degrees.\n")
    return folder


async def act(workspace: Path, goal: str = "Look after the pump.", **options: Any) -> AgentResult:
    run_id = options.pop("run_id", None)
    agent = options.pop("agent", "operator")
    fields = {"workspace": str(workspace), "user": "ann", "attended": False} | options
    return await run_agent(goal, agent, AgentOptions(**fields), run_id=run_id)


async def test_an_agent_reads_writes_and_says_what_it_did(accounts: Path, workspace: Path) -> None:
    turns = (
        [("read_file", {"path": "notes.txt"})],
        [("write_file", {"path": "report.txt", "content": "71 degrees\n"})],
        "The report is written.",
    )
    with agent_model(accounts, *turns) as model:
        result = await act(workspace)
        charged_usd = model.charged_usd
    assert (result.status, result.output) == ("done", "The report is written.")
    assert (workspace / "report.txt").read_text() == "71 degrees\n"
    assert "71 degrees" in results_in(model.script.asked[-1])[0]
    assert (result.usage.steps, result.usage.actions) == (3, 2)
    assert result.usage.cost_usd == pytest.approx(charged_usd)
