"""`c500 session` from the command line: the demo's fleet, what is known of sessions and servers, what is refused."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import deployments.cli.sessions  # noqa: F401 - registers its commands
from deployments.cli import app
from tests.conftest import ROOT
from tests.flows.sessioning import GOAL, write_servers
from tests.processes import free_port, stop

MAIN = "import deployments.cli.sessions; from deployments.cli import main; main()"
ABSENT = "01234567-89ab-cdef-0123-456789abcdef"
DEMO = ROOT / "deployments" / "demo" / "sessions"


@pytest.fixture
def scripted(tmp_path: Path) -> Iterator[str]:
    """Address of a server of its own process that answers rows."""
    command = [sys.executable, "-m", "tests.fakes.iiagent", "--scenario", "rows", "--slots", "8"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT)
    assert process.stdout
    yield process.stdout.readline().decode().strip()
    stop(process)


@pytest.fixture
def servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of servers that the settings name."""
    monkeypatch.setenv("AGENT_SERVERS_FILE", str(tmp_path / "servers.yaml"))
    return tmp_path / "servers.yaml"


def c500(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-c", MAIN, *arguments], capture_output=True, text=True, timeout=240)


def told(*arguments: str) -> Any:
    """The JSON that a command prints in this process."""
    result = CliRunner().invoke(app, ["session", *arguments, "--json"])
    assert result.exit_code in (0, 1), result.output
    return json.loads(result.stdout)


def test_the_demos_fleet_is_done_and_shown(servers: Path, scripted: str, prefect_server: str, tmp_path: Path) -> None:
    write_servers(servers, {"local": scripted}, cores=2)
    ran = c500("session", "fleet", str(DEMO / "jobs.yaml"), "--into", "out", "--json")
    assert ran.returncode == 0, ran.stderr
    report = json.loads(ran.stdout)
    assert (report["done"], report["failed"]) == (2, 0)
    assert (tmp_path / "out" / "spring" / "files" / "output.csv").read_text().startswith("id,output\n1,")
    listed = told("show")
    assert {one["session_id"] for one in listed} == {line["session_id"] for line in report["jobs"]}
    shown = told("show", listed[0]["session_id"], "--events", "5")
    assert [step["outcome"]["kind"] for task in shown["tasks"] for step in task["steps"]] == ["done"]
    assert len(shown["events"]) == 5
    everything = told("show", listed[0]["session_id"], "--events", "99")["events"]
    assert [event.split()[-1] for event in everything if " sent " in event] == ["init_agent", "query"]
    assert not [event for event in everything if "sent unknown" in event]
    [server] = told("servers")
    assert (server["is_there"], server["opened"], server["sessions"]) == (True, 2, 4)
    assert told("servers", "--recycled", "local")[0]["opened"] == 0


@pytest.mark.soak
def test_a_task_is_run_and_its_files_brought_once_more(
    servers: Path, scripted: str, prefect_server: str, tmp_path: Path
) -> None:
    write_servers(servers, {"local": scripted})
    (tmp_path / "checks.yaml").write_text((DEMO / "checks.yaml").read_text())
    prompt = "Summarise each row. Write output.csv."
    asked = ("session", "run", "--prompt", prompt, "--file", str(DEMO / "spring.csv"), "--checks", "checks.yaml")
    ran = c500(*asked, "--into", "out")
    assert ran.returncode == 0, ran.stderr
    assert "output.csv" in ran.stdout
    [session] = told("show")
    brought = c500("session", "download", session["session_id"], "--into", "brought", "--json")
    assert brought.returncode == 0, brought.stderr
    names = {file["name"] for file in json.loads(brought.stdout)["files"]["files"]}
    assert names == {"output.csv", "uploaded_files/spring.csv"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", "--prompt", GOAL, "--server", "nowhere"), "there is no agent server"),
        (("run",), "give either --prompt or --prompt-file"),
        (("run", "--prompt", GOAL, "--checks", "absent.yaml"), "there is no file"),
        (("run", "--prompt", GOAL, "--file", "absent.csv"), "there is no file"),
        (("run", "--prompt", "  "), "the prompt is empty"),
        (("run", "--prompt", GOAL, "--session", "../../etc"), "is no session id"),
        (("run", "--prompt", GOAL, "--wall-s", "-1"), "allowance.wall_s: it must be more than 0"),
        (("run", "--prompt", GOAL, "--max-continues", "-1"), "allowance.max_continues: it must be 0 or more"),
        (("run", "--prompt", GOAL, "--output", "../up.txt"), "outputs.0"),
        (("download", "nothing"), "is no session id"),
        (("combined", "nothing", "--prompt", GOAL), "is no session id"),
        (("combined", ABSENT, "--prompt", " "), "the prompt is empty"),
        (("combined", ABSENT, "--prompt", GOAL, "--file", "absent.csv"), "there is no file"),
        (("fleet", "jobs.yaml", "-n", "8"), "8 sessions at once are not possible, but 4: calls at once of local binds"),
        (("fleet", "absent.yaml"), "there is no file"),
        (("show", "01234567-89ab-cdef-0123-456789abcdef"), "this machine knows no session"),
    ],
)
def test_what_cannot_be_is_refused_before_prefect_starts(
    arguments: tuple[str, ...], said: str, servers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def started(*_: object, **__: object) -> None:
        raise AssertionError("Prefect was started")

    write_servers(servers, {"local": "http://127.0.0.1:1"}, cores=2)
    jobs = [{"name": f"j{at}", "prompt": GOAL} for at in range(8)]
    (tmp_path / "jobs.yaml").write_text(json.dumps({"jobs": jobs}))
    monkeypatch.setattr("deployments.cli.session.run_flow", started)
    result = CliRunner().invoke(app, ["session", *arguments])
    assert result.exit_code == 1
    assert said in str(result.exception)


def test_a_server_that_is_away_is_listed_and_makes_the_command_fail(servers: Path) -> None:
    write_servers(servers, {"local": f"http://127.0.0.1:{free_port()}"})
    result = CliRunner().invoke(app, ["session", "servers"])
    assert result.exit_code == 1
    assert "does not" in result.stdout


def test_the_demos_files_are_good() -> None:
    from blocks.iiagent.checks import read_checks
    from blocks.iiagent.server import read_servers
    from tasks.sessions.fleet_jobs import ready_jobs

    known = read_servers(DEMO / "servers.yaml").servers
    assert [job.name for job in ready_jobs(DEMO / "jobs.yaml", known)] == ["spring", "summer"]
    assert read_checks(DEMO / "checks.yaml").checks
