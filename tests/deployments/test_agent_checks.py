"""What `c500 doctor` says of agents: faults are told as such, what is not there with its reason."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from blocks import sandbox
from blocks.audit import Entry
from blocks.audit.places import open_audit
from blocks.errors import BadInput, C500Error, EngineUnavailable, NotFound, Unsupported
from blocks.policy import activate
from blocks.policy.open import policy_state
from blocks.settings import settings
from deployments.agent_checks import (
    check_agents,
    check_audit,
    check_escalation,
    check_mcp,
    check_rules,
    check_sandbox,
    check_tools,
)
from deployments.doctor import _run
from tasks.agents.opened import private_folder
from tasks.agents.tools.mcp import pins_of


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of which nothing but AGENTS_HOME is set."""
    given(monkeypatch, AGENTS_HOME=tmp_path / "agents", MCP_FILE=tmp_path / "m", DATABASES_FILE=tmp_path / "d")
    return tmp_path / "agents"


def given(monkeypatch: pytest.MonkeyPatch, **environment: Any) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, str(value))
    settings.cache_clear()


def test_agents_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert {"operator", "reader"} <= set(check_agents().split(", "))
    given(monkeypatch, AGENTS_DIR=tmp_path / "none")
    with pytest.raises(NotFound, match="AGENTS_DIR"):
        check_agents()


def test_a_wrong_agent_is_told_with_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.yaml").write_text("description: x\nrole: y\ntier: enormous\n")
    given(monkeypatch, AGENTS_DIR=tmp_path)
    with pytest.raises(BadInput, match=r"mine\.yaml:3"):
        check_agents()


def test_rules_are_read_and_have_the_profile(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "profile development" in check_rules()
    given(monkeypatch, AGENT_PROFILE="incident")
    assert "profile production, instead of incident" in check_rules()
    activate(policy_state(), "ann", "the database is down", 3600)
    assert check_rules().endswith("profile incident")
    given(monkeypatch, AGENT_PROFILE="wild")
    with pytest.raises(NotFound, match="'wild'"):
        check_rules()
    given(monkeypatch, POLICY_FILE=home / "none.yaml")
    with pytest.raises(NotFound, match=r"none\.yaml"):
        check_rules()


def test_a_sandbox_that_is_not_to_be_had_is_told_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_sandbox() == "bubblewrap"

    def none(*_: object, **__: object) -> None:
        raise Unsupported("no user namespaces", fix="allow them")

    monkeypatch.setattr(sandbox, "_bubblewrap", none)
    given(monkeypatch, AGENT_PROFILE="production")
    found = _run("agent sandbox", check_sandbox)
    assert (found.good, found.lacking, found.fix) == (True, True, "allow them")
    assert "run_command, search_files and the git tools refuse every call of agents (no user namespaces)" in found.fact


def test_the_end_of_the_audit_is_looked_at(home: Path) -> None:
    assert "no agent has run" in check_audit()
    open_audit(home).append(Entry(entry_id="1", run_id="r", agent="a", user="u", phase="decided"))
    assert check_audit().startswith("1 records kept in ")
    assert check_audit().endswith("not verified: `c500 audit verify` does that")
    (day,) = (home / "audit").glob("*.jsonl")
    day.write_bytes(day.read_bytes().replace(b'"decided"', b'"stopped"'))
    with pytest.raises(C500Error, match="not as it was written"):
        check_audit()


def test_tools_that_agents_do_without_are_told(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = check_tools()
    for why in ("no query_prometheus: PROMETHEUS_URL", f"no databases in {tmp_path}/d", f"no servers in {tmp_path}/m"):
        assert why in told
    assert "no docker tools: " in told
    (tmp_path / "m").write_text("servers: {calc: {command: [calc]}}")
    pins = pins_of(private_folder(home, "mcp"))
    pins.hold("calc", {"add": {"name": "add"}})
    pins.hold("calc", {"add": {"name": "add", "description": "else"}})
    given(monkeypatch, PROMETHEUS_URL="http://127.0.0.1:9090")
    told = check_tools()
    assert "no MCP tools" not in told and "query_prometheus" not in told
    assert "1 tool of MCP server calc not accepted yet, new or changed: `c500 agents mcp list`" in told
    (tmp_path / "m").write_text("servers: 3")
    with pytest.raises(BadInput, match="servers"):
        check_tools()


def test_mcp_servers_are_started_to_see_whether_they_can_be(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert check_mcp() == f"none in {tmp_path / 'm'}"
    (tmp_path / "said").write_text("Adds.\n")
    command = [sys.executable, "-m", "tests.fakes.mcp_server", str(tmp_path / "said")]
    fine = {"command": command, "env": {"PYTHONPATH": str(Path(__file__).parents[2])}}
    (tmp_path / "m").write_text(json.dumps({"servers": {"calc": fine}}))
    assert check_mcp() == "calc"
    assert not pins_of(private_folder(home, "mcp")).waiting() and not (home / "mcp" / "pins.json").exists()
    dies = {"command": ["/bin/sh", "-c", "echo starting >&2; echo no token >&2"]}
    (tmp_path / "m").write_text(json.dumps({"servers": {"calc": fine, "none": {"command": ["no-such"]}, "dies": dies}}))
    with pytest.raises(EngineUnavailable) as failed:
        check_mcp()
    assert "none did not start: it went away, and its log ends with: no-such cannot be started" in failed.value.message
    assert "dies did not start: it went away, and its log ends with: no token" in failed.value.message
    assert "calc" not in failed.value.message


def test_the_escalation_chain_is_looked_at_and_nothing_is_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "nobody is told" in check_escalation()
    file = tmp_path / "chain.yaml"
    given(monkeypatch, ESCALATION_FILE=file)
    with pytest.raises(NotFound, match=r"chain\.yaml"):
        check_escalation()

    def chain(channel: str, **more: Any) -> None:
        level = {"name": "on-call", "channels": [channel], "acknowledge_within_s": 60} | more
        file.write_text(json.dumps({"levels": [level]}))

    chain("json://127.0.0.1:9/x")
    assert check_escalation().startswith("on-call; ")
    chain("block:slack-webhook/ops")
    assert check_escalation().startswith("on-call; ")
    chain("json://127.0.0.1:9/x", acknowlege_within_s=5)
    with pytest.raises(BadInput, match="acknowlege_within_s"):
        check_escalation()
    chain("slak://s3cret/B/C")
    with pytest.raises(BadInput, match="Apprise does not know") as failed:
        check_escalation()
    assert "level on-call" in failed.value.message and "s3cret" not in failed.value.message
    chain("env:NOT_SET_ANYWHERE")
    with pytest.raises(BadInput, match="NOT_SET_ANYWHERE is not set"):
        check_escalation()
