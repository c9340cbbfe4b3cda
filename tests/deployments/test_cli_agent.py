"""`c500 agent` and `c500 agents`: what is wrong is told before anything starts, and how a result is shown."""

import asyncio
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result
from typer.testing import CliRunner

from blocks.effects import EffectLedger
from blocks.errors import BadInput, EngineUnavailable, NotFound, StoreFailed
from blocks.settings import settings
from blocks.store import open_store
from deployments.cli import agent as command
from deployments.cli import app, session
from tasks.agents.begin import begin
from tasks.agents.opened import private_folder
from tasks.agents.result import AgentOptions, AgentResult
from tasks.agents.runs import RunStore
from tasks.agents.team.team_store import TeamStore
from tasks.agents.tools.mcp import FOLDER, pins_of
from tests.deployments.test_cli_team import ended
from tests.tasks.agents.team.making import begun_of

assert command.commands

ACCOUNT = {"name": "a", "provider": "openai", "key": "none", "models": {"m": {"tiers": ["simple"]}}}
RESULT = AgentResult(
    run_id="r1",
    agent="operator",
    goal="Look.",
    status="done",
    output="All is \x1b[2Jwell.",
    profile="development",
    ended_at=datetime(2026, 11, 21, tzinfo=UTC),
)


@pytest.fixture(autouse=True)
def agents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Accounts, and a folder for agents of our own."""
    (tmp_path / "definitions").mkdir()
    monkeypatch.setenv("AGENTS_DIR", str(tmp_path / "definitions"))
    settings.cache_clear()
    (tmp_path / "accounts.yaml").write_text(yaml.safe_dump({"accounts": [ACCOUNT]}))
    yield tmp_path / "definitions"
    settings.cache_clear()


@pytest.fixture
def ending(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Has flows end with this result."""

    def with_result(**fields: Any) -> None:
        ended = RESULT.model_copy(update=fields)
        monkeypatch.setattr(session, "run_flow", lambda _start, *, quiet: ended)

    return with_result


def c500(*arguments: str, stdin: str | None = None) -> Result:
    """Run a command in this process; what it raises is in `exception`."""
    return CliRunner().invoke(app, list(arguments), input=stdin)


def begun() -> str:
    begin(RunStore(open_store()), settings(), "r1", "Look.", "operator", AgentOptions())
    return "r1"


@pytest.mark.parametrize(
    "given",
    [
        ("another goal",),
        ("--agent", "reader"),
        ("--profile", "staging"),
        ("--session", "talk"),
        ("--workspace", "."),
        ("--user", "ann"),
        ("--approval-s", "5"),
        ("--dry-run",),
        ("--unattended",),
    ],
)
def test_what_a_run_that_goes_on_would_not_look_at_is_refused(given: tuple[str, ...], ending: Any) -> None:
    ending()
    failure = c500("agent", "--resume", begun(), *given).exception
    assert isinstance(failure, BadInput)
    assert f"{given[0] if given[0].startswith('--') else 'goal'} does not go with --resume" in failure.message


def test_a_run_goes_on_with_another_budget(ending: Any) -> None:
    ending()
    assert c500("agent", "--resume", begun(), "--budget-usd", "2").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "error", "named"),
    [
        ((" ",), BadInput, "no goal"),
        (("Look.", "--agent", "nobody"), NotFound, "nobody"),
        (("Look.", "--session", "a/b"), BadInput, "--session"),
        (("--resume", "none"), NotFound, "none"),
        (("--resume", "../x"), BadInput, "../x"),
    ],
)
def test_what_is_wrong_is_told_before_anything_starts(
    arguments: tuple[str, ...], error: type[Exception], named: str
) -> None:
    failure = c500("agent", *arguments).exception
    assert isinstance(failure, error)
    assert named in str(failure)


def test_an_effect_in_doubt_is_told_before_its_run_goes_on(ending: Any) -> None:
    ending()
    run_id, ledger = begun(), EffectLedger(settings().agents_home / "effects")

    async def dies() -> None:
        raise KeyboardInterrupt

    for one in (run_id, "other"):
        with pytest.raises(KeyboardInterrupt):
            asyncio.run(ledger.once(f"{one}/call_1", dies))
    told = c500("agent", "--resume", run_id).stderr
    assert "warning: nobody knows whether r1/call_1 happened" in told
    assert "c500 effects settle r1/call_1" in told and "c500 effects release r1/call_1" in told
    assert "other" not in told


def test_a_home_that_cannot_be_used_is_named(tmp_path: Path, ending: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ending()
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("AGENTS_HOME", str(tmp_path / "file"))
    settings.cache_clear()
    failure = c500("agent", "Look.").exception
    assert isinstance(failure, StoreFailed)
    assert failure.message.startswith(f"AGENTS_HOME is {tmp_path / 'file'}: ")


def test_runs_of_agents_and_teams_are_listed_by_time_and_shown(tmp_path: Path) -> None:
    files = open_store()
    runs, team = RunStore(files), TeamStore(files, "t1")
    run = begin(runs, settings(), "zz", "Look.", "operator", AgentOptions())
    team.begin(begun_of("t1").model_copy(update={"started_at": run.started_at + timedelta(seconds=1)}))
    begin(runs, settings(), "aa", "Look again.", "operator", AgentOptions())
    later = runs.begun("aa")
    assert later is not None
    later = later.model_copy(update={"started_at": run.started_at + timedelta(seconds=2)})
    files.put_bytes("agents/runs/aa/begun.json", later.model_dump_json().encode())
    told = json.loads(c500("agents", "runs", "--json").stdout)
    assert [(one["run_id"], one["kind"], one["status"]) for one in told] == [
        ("zz", "agent", "open"), ("t1", "team", "open"), ("aa", "agent", "open")
    ]  # fmt: skip
    assert "t1  open" in c500("agents", "runs").stdout and "team of coordinator" in c500("agents", "runs").stdout
    assert isinstance(c500("agents", "result", "t1").exception, NotFound)
    team.end(ended("done"))
    assert "All is well. [look]" in c500("agents", "result", "t1").stdout


def test_a_model_that_no_account_has_is_told_by_the_check(agents: Path) -> None:
    (agents / "mine.yaml").write_text("{description: d, role: r, model: huge}\n")
    told = c500("agents", "check", "mine")
    assert told.exit_code == 2
    assert "has the model 'huge'" in told.stderr and "use one of m, or name a tier" in told.stderr
    (agents / "mine.yaml").write_text("{description: d, role: r, model: m}\n")
    assert c500("agents", "check", "mine").exit_code == 0


def test_nothing_that_a_model_said_moves_the_cursor(ending: Any) -> None:
    ending(refused=("read_file: \x1b[31mno",))
    told = c500("agent", "Look.")
    assert "All is [2Jwell." in told.stdout
    assert "refused: read_file: [31mno" in told.stderr
    assert "\x1b" not in told.output


def test_what_a_dry_run_would_change_and_what_was_missing_is_shown(ending: Any) -> None:
    ending(dry_run=True, would_change=("write_file: +71",), notices=("the MCP tool calc/add is not offered: new",))
    told = c500("agent", "Look.", "--dry-run")
    assert "would change: write_file: +71" in told.stdout
    assert "note: the MCP tool calc/add is not offered: new" in told.stderr
    ending(dry_run=True)
    assert "nothing would be changed" in c500("agent", "Look.", "--dry-run").stderr
    assert json.loads(c500("agent", "Look.", "--dry-run", "--json").stdout)["would_change"] == []


def test_tools_of_servers_that_wait_to_be_accepted_are_told_by_the_check(tmp_path: Path, agents: Path) -> None:
    (tmp_path / "m").write_text("servers: {calc: {command: [calc]}}")
    (agents / "mine.yaml").write_text("{description: d, role: r, mcp: [calc]}\n")
    pins = pins_of(private_folder(settings().agents_home, FOLDER))
    pins.hold("calc", {"add": {"name": "add"}})
    pins.hold("calc", {"add": {"name": "add", "description": "else"}})
    told = CliRunner(env={"MCP_FILE": str(tmp_path / "m")}).invoke(app, ["agents", "check", "reader"])
    assert "calc" not in told.output
    settings.cache_clear()
    told = CliRunner(env={"MCP_FILE": str(tmp_path / "m")}).invoke(app, ["agents", "check", "mine"])
    assert (told.exit_code, told.stdout) == (0, "mine: fine\n")
    assert "the MCP tool calc/add is not offered: what the server says of it is new or changed" in told.stderr


@pytest.mark.usefixtures("prefect_api")
def test_a_server_of_prefect_that_went_away_is_said_so() -> None:
    async def flow() -> None:
        import httpx

        async with httpx.AsyncClient() as client:
            await client.get("http://127.0.0.1:9/api")  # nobody listens on this port

    with pytest.raises(EngineUnavailable, match="Prefect's server") as failed:
        session.run_flow(flow, quiet=True)
    assert "what was done is kept" in failed.value.fix
