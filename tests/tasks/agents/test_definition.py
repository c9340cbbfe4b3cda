"""Agents as YAML files: which there are, and what is wrong with one, by its line."""

from pathlib import Path

import pytest

from blocks.errors import BadInput, NotFound
from tasks.agents.definition import AgentDefinition, agent_names, find_agent, read_agent

MINE = """description: Keeps backups.
role: You keep backups.
tools: [read_file, "git_*"]
limits: {steps: 3, budget_usd: 0.5}
rules:
  - {id: keeper-no-etc, verdict: forbid, paths: ["/etc/**"], reason: not its business}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "keeper.yaml").write_text(MINE)
    return tmp_path


@pytest.mark.parametrize("name", agent_names())
def test_a_shipped_agent_is_right_and_its_specialists_exist(name: str) -> None:
    shipped = read_agent(name)
    assert shipped.name == name
    assert set(shipped.specialists) <= set(agent_names())


def test_an_agent_of_your_own_is_found_by_its_file(folder: Path) -> None:
    mine = read_agent("keeper", folder)
    assert (mine.name, mine.limits.steps, mine.limits.budget_usd) == ("keeper", 3, 0.5)
    assert "keeper" in agent_names(folder)


def test_an_agent_of_your_own_takes_the_place_of_ours(folder: Path) -> None:
    (folder / "reader.yaml").write_text(MINE)
    assert read_agent("reader", folder).description == "Keeps backups."


@pytest.mark.parametrize("name", ["nobody", "../keeper", "Keeper", "", "keeper.yaml", "a/b"])
def test_a_name_that_is_none_leads_nowhere(folder: Path, name: str) -> None:
    with pytest.raises(NotFound) as refusal:
        find_agent(name, folder)
    assert "reader" in refusal.value.fix


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("description: x\nrole: y\ntool: [read_file]\n", 3, "did you mean tools"),
        ("description: x\nrole: y\nlimits: {steps: 0}\n", 3, "1 or more"),
        ("description: x\n", 1, "role"),
        ("description: x\nrole: y\ntools: ['rm -rf']\n", 3, "tools"),
        ("description: x\nrole: y\ntier: huge\n", 3, "tier"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, text: str, line: int, what: str) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(BadInput, match=what) as refusal:
        read_agent("mine", tmp_path)
    assert refusal.value.details["line"] == line


def test_an_agent_is_the_same_after_it_was_stored(folder: Path) -> None:
    mine = read_agent("keeper", folder)
    assert AgentDefinition.model_validate_json(mine.model_dump_json()) == mine


def test_a_folder_of_agents_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="nowhere"):
        agent_names(tmp_path / "nowhere")
