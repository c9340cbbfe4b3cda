"""`c500 agent` and `c500 agents`: what is wrong is told before anything starts, and how a result is shown."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result
from typer.testing import CliRunner

from blocks.errors import BadInput, EngineUnavailable, NotFound
from blocks.settings import settings
from blocks.store import open_store
from deployments.cli import agent as command
from deployments.cli import app, session
from tasks.agents.begin import begin
from tasks.agents.opened import private_folder
from tasks.agents.result import AgentOptions, AgentResult
from tasks.agents.runs import RunStore
from tasks.agents.tools.mcp import FOLDER, pins_of

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
