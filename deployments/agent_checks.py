"""What `c500 doctor` looks at for agents: what is set up wrongly is a fault, what is absent is told with its reason."""

import asyncio
from collections.abc import Callable, Iterator

from blocks.errors import BadInput, C500Error, EngineUnavailable, NotFound, Unsupported


class Lacking(C500Error):
    """Something is absent without which all else works."""

    code = "LACKING"


def check_agents() -> str:
    """Every agent's file is well written. Raises `NotFound`, `BadInput`."""
    from blocks.settings import settings
    from tasks.agents.definition import agent_names, read_agent

    folder = settings().agents_dir
    if folder is not None and not folder.expanduser().is_dir():
        raise NotFound(f"AGENTS_DIR is {folder}, which is no folder", fix="make it, or name another")
    return ", ".join(read_agent(name, folder).name for name in agent_names(folder))


def check_rules() -> str:
    """The policy is well written and has AGENT_PROFILE. Raises `NotFound`, `BadInput`."""
    from blocks.policy.open import open_policy
    from blocks.settings import settings

    chosen, policy = settings(), open_policy()
    in_force = policy.in_force(chosen.agent_profile)
    of = f"of {chosen.policy_file} and " if chosen.policy_file else ""
    instead = "" if in_force == chosen.agent_profile else f", instead of {chosen.agent_profile}"
    return f"{len(policy.content.rules)} rules {of}of C500, profile {in_force}{instead}"


def check_sandbox() -> str:
    """Where programs of agents run under AGENT_PROFILE. Raises `Lacking`: nowhere; all else goes on."""
    from blocks.policy.open import open_policy
    from blocks.sandbox import open_sandbox
    from blocks.settings import settings

    try:
        sandbox = open_sandbox(open_policy().sandboxed(settings().agent_profile))
    except Unsupported as error:
        raise Lacking(
            f"none: run_command, search_files and the git tools refuse every call of agents ({error.message})",
            fix=error.fix,
        ) from error
    return "bubblewrap" if sandbox.name == "bubblewrap" else "restricted: no boundary around the programs of agents"


def check_audit() -> str:
    """The audit log ends as it was written; a glance. Raises `AuditBroken`, `StoreFailed`, `NotFound`, `NotAllowed`."""
    from blocks.audit.places import AuditPlaces, checked_head
    from blocks.settings import settings

    home = settings().agents_home
    head = checked_head(home)
    if head.seq == 0:
        return "empty: no agent has run yet"
    return f"{head.seq} records kept in {AuditPlaces(home).folder}, not verified: `c500 audit verify` does that"


def check_tools() -> str:
    """Which tools agents do without, and why. Raises `BadInput`, `StoreFailed`: what they need is set up wrongly."""
    return "\n".join(_absent()) or "all"


def check_mcp() -> str:
    """Every MCP server starts, or is reached, and lists its tools. Raises `EngineUnavailable`, `BadInput`."""
    from blocks.settings import settings
    from tasks.agents.opened import private_folder
    from tasks.agents.tools.mcp import FOLDER, McpConnection, read_mcp

    chosen = settings()
    servers = read_mcp(chosen.mcp_file)
    if not servers.by_name:
        return f"none in {chosen.mcp_file}"
    state = private_folder(chosen.agents_home, FOLDER)

    async def listed(connection: McpConnection) -> C500Error | None:
        try:
            await connection.tools()
        except C500Error as error:
            return error
        finally:
            await connection.close()
        return None

    async def tried() -> list[C500Error | None]:
        connections = [McpConnection(name, one, servers.folder, state) for name, one in servers.by_name.items()]
        return await asyncio.gather(*map(listed, connections))

    if errors := [one for one in asyncio.run(tried()) if one is not None]:
        raise EngineUnavailable(
            "\n".join(one.message for one in errors),
            fix=f"correct {chosen.mcp_file}; logs lie in {state}; agents that name such a server do without it",
        )
    return ", ".join(servers.by_name)


def check_escalation() -> str:
    """ESCALATION_FILE is well written, and its channels can be used; nothing is sent. Raises `NotFound`, `BadInput`."""
    from blocks.escalation.chain import channel_kind, read_chain
    from blocks.escalation.deliver import Undelivered, check_channel
    from blocks.settings import settings

    if (file := settings().escalation_file) is None:
        return "ESCALATION_FILE is not set: nobody is told that an agent waits for an answer"
    chain = read_chain(file)
    for level in chain.levels:
        for channel in level.channels:
            try:
                check_channel(channel)
            except Undelivered as error:
                told = f"{file}: level {level.name}, channel {channel_kind(channel)}: {error.message}"
                raise BadInput(told, fix="correct the channel; docs/agents/approvals.md shows its forms") from None
    return f"{', '.join(level.name for level in chain.levels)}; messages are sent by the service, `c500 up`"


def _absent() -> Iterator[str]:
    from blocks.databases_file import read_databases
    from blocks.settings import settings
    from tasks.agents.registry import clusters_of
    from tasks.agents.tools import clusters
    from tasks.agents.tools.mcp import FOLDER, pins_of, read_mcp

    chosen = settings()
    for program, why in clusters.absent(clusters_of(chosen)).items():
        yield f"no {program} tools: {why}"
    if chosen.prometheus_url is None:
        yield "no query_prometheus: PROMETHEUS_URL is not set"
    if not read_databases(chosen.databases_file).by_name:
        yield f"no query_sql: no databases in {chosen.databases_file}"
    if not read_mcp(chosen.mcp_file).by_name:
        yield f"no MCP tools: no servers in {chosen.mcp_file}"
    for server, said in pins_of(chosen.agents_home.expanduser() / FOLDER).waiting().items():
        tools = "1 tool" if len(said) == 1 else f"{len(said)} tools"
        yield f"{tools} of MCP server {server} not accepted yet, new or changed: `c500 agents mcp list`"


CHECKS: dict[str, Callable[[], str]] = {
    "agents": check_agents,
    "agent rules": check_rules,
    "agent sandbox": check_sandbox,
    "agent audit": check_audit,
    "agent tools": check_tools,
    "mcp servers": check_mcp,
    "escalation": check_escalation,
}
