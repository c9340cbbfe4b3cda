"""What holds for every tool, and the page that lists them."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from blocks.databases_file import Database, Databases
from blocks.memory import Memory
from blocks.redact import Redactor
from tasks.agents.tool import Tool
from tasks.agents.tools import clusters, commands, files, git, handoff, memory, prometheus, reviews, sql, web
from tasks.agents.tools.clusters import Clusters
from tasks.agents.tools.table import tools_table
from tests.fakes.recording_program import Recorder

ROOT = Path(__file__).parents[4]
NAMES = {
    *("read_file", "list_files", "search_files", "write_file", "edit_file", "delete_file", "restore_file"),
    *("run_command", "http_get", "http_request", "query_sql", "query_prometheus"),
    *("git_status", "git_diff", "git_log", "git_show", "git_commit", "git_branch"),
    *("kubectl_get", "kubectl_logs", "kubectl_apply", "kubectl_scale", "kubectl_rollout_restart"),
    *("docker_ps", "docker_logs", "docker_inspect", "docker_restart"),
    *("propose_for_review", "review_outcome", "write_approved"),
    *("remember", "recall", "forget", "hand_off"),
}


@pytest.fixture
def remembered(tmp_path: Path) -> Iterator[Memory]:
    memory = Memory(tmp_path / "memory.db", Redactor())
    yield memory
    memory.close()


@pytest.fixture
def tools(tmp_path: Path, remembered: Memory) -> list[Tool[Any]]:
    for program in ("kubectl", "docker"):
        Recorder(tmp_path, program)
    (tmp_path / "config").touch()
    reached = Clusters(kubeconfig=tmp_path / "config", docker_host=f"unix://{tmp_path}/config", path=str(tmp_path))
    databases = Databases(folder=tmp_path, by_name={"a": Database(url="sqlite:///a.db")})
    return [
        *files.TOOLS,
        *commands.tools(),
        *git.TOOLS,
        *reviews.TOOLS,
        *web.tools(),
        *sql.tools(databases),
        *prometheus.tools("http://prometheus:9090"),
        *clusters.tools(reached),
        *memory.tools(remembered),
        *handoff.TOOLS,
    ]


def test_their_names_are_these(tools: list[Tool[Any]]) -> None:
    assert {tool.name for tool in tools} == NAMES and len(tools) == len(NAMES)


def test_a_model_learns_what_each_argument_is(tools: list[Tool[Any]]) -> None:
    for tool in tools:
        schema = tool.arguments.model_json_schema()
        assert schema["additionalProperties"] is False, tool.name
        for name, field in schema.get("properties", {}).items():
            assert "description" in str(field), f"{tool.name}.{name}"
        assert 20 < len(tool.description) < 600


def test_what_they_say_of_themselves_fits(tools: list[Tool[Any]]) -> None:
    for tool in tools:
        if tool.read_only:
            assert tool.reversible and tool.risk in ("low", "medium"), tool.name
        if tool.risk == "low" and not tool.read_only:
            assert tool.reversible, tool.name
        if tool.polls:
            assert tool.read_only, tool.name
    outside = {tool.name for tool in tools if tool.outside}
    assert outside == {
        *("http_get", "http_request", "kubectl_apply", "kubectl_scale", "kubectl_rollout_restart", "docker_restart"),
    }


def test_all_that_reads_says_that_it_is_not_to_be_believed(tools: list[Tool[Any]]) -> None:
    trusted = {tool.name for tool in tools if tool.read_only and "untrusted" not in tool.labels}
    # What a person has said; and memories, of which only those are recalled that a person read or that are our own.
    assert trusted == {"review_outcome", "hand_off", "recall"}
    assert {tool.name for tool in tools if "private" in tool.labels} == {"query_sql", "recall"}


def test_the_page_lists_them(tools: list[Tool[Any]]) -> None:
    page = (ROOT / "docs" / "agents" / "tools.md").read_text()
    found = re.search(r"<!-- tools -->\n(.*)<!-- /tools -->", page, re.DOTALL)
    assert found and found[1] == tools_table(tools), "put the output of tools_table() between the marks"
