"""A team whose process is killed goes on: no task that ended is done again, and the same plan is carried out."""

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

import pytest
import yaml

from blocks.progress import in_thread
from blocks.settings import settings
from blocks.store import open_store
from tasks.agents.team.result import TeamResult
from tasks.agents.team.team_store import TEAMS
from tests.flows.teaming import RUN, Says, phases, task, team_model, write_agents

PLAN = {"tasks": [task("mend", agent="mender"), task("look"), task("report", "mend", "look")]}
BY_ROLE = {"mend": [[("write_file", {"path": "report.txt", "content": "71 degrees\n"})], "It is mended."]}


@pytest.fixture
def plan(tmp_path: Path, prefect_api: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A plan in a file; the settings of child processes lead to the agents and the accounts."""
    monkeypatch.setenv("AGENTS_DIR", str(write_agents(tmp_path / "definitions")))
    settings.cache_clear()
    (tmp_path / "workspace").mkdir()
    file = tmp_path / "plan.yaml"
    file.write_text(yaml.safe_dump(PLAN))
    return file


async def start(plan: Path, *flow_run: str) -> tuple[Process, str]:
    """A process that runs the team, and the id of its flow run."""
    command = ["-m", "tests.flows.run_team", str(plan), str(plan.parent / "workspace"), *flow_run]
    process = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=PIPE, stderr=PIPE)
    assert process.stdout
    return process, (await process.stdout.readline()).decode().strip()


async def finish(plan: Path, *flow_run: str) -> TeamResult:
    process, _ = await start(plan, *flow_run)
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return TeamResult.model_validate_json(output.splitlines()[-1])


async def killed_at_the_report(plan: Path, says: Says) -> str:
    """Kill the process once the last task has asked its model."""
    process, flow_run = await start(plan)
    assert await in_thread(says.arrived.wait, 60)
    process.kill()
    assert await process.wait() == -signal.SIGKILL
    says.held = ""
    says.opened.set()
    return flow_run


@pytest.mark.parametrize("as_the_same_flow_run", [True, pytest.param(False, marks=pytest.mark.soak)])
async def test_a_killed_team_goes_on_where_it_was(plan: Path, *, as_the_same_flow_run: bool) -> None:
    with team_model(plan.parent / "accounts.yaml", BY_ROLE, held="report") as (says, _):
        flow_run = await killed_at_the_report(plan, says)
        written = plan.parent / "workspace" / "report.txt"
        assert written.read_text() == "71 degrees\n"
        written.write_text("changed since")
        result = await finish(plan, *([flow_run] if as_the_same_flow_run else []))
    assert result.status == "done"
    assert written.read_text() == "changed since"
    assert sorted(says.asked) == sorted(["mend", "mend", "look", "report", "report", "merge"])
    assert [one.output for one in result.outcomes] == ["It is mended.", "look is done.", "report is done."]
    assert len(result.messages) == 6
    assert phases(RUN).count("message") == 6
    assert phases(RUN).count("plan") == 1
    assert len([key for key in open_store().list(f"{TEAMS}/{RUN}/") if "/messages/" in key]) == 6
