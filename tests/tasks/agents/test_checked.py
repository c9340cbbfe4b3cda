"""What keeps an agent from beginning is told before it is tried."""

from pathlib import Path

import pytest

from blocks.settings import settings
from tasks.agents.checked import troubles_of
from tasks.agents.definition import agent_names

GOOD = "description: x\nrole: y\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AGENTS_DIR", str(tmp_path))
    settings.cache_clear()
    return tmp_path


@pytest.mark.parametrize("name", agent_names())
def test_a_shipped_agent_can_begin(name: str) -> None:
    assert troubles_of(name, settings()) == []


@pytest.mark.parametrize(
    ("more", "told", "fix"),
    [
        ("tools: [read_fil]\n", "no tool read_fil", "did you mean read_file"),
        ("mcp: [nowhere]\n", "no MCP server 'nowhere'", "add it"),
        ("context: [gone.md]\n", "gone.md", ""),
        ("specialists: [nobody]\n", "no agent 'nobody'", "reader"),
        ("rules:\n  - {id: mine, verdict: allow, tools: [run_command], reason: r}\n", "cannot allow", ""),
        ("tool: [read_file]\n", "no such field", ""),
    ],
)
def test_what_is_missing_is_named(folder: Path, more: str, told: str, fix: str) -> None:
    (folder / "mine.yaml").write_text(GOOD + more)
    [trouble] = troubles_of("mine", settings())
    assert told in trouble.message
    assert fix in trouble.fix
