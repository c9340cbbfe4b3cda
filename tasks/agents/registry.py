"""Which tools there are, and which of them an agent gets."""

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any

import structlog

from blocks.databases_file import read_databases
from blocks.errors import BadInput
from blocks.memory import Memory
from blocks.sandbox import Level
from blocks.settings import Settings
from tasks.agents.definition import AgentDefinition
from tasks.agents.opened import private_folder
from tasks.agents.tool import Tool
from tasks.agents.tools import clusters, commands, files, git, handoff, memory, prometheus, reviews, sql, web
from tasks.agents.tools.mcp import FOLDER, McpServers, mcp_tools, read_mcp

log = structlog.stdlib.get_logger("c500")

Tools = Mapping[str, Tool[Any]]


def built_in(
    chosen: Settings, allowed: Callable[[str], bool], remembered: Memory, sandbox: Level = "bubblewrap"
) -> dict[str, Tool[Any]]:
    """All tools but those of MCP servers, by name; those whose program, file or server is not there are left out.

    Args:
        chosen: The settings.
        allowed: Whether a redirect may lead to a host, as `host:port`.
        remembered: The agents' memory.
        sandbox: Where programs run.

    Raises:
        BadInput: DATABASES_FILE is wrong.
    """
    found: list[Tool[Any]] = [
        *files.TOOLS,
        *commands.tools(network=sandbox != "bubblewrap"),
        *web.tools(web.WebLimits(allowed=allowed, private=_listed(chosen.web_private_hosts))),
        *sql.tools(read_databases(chosen.databases_file)),
        *git.TOOLS,
        *clusters.tools(clusters_of(chosen)),
        *memory.tools(remembered),
        *handoff.TOOLS,
        *reviews.TOOLS,
    ]
    if chosen.prometheus_url is not None:
        token = chosen.prometheus_token
        headers = {"Authorization": f"Bearer {token.get_secret_value()}"} if token else None
        found += prometheus.tools(str(chosen.prometheus_url), headers)
    return {tool.name: tool for tool in found}


def unknown_tools(patterns: Iterable[str], chosen: Settings, remembered: Memory) -> list[str]:
    """Those of some patterns that name no tool of ours, and none of an MCP server: of these nothing is known here.

    Args:
        patterns: Names, with `*` for any characters.
        chosen: The settings.
        remembered: A memory, which is not looked at.

    Raises:
        BadInput: DATABASES_FILE is wrong.
    """
    known = {*built_in(chosen, lambda _host: False, remembered), *CONFIGURED}
    named = dict.fromkeys(one for one in patterns if not one.startswith("mcp_"))
    return [one for one in named if not any(fnmatchcase(name, one) for name in known)]


def clusters_of(chosen: Settings) -> clusters.Clusters:
    """What the settings let agents look after."""
    return clusters.Clusters(
        kubeconfig=chosen.kubeconfig,
        context=chosen.kube_context or None,
        namespaces=_listed(chosen.kube_namespaces),
        docker_host=chosen.docker_host,
    )


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


ALWAYS = ("hand_off",)
"""What every agent has."""

REMEMBERING = ("remember", "recall", "forget")


def wanted_of(definition: AgentDefinition) -> tuple[str, ...]:
    """The patterns of the tools that an agent gets."""
    return (*definition.tools, *ALWAYS, *(REMEMBERING if definition.remembers else ()))


def chosen_of(tools: Tools, patterns: Iterable[str], known: Iterable[str]) -> dict[str, Tool[Any]]:
    """The tools that patterns name.

    Args:
        tools: Those that can be used here.
        patterns: Names, with `*` at their end for all that begin so.
        known: Names of all tools that there are anywhere: one that cannot be used here is left out.

    Raises:
        BadInput: a pattern names no tool.
    """
    chosen: dict[str, Tool[Any]] = {}
    every = {*tools, *known}
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in every):
            meant = get_close_matches(pattern, every, n=1)
            hint = f"did you mean {meant[0]}? " if meant else ""
            raise BadInput(f"there is no tool {pattern}", fix=f"{hint}docs/agents/tools.md lists them", field="tools")
        chosen |= {name: tool for name, tool in tools.items() if fnmatchcase(name, pattern)}
    return chosen


@dataclass(frozen=True, kw_only=True)
class Toolbox:
    """What an agent works with.

    Attributes:
        tools: Its tools, by name.
        notices: Which of its MCP servers and their tools it has to do without, and why.
    """

    tools: Tools
    notices: tuple[str, ...] = ()


@asynccontextmanager
async def tools_of(
    definition: AgentDefinition,
    chosen: Settings,
    allowed: Callable[[str], bool],
    remembered: Memory,
    sandbox: Level = "bubblewrap",
) -> AsyncGenerator[Toolbox]:
    """The tools of an agent, those of its MCP servers too; the servers end with the block.

    Raises:
        BadInput: the agent names a tool or a server that there is not, or a file of them is wrong.
    """
    mine = chosen_of(built_in(chosen, allowed, remembered, sandbox), wanted_of(definition), CONFIGURED)
    if not definition.mcp:
        yield Toolbox(tools=mine)
        return
    async with mcp_tools(servers_of(definition, chosen), private_folder(chosen.agents_home, FOLDER)) as offer:
        for name, why in offer.absent.items():
            log.warning("mcp_tool_absent", agent=definition.name, tool=name, why=why)
        yield Toolbox(
            tools=mine | {tool.name: tool for tool in offer.tools},
            notices=tuple(absent_mcp(name, why) for name, why in offer.absent.items()),
        )


def absent_mcp(name: str, why: str) -> str:
    """That an MCP server, or a tool `server/tool` of one, is not offered."""
    return f"{'the MCP tool' if '/' in name else 'the MCP server'} {name} is not offered: {why}"


CONFIGURED = (
    *("query_sql", "query_prometheus", "kubectl_get", "kubectl_logs", "kubectl_apply", "kubectl_scale"),
    *("kubectl_rollout_restart", "docker_ps", "docker_logs", "docker_inspect", "docker_restart"),
)
"""Tools that are there only where something is installed or set up."""


def servers_of(definition: AgentDefinition, chosen: Settings) -> McpServers:
    """The MCP servers that an agent uses. Raises `BadInput`: one is not there, or their file is wrong."""
    every = read_mcp(chosen.mcp_file)
    if unknown := [name for name in definition.mcp if name not in every.by_name]:
        raise BadInput(
            f"there is no MCP server {unknown[0]!r} in {chosen.mcp_file}",
            fix="add it there, or take it out of the agent's `mcp`",
            field="mcp",
        )
    return every.model_copy(update={"by_name": {name: every.by_name[name] for name in definition.mcp}})
