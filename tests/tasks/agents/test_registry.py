"""Which tools an agent gets."""

from pathlib import Path

import pytest

from blocks.errors import BadInput
from blocks.memory import Memory
from blocks.redact import Redactor
from blocks.settings import settings
from tasks.agents.definition import agent_names, read_agent
from tasks.agents.registry import CONFIGURED, built_in, chosen_of, tools_of, wanted_of
from tasks.agents.tool import Tool


@pytest.fixture
def tools(tmp_path: Path) -> dict[str, Tool[object]]:
    return built_in(settings(), lambda _: False, Memory(tmp_path / "memory.db", Redactor()))


@pytest.mark.parametrize("name", agent_names())
def test_every_tool_of_a_shipped_agent_exists(tools: dict[str, Tool[object]], name: str) -> None:
    assert chosen_of(tools, wanted_of(read_agent(name)), CONFIGURED)


def test_a_pattern_stands_for_all_that_begin_so(tools: dict[str, Tool[object]]) -> None:
    assert {name for name in tools if name.startswith("git_")} == chosen_of(tools, ["git_*"], ()).keys()


def test_a_tool_that_there_is_not_is_refused(tools: dict[str, Tool[object]]) -> None:
    with pytest.raises(BadInput, match="read_fiel"):
        chosen_of(tools, ["read_fiel"], CONFIGURED)


def test_a_tool_that_is_not_set_up_here_is_left_out(tools: dict[str, Tool[object]]) -> None:
    assert "query_prometheus" not in chosen_of(tools, ["read_file", "query_prometheus"], CONFIGURED)


async def test_a_server_that_does_not_start_is_told_to_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mcp.yaml").write_text("servers: {calc: {command: [/nowhere/calc]}}\n")
    monkeypatch.setenv("MCP_FILE", str(tmp_path / "mcp.yaml"))
    settings.cache_clear()
    agent = read_agent("reader").model_copy(update={"mcp": ("calc",)})
    memory = Memory(tmp_path / "memory.db", Redactor())
    async with tools_of(agent, settings(), lambda _: False, memory) as toolbox:
        [told] = toolbox.notices
    assert told.startswith("the MCP server calc is not offered: ")
    assert "read_file" in toolbox.tools
    settings.cache_clear()


def test_a_forgetful_agent_has_no_memory(tools: dict[str, Tool[object]]) -> None:
    forgetful = read_agent("reader").model_copy(update={"remembers": False})
    assert "recall" not in chosen_of(tools, wanted_of(forgetful), CONFIGURED)
    assert "recall" in chosen_of(tools, wanted_of(read_agent("reader")), CONFIGURED)


def test_a_tool_tells_a_model_what_it_is_for(tools: dict[str, Tool[object]]) -> None:
    for tool in tools.values():
        assert len(tool.description) > 20, tool.name
        schema = tool.arguments.model_json_schema()
        assert schema.get("additionalProperties") is False, tool.name
