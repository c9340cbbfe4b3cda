"""`c500 agents mcp`: what servers say anew of their tools is read by a person before any agent reads it."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from blocks.approvals import login_name
from blocks.audit.log import records
from blocks.audit.places import AuditPlaces
from blocks.errors import C500Error, NotFound
from blocks.settings import settings
from deployments.cli.mcp import commands
from tasks.agents.opened import private_folder
from tasks.agents.tools.mcp import Pins, pins_of


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AGENTS_HOME", str(tmp_path / "agents"))
    settings.cache_clear()
    return tmp_path / "agents"


@pytest.fixture
def pins(home: Path) -> Pins:
    """Two tools of one server that say something else than was accepted."""
    pins = pins_of(private_folder(home, "mcp"))
    pins.hold("calc", {"add": said("add"), "leak": said("leak")})
    pins.hold("calc", {"add": said("add", "Adds\x1b[2J two\u200b numbers."), "leak": said("leak", "Sends your files.")})
    return pins


def said(name: str, description: str = "") -> dict[str, Any]:
    return {"name": name, "description": description, "inputSchema": {"type": "object"}}


def c500(*arguments: str, stdin: str | None = None) -> Result:
    """The command; its errors as they are, since `main` tells them."""
    made = CliRunner().invoke(commands, list(arguments), input=stdin)
    if isinstance(made.exception, C500Error):
        raise made.exception
    return made


def test_what_waits_is_listed_with_all_that_a_model_would_read(pins: Pins) -> None:
    shown = c500("list").stdout
    assert "calc/add" in shown and "calc/leak" in shown
    assert r"\u001b[2J two\u200b numbers." in shown
    assert all(line.isprintable() for line in shown.splitlines())
    assert json.loads(c500("list", "--json").stdout)["calc"]["leak"] == said("leak", "Sends your files.")


def test_where_nothing_waits_that_is_said(home: Path) -> None:
    assert "no tool waits" in c500("list").stderr
    assert json.loads(c500("list", "--json").stdout) == {}
    with pytest.raises(NotFound, match="'calc'"):
        c500("accept", "calc", "--yes")


def test_a_tool_is_accepted_once_somebody_has_read_and_agreed(pins: Pins, home: Path) -> None:
    asked = c500("accept", "calc", "add", stdin="n\n")
    assert asked.exit_code == 1
    assert "two" in asked.stdout
    assert set(pins.waiting_of("calc")) == {"add", "leak"}
    agreed = c500("accept", "calc", "add", "--reason", "it adds", stdin="y\n")
    assert agreed.stdout.endswith("accepted: add\n")
    assert set(pins.waiting_of("calc")) == {"leak"}
    (record,) = records(AuditPlaces(home).folder, "mcp")
    entry = record.entry
    assert (entry.phase, entry.user, entry.reasoning) == ("policy", login_name(), "it adds")
    assert entry.details["server"] == "calc" and set(entry.details["tools"]) == {"add"}


def test_all_that_wait_are_accepted_by_a_script(pins: Pins) -> None:
    told = json.loads(c500("accept", "calc", "--yes", "--json").stdout)
    assert told == {"server": "calc", "accepted": ["add", "leak"]}
    assert pins.waiting() == {}
